"""Targets of checks: registered test problems, data sets and optimizers, or classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError, UnknownNameError, closest, sentences
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs.plugins.installed import normalized
from deepobs.plugins.own_classes import own_spec, spec_type_of
from deepobs.plugins.specs import TargetSpec

if TYPE_CHECKING:
    from deepobs.plugins.catalog import Catalog, Offer

CATALOGS = {"test problem": "problems", "data set": "datasets", "optimizer": "optimizers"}
"""The kinds of targets, and the catalog of the registry that lists each."""


@dataclass(frozen=True, slots=True)
class Target:
    """A test problem, a data set or an optimizer to check.

    Attributes:
        kind: A key of `CATALOGS`.
        name: The name in reports.
        factory: Called as the protocol of the kind says; `None` if it is registered, to be
            imported by the first check.
        offer: Its description and origin; `None` if it is not registered.
    """

    kind: str
    name: str
    factory: Any = None
    offer: Offer[Any] | None = None

    @property
    def spec(self) -> Any:
        """Its description; if it is not registered, that of its class, or `None`."""
        if self.offer is not None:
            return self.offer.spec
        stated = getattr(self.factory, "spec", None)
        # That of a class leaves out what the class itself says.
        if isinstance(stated, TargetSpec) and not stated.name:
            return own_spec(type(stated), self.factory)
        return stated

    def load(self) -> Any:
        """Import what to call."""
        if self.offer is None:
            return self.factory
        return catalog_of(self.kind).load(self.offer.qualified_name)


def catalog_of(kind: str) -> Catalog[Any]:
    """The catalog of the registry that lists a kind of targets."""
    catalog: Catalog[Any] = getattr(registry(), CATALOGS[kind])
    return catalog


def find_target(kind: str, factory: Any) -> Target:
    """Find what to check: a registered name, `distribution:name`, or something callable."""
    if isinstance(factory, str):
        return offered_target(kind, catalog_of(kind).offer(factory))
    if not callable(factory):
        raise ArgumentError(
            f"A {kind} to check is a registered name or a class, got {factory!r}. "
            "`deepobs list` shows all names."
        )
    return Target(kind, getattr(factory, "__name__", type(factory).__name__), factory)


def offered_target(kind: str, offer: Offer[Any]) -> Target:
    """The target that a plugin offers."""
    return Target(kind, catalog_of(kind).usable_name(offer.qualified_name), offer=offer)


def targets_of(distribution: str) -> list[Target]:
    """All targets that an installed distribution offers; case and `-_.` of its name do not matter.

    Raises:
        UnknownNameError: It offers none.
    """
    offers = [(kind, offer) for kind in CATALOGS for offer in catalog_of(kind).offers()]
    wanted = normalized(distribution)
    found = [
        offered_target(kind, offer)
        for kind, offer in offers
        if normalized(offer.distribution) == wanted
    ]
    if found:
        return found
    failed = [
        f"{plugin} failed to load: {plugin.error}."
        for plugin in registry().failures()
        if normalized(plugin.distribution) == wanted
    ]
    names = list(dict.fromkeys(offer.distribution for _, offer in offers))
    raise UnknownNameError(
        sentences(
            f"No installed plugin of the distribution {distribution!r} offers a test problem, a "
            "data set or an optimizer.",
            *failed,
            closest(distribution, names),
            f"Distributions that do: {', '.join(names)}. Reinstall an editable package after its "
            "entry points changed.",
        )
    )


def imported_target(name: str) -> Target:
    """Import `package.module:Class`, which no plugin offers, and recognize its kind.

    Raises:
        ComponentLoadError: Its module cannot be imported.
        ArgumentError: It is no test problem, data set or optimizer.
    """
    factory = import_target(name, "The class to check")
    spec_type = spec_type_of(factory)
    if spec_type is not None:
        return Target(spec_type.kind, name, factory)
    raise ArgumentError(
        f"{name} is {factory!r}, which is not recognized as a class of test problems, data sets or "
        "optimizers by its methods. Call deepobs_testing.check_testproblem or check_dataset on it."
    )
