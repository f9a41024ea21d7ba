"""Checking the hyperparameters of an optimizer before any work starts."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError, closest, sentences
from deepobs.runs.construction import construct
from deepobs.runs.evaluation import undisturbed_random_state
from deepobs.runs.optimizers import (
    arguments_of,
    find_optimizer,
    flags_of,
    requires_a_closure,
    takes,
    takes_the_model,
)
from deepobs.runs.parameter_groups import MUON_GROUPS, OPTIMIZER
from deepobs.runs.tiny_problem import network, point

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from deepobs.runs.optimizers import OptimizerChoice
    from deepobs.runs.parameter_groups import Groups

REFUSALS = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
"""What constructors of optimizers raise at arguments that they do not accept."""


_step_works: set[tuple[type, str]] = set()


def checked_arguments(
    choice: OptimizerChoice, given: Mapping[str, object], groups: Groups | None = None
) -> tuple[dict[str, Any], Groups]:
    """Complete the arguments of an optimizer and try them on a few numbers.

    Args:
        choice: The optimizer.
        given: What the user set, by name.
        groups: Further hyperparameters by the role of parameters; `None` where the user set none.

    Returns:
        The hyperparameters, with the defaults that deviate from the class and, where the class has
        one, its learning rate; and the groups, with those that the class cannot do without.

    Raises:
        ArgumentError: A name is unknown, a required one is missing, or a value is not accepted.
    """
    chosen = _completed(choice, given)
    for settings in (groups or {}).values():
        _check_group(choice, settings)
    try:
        _try_out(choice, chosen, groups or {})
    except REFUSALS as error:
        if groups is None and not choice.is_torchs:
            with contextlib.suppress(*REFUSALS):
                _try_out(choice, chosen, MUON_GROUPS)
                return chosen, MUON_GROUPS
        described = ", ".join(f"{name}={value!r}" for name, value in chosen.items())
        with_groups = f" with the parameter groups {groups}" if groups else ""
        raise ArgumentError(
            f"{choice.name} does not accept {described}{with_groups}: {explanation(error)}."
        ) from error
    return chosen, groups or {}


def explanation(error: Exception) -> str:
    """What an optimizer says of arguments that it refuses."""
    text = str(error).rstrip(".")
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def _completed(choice: OptimizerChoice, given: Mapping[str, object]) -> dict[str, Any]:
    arguments = arguments_of(choice.optimizer_class)
    for name in given:
        if not takes(choice.optimizer_class, name):
            raise ArgumentError(
                sentences(
                    f"{choice.name} has no hyperparameter {name!r}.",
                    closest(name, arguments),
                    f"It has: {', '.join(arguments)}.",
                )
            )
    chosen = {**choice.defaults, **given}
    for name, value in chosen.items():
        if name in arguments and isinstance(arguments[name].default, float):
            chosen[name] = _as_float(value)  # 1 and 1.0 are one setting
    learning_rate = arguments.get("lr")
    if learning_rate is not None and "lr" not in chosen:
        if learning_rate.default is inspect.Parameter.empty:
            raise ArgumentError(f"{choice.name} has no default learning rate: give one (lr).")
        chosen["lr"] = learning_rate.default
    return chosen


def _as_float(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_group(choice: OptimizerChoice, settings: Mapping[str, Any]) -> None:
    """Refuse a setting of a group that nobody would look at: torch keeps any."""
    if OPTIMIZER in settings:
        own = {name: value for name, value in settings.items() if name != OPTIMIZER}
        checked_arguments(find_optimizer(settings[OPTIMIZER]), own)
        return
    for name in settings:
        if not takes(choice.optimizer_class, name) and not _mentions(choice.optimizer_class, name):
            known = arguments_of(choice.optimizer_class)
            raise ArgumentError(
                sentences(
                    f"{choice.name} has no setting {name!r} of parameter groups.",
                    closest(name, known),
                    f"It has: {', '.join(known)}.",
                )
            )


def _mentions(optimizer_class: type, name: str) -> bool:
    """Whether the code of a class names a setting that its constructor does not take."""
    try:
        code = inspect.getsource(optimizer_class)
    except (OSError, TypeError):
        return True  # nobody knows
    return repr(name) in code or f'"{name}"' in code


def _try_step(optimizer: torch.optim.Optimizer, flags: str) -> None:
    """Take a step: some flags are refused only then."""
    key = (type(optimizer), flags)
    if key not in _step_works and not requires_a_closure(type(optimizer)):
        optimizer.step()
        _step_works.add(key)


def _try_out(choice: OptimizerChoice, chosen: Mapping[str, Any], groups: Groups) -> None:
    """Build the optimizer and, if it is torch's, take a step: some values are refused only then.

    In an optimizer of the user's own a step that fails is no wrong value but a mistake, which is to
    be seen where it happens.
    """
    needs = {"model"} if takes_the_model(choice.optimizer_class) else set()
    # Torch's own draw no random numbers to be put back, which would take most of the time.
    with contextlib.nullcontext() if choice.is_torchs else undisturbed_random_state():
        model = network() if needs or groups else point()
        optimizer = construct(choice.optimizer_class, model, chosen, groups=groups, needs=needs)
        if choice.is_torchs and not groups:
            _try_step(optimizer, str(flags_of(dict(chosen))))
