"""Checking an optimizer on a tiny problem before a run: hyperparameters and step protocol."""

from __future__ import annotations

import contextlib
import math
import traceback
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from deepobs import rng
from deepobs.checks import in_json_types
from deepobs.errors import ArgumentError, closest, sentences
from deepobs.runs.construction import construct, take_trial_step, trial_of_torch
from deepobs.runs.constructors import (
    BASE,
    build_from_named,
    building_needs,
    code_of,
    constructor_of,
    is_required,
    optimizer_arguments,
    unknown_hyperparameters,
)
from deepobs.runs.optimizers import (
    OPTIMIZER,
    OTHERS,
    REFUSALS,
    Groups,
    Needs,
    OptimizerChoice,
    check_groups,
    defaults_of,
    find_optimizer,
    reason_of,
)
from deepobs.runs.step_protocols import check_joint, check_needs, infer_needs, steps_by_signature

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Collection, Iterable, Mapping

    from deepobs.run_specifications import RunSpecification

_MUON_KEY = "use_muon"
MUON_GROUPS: Groups = {"hidden": {_MUON_KEY: True}, OTHERS: {_MUON_KEY: False}}
"""Groups that optimizers require which are Muon for hidden matrices and another for the rest."""

# One number with a gradient, of two dimensions, since some optimizers take only matrices. The same
# for all trials, back at 1 after each: building a module takes longer than a trial.
_NUMBER = nn.Parameter(torch.ones(1, 1, device="cpu"))
_NUMBER.grad = torch.ones(1, 1, device="cpu")
_POINT = nn.ParameterList([_NUMBER])

_step_works: set[tuple[type, object]] = set()


def resolve_optimizer(
    optimizer: str | type[torch.optim.Optimizer],
    hyperparameters: Mapping[str, object] | None = None,
    *,
    groups: Mapping[str, Mapping[str, object]] | None = None,
    needs: Iterable[str] | None = None,
) -> tuple[OptimizerChoice, dict[str, Any], tuple[str, ...], Groups, Needs]:
    """Find an optimizer, check its hyperparameters and complete them.

    Args:
        optimizer: What `find_optimizer` takes.
        hyperparameters: Arguments of its constructor by name.
        groups: Further hyperparameters by parameter role; `None` for those that it requires.
        needs: Its step protocol, words of `NEEDS`; `None` to infer it.

    Returns:
        The optimizer; its complete hyperparameters, as result files hold them; which of them,
        besides the learning rate, are at the defaults of the constructor; its parameter groups; and
        its step protocol.

    Raises:
        DeepOBSError: A name is unknown, or a value is not accepted.
    """
    choice = find_optimizer(optimizer)
    given_groups = None if groups is None else check_groups(groups)
    given = in_json_types("Hyperparameters", hyperparameters or {})
    chosen, all_groups = complete_hyperparameters(choice, given, given_groups)
    found = ("plain",) if needs is None else check_needs(needs)
    # Said or found to be plain is the same; said to be plain where something else would be found
    # is not.
    if found == ("plain",):
        inferred = infer_needs(choice, chosen, all_groups)
        found = inferred if needs is None or not inferred else found
    if all_groups:
        check_joint(found, all_groups)
    complete = in_json_types("Hyperparameters", chosen)
    return choice, complete, _at_defaults(choice, complete), all_groups, found


def _at_defaults(choice: OptimizerChoice, hyperparameters: Mapping[str, Any]) -> tuple[str, ...]:
    # What a plugin has other defaults for than the class is part of a configuration.
    defaults = defaults_of(choice.optimizer_class)
    return tuple(
        name
        for name, value in sorted(hyperparameters.items())
        if name != "lr"
        and name not in choice.defaults
        and name in defaults
        # True equals 1, but is another configuration.
        and value == defaults[name]
        and isinstance(value, bool) == isinstance(defaults[name], bool)
    )


def with_numbers(
    choice: OptimizerChoice, run: RunSpecification, given: Mapping[str, Any]
) -> RunSpecification | None:
    """The run with other hyperparameters, of which only numbers differ; `None` if they may not fit.

    Args:
        choice: The optimizer of the run.
        run: A run without parameter groups.
        given: Hyperparameters in the types of JSON, with the `flags_of` those of the run.
    """
    if not choice.is_from_torch:
        return None
    chosen = _completed(choice, given)
    # All that torch's own classes do with a number before the first step is to check it.
    try:
        trial_of_torch(choice.optimizer_class, [{"params": [_NUMBER]}], chosen)
    except Exception:
        return None
    at_defaults = _at_defaults(choice, chosen)
    return run.model_copy(update={"hyperparameters": chosen, "at_defaults": at_defaults})


def complete_hyperparameters(
    choice: OptimizerChoice, given: Mapping[str, object], groups: Groups | None = None
) -> tuple[dict[str, Any], Groups]:
    """Complete hyperparameters and try them on a few numbers.

    Args:
        choice: The optimizer.
        given: Its hyperparameters by name.
        groups: Further hyperparameters by parameter role; `None` for those that it requires.

    Returns:
        The hyperparameters, with the defaults that differ from the class and the learning rate if
        it has one; and the groups.

    Raises:
        ArgumentError: A name is unknown, a required one is missing, or a value is not accepted.
    """
    chosen = _completed(choice, given)
    checked = {role: complete_group(choice, values) for role, values in (groups or {}).items()}
    try:
        _try_out(choice, chosen, checked)
    except Exception as error:
        hint = _hint_at_a_base(choice, chosen)
        # Only where the class speaks of them: others would train in other groups, unasked.
        if groups is None and _speaks_of(_MUON_KEY, choice, error):
            with contextlib.suppress(Exception):
                _try_out(choice, chosen, MUON_GROUPS)
                return chosen, MUON_GROUPS
        if (
            groups is None
            and not choice.is_from_torch
            and not building_needs(choice.optimizer_class)
        ):
            reason = f"its constructor refuses a list of parameters ({reason_of(error)})"
            with contextlib.suppress(Exception):
                _try_out(choice, chosen, {}, needs=["named_parameters"])
                build_from_named(choice.optimizer_class, reason)
                return chosen, checked
        if not (isinstance(error, REFUSALS) or choice.is_from_torch or hint):
            raise  # a bug in the constructor, which its traceback shows
        described = [f"{name}={value!r}" for name, value in chosen.items()]
        described += [f"{values!r} for {role} parameters" for role, values in checked.items()]
        raise ArgumentError(
            sentences(
                f"{choice.name} does not accept {', '.join(described) or 'its defaults'}: "
                f"{reason_of(error)}.",
                hint,
            )
        ) from error
    return chosen, checked


def _completed(choice: OptimizerChoice, given: Mapping[str, object]) -> dict[str, Any]:
    _, arguments = constructor_of(choice.optimizer_class)
    for name in unknown_hyperparameters(choice.optimizer_class, given):
        raise unknown_hyperparameter(choice, name)
    chosen = _with_floats({**choice.defaults, **given}, arguments)
    learning_rate = arguments.get("lr")
    if learning_rate is not None and "lr" not in chosen:
        if is_required(learning_rate):
            raise ArgumentError(f"{choice.name} has no default learning rate: give one (lr).")
        chosen["lr"] = learning_rate.default
    return chosen


def complete_group(choice: OptimizerChoice, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check hyperparameters for a group of parameters, and complete those of another optimizer.

    Args:
        choice: The optimizer.
        values: The hyperparameters by name.

    Raises:
        DeepOBSError: A name is unknown, or a value is not accepted.
    """
    if OPTIMIZER in values:
        own = {name: value for name, value in values.items() if name != OPTIMIZER}
        other = find_optimizer(values[OPTIMIZER])
        return {OPTIMIZER: values[OPTIMIZER], **complete_hyperparameters(other, own, {})[0]}
    _, arguments = constructor_of(choice.optimizer_class)
    for name in unknown_in_group(choice, values):
        raise unknown_hyperparameter(choice, name, " for parameter groups")
    return _with_floats(values, arguments)


def unknown_hyperparameter(choice: OptimizerChoice, name: str, where: str = "") -> ArgumentError:
    """The error for a hyperparameter that an optimizer does not have.

    Args:
        choice: The optimizer.
        name: The hyperparameter.
        where: The end of the first sentence, such as " for parameter groups".
    """
    _, known = constructor_of(choice.optimizer_class)
    return ArgumentError(
        sentences(
            f"{choice.name} has no hyperparameter {name!r}{where}.",
            closest(name, known),
            f"It has: {', '.join(known)}.",
        )
    )


def unknown_in_group(choice: OptimizerChoice, names: Iterable[str]) -> list[str]:
    """Find the names that an optimizer does not read in a group of parameters."""
    # torch stores any key of a group, even a misspelled one that nothing reads. Some optimizers
    # read keys that their constructors do not take, such as `use_muon`: their code names them.
    unknown = unknown_hyperparameters(choice.optimizer_class, names)
    return [name for name in unknown if repr(name) not in code_of(choice.optimizer_class)]


def _speaks_of(word: str, choice: OptimizerChoice, error: Exception) -> bool:
    """Whether a class, or its refusal with the lines of code that led to it, has a word."""
    if choice.is_from_torch:
        return False
    return word in code_of(choice.optimizer_class) or word in "".join(
        traceback.format_exception(error)
    )


def _hint_at_a_base(choice: OptimizerChoice, chosen: Mapping[str, Any]) -> str:
    first, arguments = constructor_of(choice.optimizer_class)
    required = [first] if first in ("base", "optimizer", BASE) else []
    others = optimizer_arguments(choice.optimizer_class)
    required += [name for name in others if not hasattr(arguments[name].default, "step")]
    missing = [name for name in required if name not in chosen]
    return f"It wraps another optimizer: name that, such as {missing[0]}=SGD." if missing else ""


def _with_floats(
    values: Mapping[str, Any], arguments: Mapping[str, inspect.Parameter]
) -> dict[str, Any]:
    """Convert integers for arguments that take floats, so that 1 and 1.0 are one configuration."""
    converted = dict(values)
    if isinstance(values.get("lr"), float) and not math.isfinite(values["lr"]):
        raise ArgumentError(f"Learning rates must be finite numbers, got {values['lr']}.")
    for name in values.keys() & arguments.keys():
        value, argument = values[name], arguments[name]
        if isinstance(value, list) and isinstance(argument.default, (tuple, list)):
            if all(isinstance(one, float) for one in argument.default):
                converted[name] = [float(one) if type(one) is int else one for one in value]
        # torch writes `momentum: float = 0`, where only the annotation tells.
        elif type(value) is int and (
            isinstance(argument.default, float) or "float" in str(argument.annotation)
        ):
            converted[name] = float(value)
    return converted


def _try_out(
    choice: OptimizerChoice,
    chosen: Mapping[str, Any],
    groups: Groups,
    needs: Collection[str] | None = None,
) -> None:
    """Build the optimizer and, if it is torch's, take a step: some values are refused only then."""
    optimizer_class = choice.optimizer_class
    _, arguments = constructor_of(optimizer_class)
    # Torch's own optimizers draw no random numbers, and restoring the RNGs would take most of the
    # time.
    with contextlib.nullcontext() if choice.is_from_torch else rng.preserved():
        optimizer = _built(choice, chosen, groups, needs)
        for values in groups.values():
            # Constructors validate their arguments, but rarely the values in groups.
            if OPTIMIZER not in values and values.keys() <= arguments.keys():
                construct(optimizer_class, _POINT, {**chosen, **values}, groups={}, needs=())
        if not choice.is_from_torch or groups:
            # A step that fails in a user's own optimizer is a bug to be seen in the run, not a
            # value that is refused.
            return
        # Flags decide how torch's steps work, and numbers do not.
        key = optimizer_class, flags_of(chosen)
        if key not in _step_works:
            if "closure" not in steps_by_signature(optimizer_class)[0]:
                try:
                    take_trial_step(optimizer)
                finally:
                    _NUMBER.data.fill_(1.0)
            _step_works.add(key)


def flags_of(hyperparameters: Mapping[str, Any]) -> tuple[tuple[str, str | bool | None], ...]:
    """What tells kinds of configurations apart: all hyperparameters, but of numbers their names."""
    return tuple(
        (name, value if isinstance(value, (str, bool)) else None)
        for name, value in hyperparameters.items()
    )


def _built(
    choice: OptimizerChoice,
    chosen: Mapping[str, Any],
    groups: Groups,
    needs: Collection[str] | None = None,
) -> torch.optim.Optimizer:
    """Build the optimizer of a number or, where roles or the model matter, of a tiny network."""
    # Sweeps do this thousands of times, and asking a module for its parameters takes longer.
    if choice.is_from_torch and not groups:
        return trial_of_torch(choice.optimizer_class, [{"params": [_NUMBER]}], chosen)
    needs = building_needs(choice.optimizer_class) if needs is None else needs
    model: nn.Module = _POINT
    if needs or groups:
        from deepobs.runs.optimizer_trials import network

        model = network()
    return construct(choice.optimizer_class, model, chosen, groups=groups, needs=needs)


def stand_in_of(
    choice: OptimizerChoice, chosen: Mapping[str, Any], groups: Groups
) -> tuple[object, Callable[[bool], torch.optim.Optimizer | None]]:
    """What tries a schedule before there is a model; see `deepobs.runs.schedulers.StandIn`.

    Args:
        choice: The optimizer.
        chosen: Its hyperparameters, which it accepts.
        groups: Hyperparameters by parameter role.

    Returns:
        What tells it apart from others, its numbers aside; and a function that builds it.
    """

    def build(is_for_torch: bool) -> torch.optim.Optimizer | None:
        with contextlib.suppress(Exception):  # the run shows it
            if is_for_torch or groups or not choice.is_from_torch:
                return _built(choice, chosen, groups)
            return construct(choice.optimizer_class, _POINT, chosen, groups={}, needs=())
        return None

    return (choice.optimizer_class, flags_of(chosen), str(groups)), build
