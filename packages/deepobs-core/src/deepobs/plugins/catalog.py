"""What the installed plugins offer of one kind, by name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

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
from deepobs.plugins.own_classes import (
    advice_on_module,
    advice_on_name,
    is_importable,
    own_spec,
)
from deepobs.plugins.specs import Spec, TargetSpec, given_class, is_target

if TYPE_CHECKING:
    from collections.abc import Callable

SpecT = TypeVar("SpecT", bound=Spec)


@dataclass(frozen=True, slots=True, eq=False)
class Offer(Generic[SpecT]):
    """A specification and where it comes from.

    Attributes:
        spec: The specification.
        distribution: The installed distribution; the module of a class that no plugin offers; empty
            for what was registered in this process.
        version: Its version.
        is_own: Whether it is a class that no plugin offers, which has no name but its target.
    """

    spec: SpecT
    distribution: str
    version: str
    is_own: bool = False

    def __str__(self) -> str:
        return f"The {self.spec.kind} {self.spec.name!r} of {self.origin or 'this process'}"

    @property
    def qualified_name(self) -> str:
        """The name that stays unique when two plugins offer the same one."""
        if self.is_own:
            return str(getattr(self.spec, "target", ""))
        return f"{self.distribution}:{self.spec.name}".removeprefix(":")

    @property
    def origin(self) -> str:
        """Name and version of the distribution."""
        return f"{self.distribution} {self.version}".rstrip()


class Catalog(Generic[SpecT]):
    """Finds and imports the offers of one kind.

    A name may be written `distribution:name`, which it must be if two plugins offer it.

    Args:
        spec_type: The class of its specifications.
        hint: Called with an unknown name; returns what to do about it.
    """

    def __init__(self, spec_type: type[SpecT], hint: Callable[[str], str]) -> None:
        self.kind = spec_type.kind
        self.spec_type = spec_type
        self._hint = hint
        self._offers: dict[str, list[Offer[SpecT]]] = {}
        self._loaded: dict[Offer[SpecT], Any] = {}
        self._own: dict[str, Offer[SpecT]] = {}
        self._classes: dict[Offer[SpecT], type] = {}

    def add(self, offer: Offer[SpecT]) -> None:
        """Add an offer; a second one of the same name makes the bare name ambiguous."""
        self._offers.setdefault(offer.spec.name, []).append(offer)

    def register(self, spec: SpecT, component: type | None = None) -> None:
        """Add an offer of this process, in place of an earlier one of the same name.

        Args:
            spec: Its description.
            component: The class; `None` to import the target when it is used.

        Raises:
            ArgumentError: A plugin offers the name.
        """
        earlier = self._offers.get(spec.name, [])
        if any(offer.distribution for offer in earlier):
            raise ArgumentError(
                f"{earlier[0]} has this name already. Register yours under another one."
            )
        if component is None and any(o.spec == spec and o in self._classes for o in earlier):
            return  # the process that registered it executes its own tasks
        for offer in earlier:
            self._forget(offer)
        offer = Offer(spec, "", "")
        self._offers[spec.name] = [offer]
        if component is not None:
            self._classes[offer] = component

    def registered(self) -> list[SpecT]:
        """The descriptions that were registered in this process."""
        return [offer.spec for offer in self.offers() if not offer.distribution]

    def names(self) -> list[str]:
        """The names on offer, sorted."""
        return sorted(self._offers)

    def offers(self) -> list[Offer[SpecT]]:
        """All offers, sorted by name."""
        return [offer for _, offers in sorted(self._offers.items()) for offer in offers]

    def called(self, name: str) -> list[Offer[SpecT]]:
        """The offers that a name stands for, which may be several or none.

        Raises:
            ArgumentError: It is not a string.
        """
        # A class is easily given in place of its name.
        if not isinstance(name, str):
            raise ArgumentError(f"The name of a {self.kind} must be a string, got {name!r}.")
        distribution, _, bare_name = name.rpartition(":")
        offers = self._offers.get(bare_name, [])
        if not distribution:
            return list(offers)
        wanted = normalized(distribution)
        return [offer for offer in offers if normalized(offer.distribution) == wanted]

    def find(self, name: str) -> Offer[SpecT] | None:
        """Find what plugins offer; `None` if none offers the name, else see `offer`."""
        matches = self.called(name)
        if len(matches) == 1:
            return matches[0]
        return self.offer(name) if matches else None

    def offer(self, name: str | type) -> Offer[SpecT]:
        """Find one offer, or make one of a class, which may be named as `package.module:Class`.

        Raises:
            ArgumentError: It is neither a string nor a class of this kind.
            UnknownNameError: No plugin offers it.
            AmbiguousNameError: More than one plugin offers it.
            ComponentLoadError: The class cannot be imported.
        """
        if isinstance(name, type):
            return self._own_offer(name)
        matches = self.called(name)
        if not matches:
            if is_target(name) and not self._is_distribution(name) and is_importable(name):
                return self._own_offer(import_target(name, f"The {self.kind}"))
            raise UnknownNameError(
                sentences(
                    f"There is no {self.kind} {name!r}.",
                    closest(name, self._offers),
                    advice_on_name(name) or self._hint(name),
                )
            )
        if len(matches) > 1:
            owners = " and ".join(offer.origin for offer in matches)
            choices = " or ".join(repr(offer.qualified_name) for offer in matches)
            raise AmbiguousNameError(
                f"The {self.kind} {matches[0].spec.name!r} is offered by {owners}. "
                f"Say which one you mean: {choices}."
            )
        return matches[0]

    def _is_distribution(self, name: str) -> bool:
        # `distribution:name` looks like `module:Class`, and a package is both.
        owner = normalized(name.partition(":")[0])
        return any(normalized(offer.distribution) == owner for offer in self.offers())

    def _own_offer(self, component: Any) -> Offer[SpecT]:
        # The class of a registered problem, as the facade has it, is that problem.
        offer = self.offer_of(component)
        if offer is not None:
            return offer
        if not issubclass(self.spec_type, TargetSpec):
            raise ArgumentError(f"A {self.kind} has a name and no class, got {component!r}.")
        spec: Any = own_spec(self.spec_type, component)
        if spec.target in self._own:  # an earlier definition in a notebook
            self._forget(self._own[spec.target])
        offer = self._own[spec.target] = Offer(spec, component.__module__, "", is_own=True)
        self._loaded[offer] = self._classes[offer] = component
        return offer

    def _forget(self, offer: Offer[SpecT]) -> None:
        self._loaded.pop(offer, None)
        self._classes.pop(offer, None)

    def usable_name(self, name: str | type) -> str:
        """The shortest name of the same offer; see `offer`."""
        offer = self.offer(name)
        is_alone = not offer.is_own and len(self._offers[offer.spec.name]) == 1
        return offer.spec.name if is_alone else offer.qualified_name

    def load(self, name: str | type | Offer[SpecT]) -> Any:
        """Import what an offer, or its name, stands for; see `offer`.

        A target with a class method `bind` is called with its specification and returns the class
        to use: this is how one class serves many test problems.

        Raises:
            ComponentLoadError: Importing it failed.
        """
        offer = name if isinstance(name, Offer) else self.offer(name)
        if offer not in self._loaded:
            if not isinstance(offer.spec, TargetSpec):
                raise ComponentLoadError(f"{offer} has nothing to import.")
            target = self.target_of(offer)
            try:
                component = target.bind(offer.spec) if hasattr(target, "bind") else target
            except Exception as error:
                # An AttributeError of `bind` would look like a missing name to users of the facade.
                raise ComponentLoadError(
                    f"{offer} cannot be made from {offer.spec.target!r}: {message_of(error)}"
                ) from error
            # Of two threads that reach this line the first decides, so that both get one class.
            self._loaded.setdefault(offer, component)
        return self._loaded[offer]

    def target_of(self, offer: Offer[Any]) -> Any:
        """Import what the target of an offer names; see `load`, which may make a class of it."""
        return self._classes.get(offer) or import_target(offer.spec.target, offer)

    def offer_of(self, component: object) -> Offer[SpecT] | None:
        """The offer from which a class, or the class of an object, was loaded."""
        # By identity: a user's own subclass is not what the plugin offers.
        for offer, loaded in self._loaded.items():
            if loaded is component or loaded is type(component):
                return offer
        return None


def import_target(target: str, owner: object) -> Any:
    """Import `package.module:attribute`.

    Args:
        target: The import string.
        owner: What messages call it: an offer or a text.

    Raises:
        ComponentLoadError: The module raises while it is imported, or has no such attribute.
    """
    module_name, _, attributes = target.partition(":")
    module = None
    try:
        value = module = importlib.import_module(module_name)
        for attribute in attributes.split("."):
            value = getattr(value, attribute)
    except (Exception, SystemExit) as error:
        # A module may call sys.exit when it is imported.
        if (given := given_class(target)) is not None:
            return given
        advice = advice_on_name(target) if module is None else advice_on_module(module)
        reason = f"{owner} cannot be imported from {target!r}: {message_of(error)}"
        raise ComponentLoadError(f"{reason}. {advice}" if advice else reason) from error
    return value


class Registered:
    """Base of a class that serves many specifications, by a subclass for each.

    Attributes:
        spec: The specification.
        facade: The module of the facade that has the subclasses as attributes.
    """

    spec: ClassVar[Any]
    facade: ClassVar[str]

    @property
    def name(self) -> str:
        """The registered name."""
        return str(self.spec.name) or type(self).__name__

    @classmethod
    def bind(cls, spec: Spec) -> type[Self]:
        """Create the subclass that stands for one specification."""
        namespace = {
            "spec": spec,
            "__doc__": f"{spec.summary}\n\n{cls.__doc__}",
            # Under these names pickle finds the class of an instance.
            "__module__": cls.facade,
            "__qualname__": spec.name,
        }
        return type(spec.name, (cls,), namespace)
