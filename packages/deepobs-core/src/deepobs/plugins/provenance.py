"""Which installed distribution some code comes from, for messages that name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.plugins.registry import registry

if TYPE_CHECKING:
    from types import TracebackType

_OURS = {"deepobs", "deepobs_bench", "deepobs_testing", "torch"}


def provenance_of(error: BaseException) -> str:
    """The distribution whose code raised an error: the innermost of a plugin in its traceback.

    Returns:
        Name and version such as "acme-obs 1.0"; empty if no plugin's code was involved.
    """
    packages = [one for one in _packages(error.__traceback__) if one not in _OURS]
    owners = (owner_of_module(package) for package in reversed(packages))
    return next(filter(None, owners), "")


def described(component: object) -> str:
    """Say what something is and which distribution brought it, for a message.

    Args:
        component: A problem, a data set or another object whose class is on offer.
    """
    for catalog in registry().catalogs():
        offer = catalog.offer_of(component)
        if offer is not None:
            return catalog.described(offer.qualified_name)
    owner = owner_of_module(type(component).__module__)
    return type(component).__name__ + (f" of {owner}" if owner else "")


def owner_of_module(module: str) -> str:
    """Name and version of the distribution whose plugin brings a module, empty for none.

    Args:
        module: Its name, such as that of a line of a traceback.
    """
    wanted = _package_of(module)
    for plugin in registry().plugins:
        if _package_of(plugin.target) == wanted:
            return plugin.origin
    for catalog in registry().catalogs():
        for offer in catalog.offers():
            if _package_of(getattr(offer.spec, "target", "")) == wanted:
                return offer.origin
    return ""


def _package_of(target: str) -> str:
    """The outermost package of a module or an import string."""
    return target.partition(":")[0].partition(".")[0]


def _packages(trace: TracebackType | None) -> list[str]:
    """The packages of a traceback, from the outermost line on."""
    found = []
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__") or ""
        found.append(_package_of(module))
        trace = trace.tb_next
    return found
