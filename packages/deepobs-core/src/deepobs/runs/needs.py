"""What an optimizer needs of the training loop: declared, or found out by trying."""

from __future__ import annotations

import inspect
import json
import warnings
from typing import TYPE_CHECKING, Any

import torch

from deepobs import rng
from deepobs.errors import ArgumentError, closest, sentences
from deepobs.plugins.specs import NEEDS
from deepobs.runs.construction import construct
from deepobs.runs.optimizers import (
    arguments_of,
    find_optimizer,
    first_argument_of,
    flags_of,
    requires_a_closure,
    signature_of,
)
from deepobs.runs.parameter_groups import OPTIMIZER
from deepobs.runs.tiny_problem import TinyProblem
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from deepobs.runs.optimizers import OptimizerChoice
    from deepobs.runs.parameter_groups import Groups

Needs = tuple[str, ...]

_PLAIN_WAYS: list[Needs] = [(), ("create_graph",)]
_CLOSURE_WAYS: list[Needs] = [
    ("closure",),
    ("closure", "gradients"),
    ("backward", "closure"),
    ("closure", "create_graph"),
    ("closure", "create_graph", "gradients"),
]
_LOSS_WAYS: list[Needs] = [("loss",), ("backward", "loss"), ("create_graph", "loss")]
_LOSSES_WAYS: list[Needs] = [("per_example_losses",)]
_WAYS = [*_PLAIN_WAYS, ("plain",), *_CLOSURE_WAYS, *_LOSS_WAYS, *_LOSSES_WAYS]
_BESIDES_THE_STEP = {"mode", "model"}
_STEPS = 2

_found: dict[tuple[type, str], Needs] = {}


def checked_needs(given: Iterable[str]) -> Needs:
    """Check what an optimizer is said to need.

    Args:
        given: Words of `NEEDS`; "plain", or none, for nothing.

    Returns:
        The words, sorted, each once.

    Raises:
        ArgumentError: There is no such word, or the words contradict each other.
    """
    words = tuple(sorted({given} if isinstance(given, str) else set(given))) or ("plain",)
    for word in words:
        if word not in NEEDS:
            raise ArgumentError(
                sentences(
                    f"There is no need {word!r} of optimizers.",
                    closest(str(word), NEEDS),
                    f"They can need: {', '.join(NEEDS)}.",
                )
            )
    of_the_step = tuple(word for word in words if word not in _BESIDES_THE_STEP)
    if of_the_step not in _WAYS:
        ways = "; ".join(" + ".join(way) for way in _WAYS if way)
        raise ArgumentError(
            f"No step of an optimizer needs {' + '.join(of_the_step)} together. Ways are: {ways}."
        )
    return words


def check_together(needs: Needs, groups: Groups) -> None:
    """Refuse to let another optimizer train a group beside one that needs more than a call.

    Raises:
        ArgumentError: That is asked for.
    """
    others = [settings[OPTIMIZER] for settings in groups.values() if OPTIMIZER in settings]
    if others and set(needs) - {"plain", "mode", "create_graph"}:
        raise ArgumentError(
            f"{others[0]} cannot train a group of parameters beside an optimizer that needs "
            f"{' + '.join(needs)}: both must take plain steps."
        )


def needs_of(choice: OptimizerChoice, hyperparameters: Mapping[str, Any], groups: Groups) -> Needs:
    """Tell what an optimizer needs where nobody said it.

    A class that torch does not bring is tried on a tiny problem, once in a process for each choice
    of flags: numbers among the hyperparameters do not count.

    Args:
        choice: The optimizer.
        hyperparameters: Arguments that its constructor accepts.
        groups: Hyperparameters by the role of parameters.

    Returns:
        Words of `NEEDS`, sorted: those of the first way to step that changes parameters, else of
        the first that works. None where all fail: then training shows why.
    """
    if choice.needs is not None:
        return tuple(sorted(choice.needs))
    key = (choice.optimizer_class, json.dumps(flags_of([hyperparameters, groups]), sort_keys=True))
    if key not in _found:
        _found[key] = _detected(choice, _for_trial(choice, hyperparameters, groups), groups)
    return _found[key]


def _detected(choice: OptimizerChoice, hyperparameters: Mapping[str, Any], groups: Groups) -> Needs:
    optimizer_class = choice.optimizer_class
    besides = _needs_besides_the_step(optimizer_class, groups)
    ways = _ways_by_signature(optimizer_class)

    def trial(way: Needs) -> list[float] | None:
        return _tried({*way, *besides}, optimizer_class, hyperparameters, groups)

    # What torch brings declares by its signature all that it needs.
    way = ways[0] if choice.is_torchs else _first_that_works(ways, trial)
    return tuple(sorted({*way, *besides}))


def _first_that_works(ways: list[Needs], trial: Callable[[Needs], list[float] | None]) -> Needs:
    """The first way that changes parameters, else the first that does not fail, else the first."""
    start = _tried(set(), torch.optim.SGD, {"lr": 0.0}, {})
    ends = {}
    for way in ways:
        end = trial(way)
        if end is not None:
            ends[way] = end
        if end not in (None, start):
            return _with_gradients_if_used(way, end, trial)
    return next(iter(ends), ways[0])


def _with_gradients_if_used(
    way: Needs, end: object, trial: Callable[[Needs], list[float] | None]
) -> Needs:
    """Tell an optimizer that reads gradients before it calls its closure, by where it ends."""
    with_gradients = tuple(sorted({*way, "gradients"}))
    if with_gradients not in _CLOSURE_WAYS or trial(with_gradients) in (None, end):
        return way
    return with_gradients


def _tried(
    needs: set[str],
    optimizer_class: type[torch.optim.Optimizer],
    hyperparameters: Mapping[str, Any],
    groups: Groups,
    steps: int = _STEPS,
) -> list[float] | None:
    """Where some steps lead on a tiny problem; `None` where they fail."""
    with warnings.catch_warnings(), rng.preserved():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        problem = TinyProblem()
        try:
            optimizer = construct(
                optimizer_class, problem.model, hyperparameters, groups=groups, needs=needs
            )
            trainer = Trainer(problem, optimizer, needs=needs)  # type: ignore[arg-type] # no data
            with trainer.training():
                trainer.take_steps([problem.batch] * steps)
            # One that never asks for a gradient takes no notice of what it was given.
            takes_notice = trainer.gradient_evaluations >= min(steps, 1)
            return problem.numbers() if takes_notice else None
        except (Exception, SystemExit):  # a stranger's code raises anything: training shows it
            return None


def _ways_by_signature(optimizer_class: type[torch.optim.Optimizer]) -> list[Needs]:
    """The ways to take a step that its arguments allow, those first that they suggest."""
    arguments = signature_of(optimizer_class.step).parameters
    if "losses" in arguments:
        return _LOSSES_WAYS
    if "loss" in arguments:
        return [*_LOSS_WAYS, *_PLAIN_WAYS, *_CLOSURE_WAYS]
    if requires_a_closure(optimizer_class):
        return _CLOSURE_WAYS
    return [*_PLAIN_WAYS, *_CLOSURE_WAYS]


def _needs_besides_the_step(
    optimizer_class: type[torch.optim.Optimizer], groups: Groups
) -> set[str]:
    others = [settings[OPTIMIZER] for settings in groups.values() if OPTIMIZER in settings]
    classes = [optimizer_class, *(find_optimizer(name).optimizer_class for name in others)]
    has_modes = any(
        all(callable(getattr(one, mode, None)) for mode in ("train", "eval")) for one in classes
    )
    found = {"mode": has_modes, "model": first_argument_of(optimizer_class) == "model"}
    return {word for word, is_needed in found.items() if is_needed}


def _for_trial(
    choice: OptimizerChoice, hyperparameters: Mapping[str, Any], groups: Groups
) -> Mapping[str, Any]:
    """Numbers at their defaults, where there are and the flags allow it: a rate of 0 tells nothing.

    All settings of the same flags are tried with the same numbers then.
    """
    arguments = arguments_of(choice.optimizer_class)
    chosen = {
        name: value
        for name, value in hyperparameters.items()
        if flags_of(value) == value
        or name not in arguments
        or arguments[name].default is inspect.Parameter.empty
    }
    needs = {"model"} & {first_argument_of(choice.optimizer_class)}
    works = _tried(needs, choice.optimizer_class, chosen, groups, steps=0) is not None
    return chosen if works else hyperparameters
