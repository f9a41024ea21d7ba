"""Finding an optimizer by name and checking its hyperparameters before any work starts."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from deepobs.errors import (
    ArgumentError,
    DeepOBSError,
    UnknownNameError,
    closest,
    sentences,
)
from deepobs.plugins import registry
from deepobs.plugins.catalog import import_target
from deepobs.runs.evaluation import undisturbed_random_state

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEEDS_SPARSE_GRADIENTS = {"SparseAdam"}

REFUSALS = (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError)
"""What constructors of optimizers raise at arguments that they do not accept."""


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """An optimizer class and what a run has to know about it.

    Attributes:
        name: What result files call it.
        optimizer_class: The class itself.
        defaults: Hyperparameters that differ from those of the class.
        needs_closure: Whether `step` evaluates the objective itself.
        distribution: The plugin that offers the name; empty for a class named by its module.
    """

    name: str
    optimizer_class: type[torch.optim.Optimizer]
    defaults: Mapping[str, object] = field(default_factory=dict)
    needs_closure: bool = False
    distribution: str = ""

    @property
    def target(self) -> str:
        """Where the class is, as `package.module:Class`."""
        # The modules inside torch.optim may be renamed; the names in it stay.
        if getattr(torch.optim, self.optimizer_class.__name__, None) is self.optimizer_class:
            return f"torch.optim:{self.optimizer_class.__name__}"
        return f"{self.optimizer_class.__module__}:{self.optimizer_class.__qualname__}"

    @property
    def source(self) -> str:
        """A hash of the code of a class that no plugin and no release of torch vouches for.

        An optimizer that is still being written is another one after every change. Comments and
        formatting do not count. Empty for released classes, and where the code cannot be found.
        """
        if self.distribution or self.target.startswith("torch.optim:"):
            return ""
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(self.optimizer_class)))
        except (OSError, SyntaxError, TypeError):
            return ""
        return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:8]


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
    catalog = registry().optimizers
    try:
        offer = catalog.offer(optimizer)
    except UnknownNameError:
        return _from_class(_class_outside_the_registry(optimizer))
    return OptimizerChoice(
        name=offer.spec.name,
        optimizer_class=checked_class(catalog.load(optimizer)),
        defaults=offer.spec.defaults,
        needs_closure=offer.spec.needs_closure,
        distribution=offer.distribution,
    )


def target_of_name(name: str) -> str | None:
    """The class that a short name stands for.

    Args:
        name: A name of an optimizer, as result files have it.

    Returns:
        The class as `package.module:Class`; `None` where nobody uses the name, and the empty string
        where it does not lead to one class, as when two plugins offer it.
    """
    try:
        return find_optimizer(name).target
    except UnknownNameError:
        return None
    except DeepOBSError:
        return ""


def checked_hyperparameters(
    choice: OptimizerChoice, given: Mapping[str, object]
) -> dict[str, object]:
    """Complete the hyperparameters and try them in a step on a parameter of one number.

    Args:
        choice: The optimizer.
        given: What the user set, by name.

    Returns:
        The hyperparameters with the defaults that deviate from the class and, where the class has
        one, its learning rate.

    Raises:
        ArgumentError: A name is unknown, a required one is missing, or a value is not accepted.
    """
    parameters = _hyperparameters(choice.optimizer_class)
    for name in given:
        if not takes(choice.optimizer_class, name):
            raise ArgumentError(
                sentences(
                    f"{choice.name} has no hyperparameter {name!r}.",
                    closest(name, parameters),
                    f"It has: {', '.join(parameters)}.",
                )
            )
    chosen = {**choice.defaults, **given}
    for name, value in chosen.items():
        if name in parameters and isinstance(parameters[name].default, float):
            chosen[name] = _as_float(value)  # 1 and 1.0 are one setting
    learning_rate = parameters.get("lr")
    if learning_rate is not None and "lr" not in chosen:
        if learning_rate.default is inspect.Parameter.empty:
            raise ArgumentError(f"{choice.name} has no default learning rate: give one (lr).")
        chosen["lr"] = learning_rate.default
    _try_out(choice, chosen)
    return chosen


def takes(optimizer_class: type[torch.optim.Optimizer], name: str) -> bool:
    """Whether the constructor of an optimizer has a hyperparameter of this name, or takes any."""
    parameters = _hyperparameters(optimizer_class)
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    return takes_any or name in parameters


def checked_class(value: object) -> type[torch.optim.Optimizer]:
    """Refuse what is no class of optimizers.

    Raises:
        ArgumentError: It is not.
    """
    if not (isinstance(value, type) and issubclass(value, torch.optim.Optimizer)):
        raise ArgumentError(
            f"An optimizer must be a subclass of torch.optim.Optimizer, got {value!r}."
        )
    return value


def _try_out(choice: OptimizerChoice, hyperparameters: Mapping[str, object]) -> None:
    """Build the optimizer and, if it is torch's, take a step: some values are refused only then.

    In an optimizer of the user's own a step that fails is no wrong value but a mistake, which is to
    be seen where it happens.
    """
    # Two dimensions, since some optimizers take nothing but matrices.
    parameter = torch.nn.Parameter(torch.ones(1, 1, device="cpu"))
    parameter.grad = torch.ones_like(parameter)
    is_torchs = choice.target.startswith("torch.optim:")
    with undisturbed_random_state():
        try:
            optimizer = choice.optimizer_class([parameter], **hyperparameters)  # type: ignore[arg-type]
            if is_torchs and not choice.needs_closure:
                optimizer.step()
        except REFUSALS as error:
            described = ", ".join(f"{name}={value!r}" for name, value in hyperparameters.items())
            raise ArgumentError(
                f"{choice.name} does not accept {described}: {explanation(error)}."
            ) from error


def explanation(error: Exception) -> str:
    """What an optimizer says of arguments that it refuses."""
    text = str(error).rstrip(".")
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def _as_float(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _hyperparameters(optimizer_class: type) -> dict[str, inspect.Parameter]:
    """The parameters of the constructor besides `self` and the model's parameters."""
    parameters = list(inspect.signature(optimizer_class).parameters.items())
    return dict(parameters[1:])


def _from_class(value: object) -> OptimizerChoice:
    """A choice made by class instead of by registered name."""
    optimizer_class = checked_class(value)
    if optimizer_class.__name__ in _NEEDS_SPARSE_GRADIENTS:
        raise ArgumentError(
            f"{optimizer_class.__name__} needs sparse gradients, which no test problem has."
        )
    return OptimizerChoice(
        name=optimizer_class.__name__,
        optimizer_class=optimizer_class,
        needs_closure=_needs_closure(optimizer_class),
    )


def _needs_closure(optimizer_class: type[torch.optim.Optimizer]) -> bool:
    """Whether `step` cannot be called without one."""
    closure = inspect.signature(optimizer_class.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _class_outside_the_registry(name: str) -> Any:
    if ":" in name:
        return import_target(name, "The optimizer")
    value = getattr(torch.optim, name, None)
    if isinstance(value, type) and issubclass(value, torch.optim.Optimizer):
        return value
    known = {*registry().optimizers.names(), *_classes_of_torch()}
    raise UnknownNameError(
        sentences(
            f"There is no optimizer {name!r}.",
            closest(name, known),
            "`deepobs list optimizers` lists all; "
            "a class of your own is named as package.module:Class.",
        )
    )


def _classes_of_torch() -> list[str]:
    return [
        name
        for name, value in vars(torch.optim).items()
        if isinstance(value, type)
        and issubclass(value, torch.optim.Optimizer)
        and value is not torch.optim.Optimizer
        and name not in _NEEDS_SPARSE_GRADIENTS
    ]
