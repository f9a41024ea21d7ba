"""Checking the hyperparameters of an optimizer before any work starts."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

from deepobs import rng
from deepobs.errors import ArgumentError, closest, sentences
from deepobs.runs.construction import construct
from deepobs.runs.optimizers import (
    BASE,
    arguments_of,
    find_optimizer,
    first_argument_of,
    flags_of,
    requires_a_closure,
    takes,
    unknown_hyperparameters,
)
from deepobs.runs.parameter_groups import MUON_GROUPS, OPTIMIZER
from deepobs.runs.tiny_problem import network, point

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from deepobs.runs.optimizers import OptimizerChoice
    from deepobs.runs.parameter_groups import Groups

REFUSALS = (
    ArithmeticError,
    AssertionError,
    ImportError,
    IndexError,
    RuntimeError,
    TypeError,
    ValueError,
)
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
    checked = {role: _checked_group(choice, one) for role, one in (groups or {}).items()}
    try:
        _try_out(choice, chosen, checked)
    except Exception as error:
        if not isinstance(error, REFUSALS) and not _hint_at_a_base(choice, chosen):
            raise  # a mistake in the constructor, to be seen where it happens
        if groups is None and not choice.is_torchs:
            with contextlib.suppress(Exception):
                _try_out(choice, chosen, MUON_GROUPS)
                return chosen, MUON_GROUPS
        raise _refusal(choice, chosen, checked, error) from error
    return chosen, checked


def explanation(error: Exception) -> str:
    """What an optimizer says of arguments that it refuses."""
    text = str(error).rstrip(".")
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def _completed(choice: OptimizerChoice, given: Mapping[str, object]) -> dict[str, Any]:
    arguments = arguments_of(choice.optimizer_class)
    for name in unknown_hyperparameters(choice.optimizer_class, given):
        raise ArgumentError(
            sentences(
                f"{choice.name} has no hyperparameter {name!r}.",
                closest(name, arguments),
                f"It has: {', '.join(arguments)}.",
            )
        )
    chosen = _with_floats({**choice.defaults, **given}, arguments)
    learning_rate = arguments.get("lr")
    if learning_rate is not None and "lr" not in chosen:
        if learning_rate.default is inspect.Parameter.empty:
            raise ArgumentError(f"{choice.name} has no default learning rate: give one (lr).")
        chosen["lr"] = learning_rate.default
    return chosen


def _refusal(
    choice: OptimizerChoice, chosen: Mapping[str, Any], groups: Groups, error: Exception
) -> ArgumentError:
    given = [f"{name}={value!r}" for name, value in chosen.items()]
    given += [f"{settings!r} for {role} parameters" for role, settings in groups.items()]
    described = ", ".join(given) or "to be left at its defaults"
    return ArgumentError(
        sentences(
            f"{choice.name} does not accept {described}: {explanation(error)}.",
            _hint_at_a_base(choice, chosen),
        )
    )


def _hint_at_a_base(choice: OptimizerChoice, chosen: Mapping[str, Any]) -> str:
    first = first_argument_of(choice.optimizer_class)
    argument = first if first in ("base", "optimizer") else BASE
    if argument in chosen or argument not in {first, *arguments_of(choice.optimizer_class)}:
        return ""
    return f"It builds on another optimizer: name that, such as {argument}=SGD."


def _with_floats(
    values: Mapping[str, Any], arguments: Mapping[str, inspect.Parameter]
) -> dict[str, Any]:
    """Integers as floats where the argument is one, so that 1 and 1.0 are one setting."""
    return {
        name: _with_floats_as_in(arguments[name], value) if name in arguments else value
        for name, value in values.items()
    }


def _with_floats_as_in(argument: inspect.Parameter, value: Any) -> Any:
    if isinstance(value, list) and isinstance(argument.default, (tuple, list)):
        is_of_floats = all(isinstance(one, float) for one in argument.default)
        return [float(one) if type(one) is int and is_of_floats else one for one in value]
    return float(value) if type(value) is int and _takes_floats(argument) else value


def _takes_floats(argument: inspect.Parameter) -> bool:
    # torch writes `momentum: float = 0`
    return isinstance(argument.default, float) or "float" in str(argument.annotation)


def _checked_group(choice: OptimizerChoice, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the settings of a group, and refuse one that nobody would look at: torch keeps any.

    Raises:
        ArgumentError: There is such a one, or another optimizer does not accept its own.
    """
    if OPTIMIZER in settings:
        other = find_optimizer(settings[OPTIMIZER])
        own = {name: value for name, value in settings.items() if name != OPTIMIZER}
        return {OPTIMIZER: settings[OPTIMIZER], **checked_arguments(other, own, {})[0]}
    arguments = arguments_of(choice.optimizer_class)
    for name in settings:
        if not (takes(choice.optimizer_class, name) or repr(name) in _code(choice)):
            raise ArgumentError(
                sentences(
                    f"{choice.name} has no setting {name!r} of parameter groups.",
                    closest(name, arguments),
                    f"It has: {', '.join(arguments)}.",
                )
            )
    return _with_floats(settings, arguments)


def _code(choice: OptimizerChoice) -> str:
    """The code of a class, which names settings of groups that its constructor does not take."""
    try:
        return inspect.getsource(choice.optimizer_class).replace('"', "'")
    except (OSError, TypeError):
        return ""


def _try_group(
    choice: OptimizerChoice, chosen: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Build the optimizer with the settings of a group: those in groups are not looked at then."""
    arguments = arguments_of(choice.optimizer_class)
    if OPTIMIZER not in settings and settings.keys() <= arguments.keys():
        construct(choice.optimizer_class, point(), {**chosen, **settings}, groups={}, needs=())


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
    needs = {"model"} & {first_argument_of(choice.optimizer_class)}
    # Torch's own draw no random numbers to be put back, which would take most of the time.
    with contextlib.nullcontext() if choice.is_torchs else rng.preserved():
        model = network() if needs or groups else point()
        optimizer = construct(choice.optimizer_class, model, chosen, groups=groups, needs=needs)
        for settings in groups.values():
            _try_group(choice, chosen, settings)
        if choice.is_torchs and not groups:
            _try_step(optimizer, str(flags_of(dict(chosen))))
