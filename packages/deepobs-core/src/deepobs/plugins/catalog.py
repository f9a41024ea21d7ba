"""The things of one kind that the installed plugins offer, by name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from deepobs.errors import (
    AmbiguousNameError,
    ArgumentError,
    ComponentLoadError,
    UnknownNameError,
    closest,
    message_of,
    sentences,
)
from deepobs.plugins.installed import normalized
from deepobs.plugins.specs import Spec, TargetSpec

if TYPE_CHECKING:
    from collections.abc import Callable

SpecT = TypeVar("SpecT", bound=Spec)
ClassT = TypeVar("ClassT")


@dataclass(frozen=True, slots=True)
class Offer(Generic[SpecT]):
    """A description and the installed distribution it comes from."""

    spec: SpecT
    distribution: str
    version: str

    @property
    def qualified_name(self) -> str:
        """The name that stays unique when two plugins offer the same one."""
        return f"{self.distribution}:{self.spec.name}"

    @property
    def origin(self) -> str:
        """Name and version of the distribution."""
        return f"{self.distribution} {self.version}".rstrip()


class Catalog(Generic[SpecT]):
    """Finds and imports the offers of one kind.

    Args:
        kind: What is offered, in the singular: "test problem".
        spec_type: The class of its descriptions.
        hint: Called with a name nobody offers; returns what else the user should know.
    """

    def __init__(self, kind: str, spec_type: type[SpecT], hint: Callable[[str], str]) -> None:
        self.kind = kind
        self.spec_type = spec_type
        self._hint = hint
        self._offers: dict[str, list[Offer[SpecT]]] = {}
        self._loaded: dict[str, Any] = {}

    def add(self, offer: Offer[SpecT]) -> None:
        """Take in an offer; a second one of the same name makes the bare name ambiguous."""
        self._offers.setdefault(offer.spec.name, []).append(offer)

    def has(self, offer: Offer[SpecT]) -> bool:
        """Whether the same distribution offers something of the same name already."""
        known = self._offers.get(offer.spec.name, [])
        return offer.qualified_name in [each.qualified_name for each in known]

    def names(self) -> list[str]:
        """The names on offer, sorted."""
        return sorted(self._offers)

    def offers(self) -> list[Offer[SpecT]]:
        """All offers, sorted by name; those of an ambiguous name follow each other."""
        return [offer for name in self.names() for offer in self._offers[name]]

    def offer(self, name: str) -> Offer[SpecT]:
        """Find one offer.

        Args:
            name: A name, or `distribution:name` where two plugins offer it.

        Raises:
            ArgumentError: It is no name at all.
            UnknownNameError: Nobody offers it.
            AmbiguousNameError: More than one plugin does.
        """
        offer = self.find(name)
        if offer is None:
            raise UnknownNameError(self._unknown(name))
        return offer

    def find(self, name: str) -> Offer[SpecT] | None:
        """Find one offer, `None` where nobody offers it; see `offer`."""
        if not isinstance(name, str):  # a class is easily given in place of its name
            raise ArgumentError(f"A {self.kind} is asked for by its name, a text; got {name!r}.")
        matches = self.called(name)
        if len(matches) > 1:
            bare_name = matches[0].spec.name
            owners = " and ".join(offer.origin for offer in matches)
            choices = " or ".join(repr(offer.qualified_name) for offer in matches)
            raise AmbiguousNameError(
                f"The {self.kind} {bare_name!r} is offered by {owners}. "
                f"Say which one you mean: {choices}."
            )
        return matches[0] if matches else None

    def called(self, name: str) -> list[Offer[SpecT]]:
        """The offers that a name means, which may be several or none.

        Args:
            name: A name, or `distribution:name`.
        """
        distribution, _, bare_name = name.rpartition(":")
        return [
            offer
            for offer in self._offers.get(bare_name, [])
            if not distribution or normalized(distribution) == normalized(offer.distribution)
        ]

    def spec(self, name: str) -> SpecT:
        """The description of one offer; see `offer`."""
        return self.offer(name).spec

    def usable_name(self, name: str) -> str:
        """The shortest name that means the same offer; see `offer`."""
        offer = self.offer(name)
        is_alone = len(self._offers[offer.spec.name]) == 1
        return offer.spec.name if is_alone else offer.qualified_name

    def described(self, name: str) -> str:
        """What messages call an offer; see `offer`."""
        offer = self.offer(name)
        return f"The {self.kind} {offer.spec.name!r} of {offer.origin}"

    def load(self, name: str) -> Any:
        """Import what an offer describes.

        A target with a class method `bind` is given its description and answers with what to use:
        this is how one class serves many test problems.

        Args:
            name: A name, or `distribution:name`.

        Raises:
            UnknownNameError: Nobody offers it.
            AmbiguousNameError: More than one plugin does.
            ComponentLoadError: Importing it failed.
        """
        offer = self.offer(name)
        key = offer.qualified_name
        if key not in self._loaded:
            # Of two threads that come this far the first decides, so that both get one class.
            self._loaded.setdefault(key, self._import(offer))
        return self._loaded[key]

    def offer_of(self, component: object) -> Offer[SpecT] | None:
        """The offer that led to a class or to the class of an object, `None` where none did."""
        for key, loaded in self._loaded.items():
            if loaded is component or loaded is type(component):
                return self.offer(key)
        return None

    def _import(self, offer: Offer[SpecT]) -> Any:
        owner = self.described(offer.qualified_name)
        if not isinstance(offer.spec, TargetSpec):
            raise ComponentLoadError(f"{owner} has nothing to import.")
        target = import_target(offer.spec.target, owner)
        if not hasattr(target, "bind"):
            return target
        try:
            return target.bind(offer.spec)
        except Exception as error:  # an AttributeError must not look like a missing name
            raise ComponentLoadError(
                f"{owner} cannot be made from {offer.spec.target!r}: {message_of(error)}"
            ) from error

    def _unknown(self, name: str) -> str:
        return sentences(
            f"There is no {self.kind} {name!r}.", closest(name, self.names()), self._hint(name)
        )


def import_target(target: str, owner: str) -> Any:
    """Import `package.module:attribute`.

    Args:
        target: The import string.
        owner: Whose it is, for the message.

    Raises:
        ComponentLoadError: The module raises while it is imported, or has no such attribute.
    """
    module_name, _, attributes = target.partition(":")
    try:
        value = importlib.import_module(module_name)
        for attribute in attributes.split("."):
            value = getattr(value, attribute)
    # A stranger's module may raise anything, or call sys.exit, when it is imported.
    except (Exception, SystemExit) as error:
        raise ComponentLoadError(
            f"{owner} cannot be imported from {target!r}: {message_of(error)}"
        ) from error
    return value


def bound(target: type[ClassT], spec: Spec, module: str) -> type[ClassT]:
    """Make the subclass that stands for one description.

    It calls itself by the name under which a module of the facade has it, so that its instances can
    be pickled.

    Args:
        target: The class that the description names.
        spec: The description, which becomes the attribute `spec`.
        module: The module of the facade.
    """
    namespace = {
        "spec": spec,
        "__doc__": f"{spec.summary}\n\n{target.__doc__}",
        "__module__": module,
        "__qualname__": spec.name,
    }
    return type(spec.name, (target,), namespace)
