"""Finding an optimizer by its name."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from deepobs.checks import check_length
from deepobs.errors import ArgumentError, DeepOBSError, UnknownNameError, closest, sentences
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BASE = "base_optimizer"
"""What optimizers that build another one call the argument that takes its class."""

_NEEDS_SPARSE_GRADIENTS = {"SparseAdam"}


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """An optimizer class and what a run has to know about it.

    Attributes:
        name: What result files call it.
        optimizer_class: The class itself.
        defaults: Hyperparameters that differ from those of the class.
        needs: What its plugin says that it needs, words of `NEEDS`; `None` where that is not said.
        distribution: The plugin that offers the name; empty for a class named by its module.
    """

    name: str
    optimizer_class: type[torch.optim.Optimizer]
    defaults: Mapping[str, object] = field(default_factory=dict)
    needs: tuple[str, ...] | None = None
    distribution: str = ""

    @property
    def target(self) -> str:
        """Where the class is, as `package.module:Class`."""
        if self.is_torchs:  # whose modules may be renamed; the names in torch.optim stay
            return f"torch.optim:{self.optimizer_class.__name__}"
        return f"{self.optimizer_class.__module__}:{self.optimizer_class.__qualname__}"

    @property
    def is_torchs(self) -> bool:
        """Whether torch brings the class."""
        return getattr(torch.optim, self.optimizer_class.__name__, None) is self.optimizer_class

    @property
    def source(self) -> str:
        """A hash of the code of a class that no plugin and no release of torch vouches for.

        An optimizer that is still being written is another one after every change. Comments and
        formatting do not count. Empty for released classes, and where the code cannot be found.
        """
        of_class: Any = self.optimizer_class
        return "" if self.distribution or self.is_torchs else _hash_of_code(of_class)


def find_optimizer(optimizer: str | type[torch.optim.Optimizer]) -> OptimizerChoice:
    """Find an optimizer.

    Args:
        optimizer: A registered name, the name of any class of `torch.optim`, `package.module:Class`
            or a class.

    Raises:
        UnknownNameError: There is none of this name.
        AmbiguousNameError: Two plugins offer the name.
        ComponentLoadError: Its module cannot be imported.
        ArgumentError: It is no optimizer.
    """
    if not isinstance(optimizer, str):
        return _from_class(optimizer)
    return _registered(optimizer) or _from_class(_class_outside_the_registry(optimizer))


def target_of_name(name: str) -> str | None:
    """The class that a short name stands for.

    Args:
        name: A name of an optimizer, as result files have it.

    Returns:
        The class as `package.module:Class`; `None` where nobody uses the name, and the empty string
        where it does not lead to one class, as when two plugins offer it.
    """
    try:
        registered = _registered(name)
        if registered is not None:
            return registered.target
        return _from_class(getattr(torch.optim, name)).target if _is_torchs(name) else None
    except DeepOBSError:
        return ""


def signature_of(function: Any) -> inspect.Signature:
    """The signature, remembered: to find it out takes longer than all else about a setting."""
    return _signature_of(function)


def arguments_of(
    optimizer_class: type[torch.optim.Optimizer],
) -> Mapping[str, inspect.Parameter]:
    """The arguments of a constructor besides the first, which takes the parameters."""
    of_class: Any = optimizer_class
    return _arguments_of(of_class)


def first_argument_of(optimizer_class: type[torch.optim.Optimizer]) -> str | None:
    """What a constructor calls its first argument.

    That is "model" where it takes the model in place of its parameters; one that wraps another
    optimizer calls it "optimizer" or the like.
    """
    return next(iter(signature_of(optimizer_class).parameters), None)


def requires_a_closure(optimizer_class: type[torch.optim.Optimizer]) -> bool:
    """Whether `step` cannot be called without one."""
    closure = signature_of(optimizer_class.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def flags_of(value: Any) -> Any:
    """Hyperparameters without their numbers: what decides how an optimizer works."""
    if isinstance(value, dict):
        return {name: flags_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [flags_of(item) for item in value]
    return value if isinstance(value, (str, bool)) else None


def takes(optimizer_class: type[torch.optim.Optimizer], name: str) -> bool:
    """Whether the constructor of an optimizer has a hyperparameter of this name, or takes any."""
    arguments = arguments_of(optimizer_class)
    if name in arguments:
        return True
    return any(one.kind is inspect.Parameter.VAR_KEYWORD for one in arguments.values())


def unknown_hyperparameters(
    optimizer_class: type[torch.optim.Optimizer], names: Iterable[str]
) -> list[str]:
    """Find the names that a constructor does not take.

    Args:
        optimizer_class: The class.
        names: All hyperparameters that are given to it. Where the other optimizer is among them
            that the class wraps, that one gets whatever the class itself does not know.
    """
    given = list(names)
    first = first_argument_of(optimizer_class)
    if first in given and first not in ("params", "model"):
        return []
    return [name for name in given if not takes(optimizer_class, name)]


def checked_class(value: object, what: str = "") -> type[torch.optim.Optimizer]:
    """Refuse what is no class of optimizers.

    Some that wrap another optimizer are no subclasses of torch's, but have its methods.

    Args:
        value: What may be one.
        what: What the message begins with.

    Raises:
        ArgumentError: It is not.
    """
    can_step = all(callable(getattr(value, name, None)) for name in ("step", "zero_grad"))
    if not (isinstance(value, type) and can_step):
        raise ArgumentError(
            f"{what}An optimizer must be a subclass of torch.optim.Optimizer, got {value!r}."
        )
    return value


def _registered(name: str) -> OptimizerChoice | None:
    catalog = registry().optimizers
    offer = catalog.find(name)
    if offer is None:
        return None
    return OptimizerChoice(
        name=offer.spec.name,
        optimizer_class=checked_class(catalog.load(name), f"{catalog.described(name)} is none: "),
        defaults=offer.spec.defaults,
        needs=offer.spec.needs,
        distribution=offer.distribution,
    )


def _from_class(value: object) -> OptimizerChoice:
    """A choice made by class instead of by registered name."""
    optimizer_class = checked_class(value)
    check_length("The name of an optimizer", optimizer_class.__name__)
    if optimizer_class.__name__ in _NEEDS_SPARSE_GRADIENTS:
        raise ArgumentError(
            f"{optimizer_class.__name__} needs sparse gradients, which no test problem has. "
            "`deepobs list optimizers` shows others."
        )
    return OptimizerChoice(name=optimizer_class.__name__, optimizer_class=optimizer_class)


def _class_outside_the_registry(name: str) -> Any:
    if ":" in name:
        return import_target(name, "The optimizer")
    if _is_torchs(name):
        return getattr(torch.optim, name)
    known = {*registry().optimizers.names(), *filter(_is_torchs, dir(torch.optim))}
    raise UnknownNameError(
        sentences(
            f"There is no optimizer {name!r}.",
            closest(name, known),
            "`deepobs list optimizers` lists all; "
            "a class of your own is named as package.module:Class.",
        )
    )


def _is_torchs(name: str) -> bool:
    """Whether `torch.optim` has an optimizer of this name."""
    value = getattr(torch.optim, name, None)
    is_class = isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    return is_class and value is not torch.optim.Optimizer


_signature_of = functools.cache(inspect.signature)


@functools.cache
def _arguments_of(optimizer_class: Any) -> Mapping[str, inspect.Parameter]:
    arguments = list(signature_of(optimizer_class).parameters.items())
    return MappingProxyType(dict(arguments[1:]))


@functools.cache
def _hash_of_code(optimizer_class: Any) -> str:
    package = optimizer_class.__module__.partition(".")[0]
    # What it inherits from the same package may be changed as well.
    ours = [c for c in inspect.getmro(optimizer_class) if c.__module__.partition(".")[0] == package]
    try:
        trees = [ast.parse(textwrap.dedent(inspect.getsource(each))) for each in ours]
    except (OSError, SyntaxError, TypeError):
        return ""
    code = "\n".join(map(ast.unparse, trees))
    return hashlib.sha256(code.encode()).hexdigest()[:8]
