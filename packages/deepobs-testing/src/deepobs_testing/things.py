"""What is checked: found by its name, or given as a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError, UnknownNameError, closest, sentences
from deepobs.plugins import registry
from deepobs.plugins.installed import normalized

if TYPE_CHECKING:
    from deepobs.plugins.catalog import Catalog, Offer

KINDS = {"test problem": "problems", "data set": "datasets", "optimizer": "optimizers"}
"""What can be checked, and the catalogue of the registry that lists it."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that can be checked.

    Attributes:
        kind: One of `KINDS`.
        name: What reports call it.
        factory: Called as the protocol of the kind says; `None` for what is registered and has not
            been imported yet.
        offer: Its description and where it comes from, `None` for what is not registered.
    """

    kind: str
    name: str
    factory: Any = None
    offer: Offer[Any] | None = None

    @property
    def spec(self) -> Any:
        """Its description; for what is not registered, that of its class, if it has any."""
        return getattr(self.factory, "spec", None) if self.offer is None else self.offer.spec

    def load(self) -> Any:
        """What to call.

        Raises:
            ComponentLoadError: It cannot be imported.
        """
        if self.offer is None:
            return self.factory
        return catalog_of(self.kind).load(self.offer.qualified_name)


def catalog_of(kind: str) -> Catalog[Any]:
    """Where things of a kind are registered."""
    catalog: Catalog[Any] = getattr(registry(), KINDS[kind])
    return catalog


def thing(kind: str, factory: Any) -> Thing:
    """Find what to check.

    Args:
        kind: One of `KINDS`.
        factory: A registered name, `distribution:name`, or what to call.

    Raises:
        UnknownNameError: Nobody offers the name.
        AmbiguousNameError: More than one plugin does.
        ArgumentError: It is neither a name nor can it be called.
    """
    if isinstance(factory, str):
        return thing_on_offer(kind, catalog_of(kind).offer(factory))
    if not callable(factory):
        raise ArgumentError(
            f"A {kind} to check is a registered name or a class, got {factory!r}. "
            "`deepobs list` shows all names."
        )
    return Thing(kind, getattr(factory, "__name__", type(factory).__name__), factory)


def thing_on_offer(kind: str, offer: Offer[Any]) -> Thing:
    """What a plugin offers, to be checked.

    Args:
        kind: One of `KINDS`.
        offer: Its description and where it comes from.
    """
    return Thing(kind, catalog_of(kind).usable_name(offer.qualified_name), offer=offer)


def things_of(distribution: str) -> list[Thing]:
    """All that one installed distribution offers and that can be checked.

    Args:
        distribution: Its name; case and `-_.` do not matter.

    Raises:
        UnknownNameError: It offers nothing of that kind.
    """
    offers = [(kind, offer) for kind in KINDS for offer in catalog_of(kind).offers()]
    found = [
        thing_on_offer(kind, offer)
        for kind, offer in offers
        if normalized(offer.distribution) == normalized(distribution)
    ]
    if not found:
        raise _nothing_of(distribution, [offer.distribution for _, offer in offers])
    return found


def _nothing_of(distribution: str, others: list[str]) -> UnknownNameError:
    """Why nothing of a distribution can be checked."""
    failed = [
        f"{plugin} failed to load: {plugin.error}."
        for plugin in registry().failures()
        if normalized(plugin.distribution) == normalized(distribution)
    ]
    names = list(dict.fromkeys(others))
    return UnknownNameError(
        sentences(
            f"No installed plugin of the distribution {distribution!r} offers a test problem, a "
            "data set or an optimizer.",
            *failed,
            closest(distribution, names),
            f"There are: {', '.join(names)}. An editable installation has to be made again after "
            "its entry points changed.",
        )
    )
