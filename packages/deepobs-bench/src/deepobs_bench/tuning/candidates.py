"""Candidates: suggested values of hyperparameters, turned into runs or refused."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError
from deepobs.runs import specify
from deepobs.runs.optimizers import find_optimizer
from deepobs_bench.tuning.spaces import PROBLEM_OPTIONS, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

    from deepobs.records import RunSpecification


_NOT_SHARED = {
    *("testproblem", "optimizer", "optimizer_target", "hyperparameters"),  # stated elsewhere
    *("random_seed", "device", "train_log_interval", "label"),
}


@dataclass(frozen=True)
class Base:
    """What all trials share."""

    testproblem: str
    optimizer: str | type[torch.optim.Optimizer]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A suggested configuration: its runs, or why the optimizer refused it."""

    setting: dict[str, Any]
    specifications: tuple[RunSpecification, ...] = ()
    refusal: str = ""


def candidate(base: Base, setting: dict[str, Any], seeds: Iterable[int]) -> Candidate:
    """Describe the runs of a configuration, one for each seed."""
    try:
        hyperparameters, options = _arguments(base, setting)
        # Checked once: the seeds of a configuration are all accepted, or none.
        first = specify(base.testproblem, base.optimizer, hyperparameters, **options)
    # No error of the tuning: a sampler can draw values that exclude each other, such as Nesterov
    # momentum without momentum.
    except ArgumentError as error:
        return Candidate(setting, refusal=str(error))
    runs = tuple(first.model_copy(update={"random_seed": seed}) for seed in seeds)
    return Candidate(setting, runs)


def common_parts(example: RunSpecification, space: Iterable[str]) -> dict[str, Any]:
    """What the runs of all trials share.

    Args:
        example: One of them.
        space: Names of what is tuned.
    """
    tuned = {PROBLEM_OPTIONS[name] for name in space if name in PROBLEM_OPTIONS}
    # Without defaults: the identity of the tuning would change with every new option of runs.
    return example.model_dump(mode="json", exclude=_NOT_SHARED | tuned, exclude_defaults=True)


def require_space(base: Base, names: Iterable[str]) -> None:
    """Refuse a space that no values of it could turn into runs."""
    for name in names:
        is_given = name in base.hyperparameters or (
            name in PROBLEM_OPTIONS and base.options.get(PROBLEM_OPTIONS[name]) is not None
        )
        if is_given:
            raise ArgumentError(f"{name} is both given and tuned: remove one of them.")
        if whole(name) != name:
            _with_element(base, base.hyperparameters, name, None)


def _arguments(base: Base, setting: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    hyperparameters, options = dict(base.hyperparameters), dict(base.options)
    for name, value in setting.items():
        if name in PROBLEM_OPTIONS:
            options[PROBLEM_OPTIONS[name]] = value
        elif whole(name) != name:
            hyperparameters |= _with_element(base, hyperparameters, name, value)
        else:
            hyperparameters[name] = value
    return hyperparameters, options


def _with_element(
    base: Base, hyperparameters: Mapping[str, Any], element: str, value: Any
) -> dict[str, Any]:
    """Replace one element of a hyperparameter that is a list."""
    name, position = whole(element), int(element.rpartition("[")[2].rstrip("]"))
    numbers = hyperparameters.get(name, _default(base.optimizer, name))
    if not isinstance(numbers, (list, tuple)) or position >= len(numbers):
        described = "has no default" if numbers is None else f"is {numbers!r}"
        raise ArgumentError(
            f"{element} is not an element of the hyperparameter {name!r}, which {described}."
        )
    # A new list: this one can be the default of the optimizer's class, which all instances share.
    return {name: [*numbers[:position], value, *numbers[position + 1 :]]}


def _default(optimizer: str | type[torch.optim.Optimizer], name: str) -> Any:
    choice = find_optimizer(optimizer)
    parameters = inspect.signature(choice.optimizer_class).parameters
    if name in choice.defaults or name not in parameters:
        return choice.defaults.get(name)
    default = parameters[name].default
    return None if default is inspect.Parameter.empty else default
