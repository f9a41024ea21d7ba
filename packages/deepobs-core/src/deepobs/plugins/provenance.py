"""Which installed distribution some code comes from, for messages that name it."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

from deepobs.errors import ProtocolError
from deepobs.plugins.registry import registry

if TYPE_CHECKING:
    from types import TracebackType

# Code between the user and a plugin. deepobs_vision and the like are plugins that can be to blame.
_LEADS_THERE = {"click", "contextlib", "deepobs", "deepobs_bench", "deepobs_testing", "torch"}


def provenance_of(error: BaseException) -> str:
    """The distribution whose code raised an error: the innermost of a plugin in its traceback.

    Returns:
        Name and version such as "acme-obs 1.0"; empty if no plugin's code was involved.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [frame.f_globals.get("__name__") or "" for frame in reversed(frames)]
    owners = (owner_of_module(one) for one in modules if _package_of(one) not in _LEADS_THERE)
    return next(filter(None, owners), "")


def foreign_traceback(error: BaseException) -> TracebackType | None:
    """The traceback from the first frame of a plugin or of the user's own code on, if any."""
    trace = error.__traceback__
    while trace and _package_of(trace.tb_frame.f_globals.get("__name__") or "") in _LEADS_THERE:
        trace = trace.tb_next
    return trace


def class_behind(error: BaseException) -> str:
    """The class for which PyTorch executed the code that raised an error, as `module:Class`.

    A class that inherits a method is in none of the files of its traceback.

    Returns:
        The innermost class of another package, or of the user, whose method raised or whose step
        it was; empty if there is none.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        owner = frame.f_locals.get("self")
        # The backward pass of a step is nobody's method, but somebody's step.
        for one in (owner, getattr(owner, "optimizer_in_training", None)):
            found = type(one)
            if _package_of(found.__module__) not in {*_LEADS_THERE, *sys.stdlib_module_names}:
                return f"{found.__module__}:{found.__qualname__}"
    return ""


def described(component: object) -> str:
    """What messages call an object whose class a plugin offers, such as a problem."""
    for catalog in registry().catalogs():
        offer = catalog.offer_of(component)
        if offer is not None:
            return str(offer)
    owner = owner_of_module(type(component).__module__)
    return type(component).__name__ + (f" of {owner}" if owner else "")


def protocol_error(component: object, fault: str, rule: str) -> ProtocolError:
    """The error for a component that does not keep to its protocol.

    Args:
        component: A problem, a data set or another object whose class is on offer.
        fault: What it does, as the rest of a sentence.
        rule: What the protocol asks for, as a sentence without its period.
    """
    return ProtocolError(
        f"{described(component)} {fault}. {rule}. `deepobs check` tells its authors more."
    )


def owner_of_module(module: str) -> str:
    """Name and version of the distribution whose plugin contains a module, empty for none."""
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
