"""Trials of an optimizer on a tiny problem, which show the step protocol that it needs.

A module of its own, since runs of torch's optimizers need no trial.
"""

from __future__ import annotations

import functools
import json
import textwrap
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepobs import rng
from deepobs.errors import message_of
from deepobs.runs.construction import construct
from deepobs.runs.constructors import building_needs, constructor_of, is_required
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deepobs.protocols import Batch
    from deepobs.runs.optimizers import Groups, Needs, OptimizerChoice

_STEPS = 2
_LONGEST_ERROR = 120


class TinyProblem:
    """Eight words to sort into two classes, by a network with parameters of all roles.

    Attributes:
        model: The network.
        batch: All of the data.
    """

    def __init__(self) -> None:
        with torch.device("cpu"):  # whatever torch.set_default_device chose
            self.model = nn.Sequential(
                nn.Embedding(8, 4), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)
            )
            self.batch: Batch = (torch.arange(8), torch.arange(8) % 2)

    def get_batch_loss_and_accuracy(
        self, batch: Batch, reduction: str = "none"
    ) -> tuple[Tensor, None]:
        """The cross-entropy; there is no accuracy."""
        words_B, classes_B = batch
        return F.cross_entropy(self.model(words_B), classes_B, reduction=reduction), None

    def get_regularization_loss(self) -> Tensor:
        """None."""
        return torch.zeros((), device="cpu")

    def numbers(self) -> list[float]:
        """All parameters, for comparison."""
        return torch.cat([one.detach().flatten() for one in self.model.parameters()]).tolist()


@functools.cache
def network() -> nn.Module:
    """A network for constructors, which do not change it."""
    return TinyProblem().model


@dataclass(frozen=True, slots=True)
class Found:
    """The kind of step that an optimizer takes.

    Attributes:
        step: Words of `NEEDS`.
        changes: Whether it changes parameters.
        reason: How that was found.
    """

    step: Needs
    changes: bool
    reason: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The parameters after some steps, `None` if they failed with this error."""

    numbers: list[float] | None
    error: str = ""


class Trials:
    """Steps of an optimizer on a tiny problem.

    Args:
        choice: The optimizer.
        hyperparameters: Arguments that its constructor accepts.
        groups: Hyperparameters by parameter role.
    """

    def __init__(
        self, choice: OptimizerChoice, hyperparameters: Mapping[str, Any], groups: Groups
    ) -> None:
        self._optimizer_class = choice.optimizer_class
        self._groups = groups
        self._given = hyperparameters
        self._flags = json.dumps(_flags_of([hyperparameters, groups]), sort_keys=True)

    def step_that_works(self, steps: Sequence[Needs], *, besides: set[str]) -> Found:
        """Find the kind of step that the optimizer takes.

        Once per process and combination of flags: numbers among the hyperparameters do not count.

        Args:
            steps: The kinds of steps to try, the most likely first.
            besides: What it needs besides the step.

        Returns:
            The first that changes parameters, else the first that does not fail, else the first.
        """
        key = (self._optimizer_class, self._flags, tuple(sorted(besides)))
        if key not in _found:
            _found[key] = _first_that_works(steps, lambda step: self._outcome({*step, *besides}))
        return _found[key]

    def error_of(self, needs: set[str], steps: int = _STEPS) -> str:
        """What goes wrong in a number of steps, empty if nothing does."""
        key = (self._optimizer_class, self._flags, tuple(sorted(needs)), steps)
        if key not in _errors:
            _errors[key] = self._outcome(needs, steps).error
        return _errors[key]

    def _outcome(self, needs: set[str], steps: int = _STEPS) -> _Outcome:
        return _outcome(self._optimizer_class, needs, self._hyperparameters, self._groups, steps)

    @functools.cached_property
    def _hyperparameters(self) -> Mapping[str, Any]:
        """Numbers at their defaults, if the flags allow it: a rate of 0 would show nothing."""
        _, arguments = constructor_of(self._optimizer_class)
        chosen = {
            name: value
            for name, value in self._given.items()
            if _flags_of(value) == value or name not in arguments or is_required(arguments[name])
        }
        needs = set(building_needs(self._optimizer_class))
        end = _outcome(self._optimizer_class, needs, chosen, self._groups, 0)
        return self._given if end.numbers is None else chosen


_found: dict[tuple[type, str, Needs], Found] = {}
_errors: dict[tuple[type, str, Needs, int], str] = {}


def _first_that_works(steps: Sequence[Needs], trial: Callable[[Needs], _Outcome]) -> Found:
    start = _outcome(torch.optim.SGD, set(), {"lr": 0.0}, {}).numbers
    working, failures = [], []
    for step in steps:
        outcome = trial(step)
        end = outcome.numbers
        if end is None:
            failures.append(f"{_in_words(step)} fails ({outcome.error})")
        else:
            working.append(step)
        if end not in (None, start):
            # An optimizer that reads gradients before it calls its closure works without them, too,
            # but ends elsewhere.
            with_gradients = tuple(sorted({*step, "gradients"}))
            if with_gradients in steps and trial(with_gradients).numbers not in (None, end):
                reason = "it ends elsewhere with gradients before the closure is called"
                return Found(with_gradients, changes=True, reason=f"gradients: {reason}")
            reason = f"{_in_words(step)} changes parameters"
            return Found(step, changes=True, reason="; ".join([*failures[:1], reason]))
    if working:
        reason = f"{_in_words(working[0])} works, but changes nothing"
    else:
        reason = f"no kind of step works on a small problem: {failures[0]}"
    return Found([*working, *steps][0], changes=False, reason=reason)


def _in_words(step: Needs) -> str:
    return f"a step with {' + '.join(step)}" if step else "a plain step"


def _outcome(
    optimizer_class: type[torch.optim.Optimizer],
    needs: set[str],
    hyperparameters: Mapping[str, Any],
    groups: Groups,
    steps: int = _STEPS,
) -> _Outcome:
    with warnings.catch_warnings(), rng.preserved():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        problem = TinyProblem()
        try:
            optimizer: Any = construct(
                optimizer_class, problem.model, hyperparameters, groups=groups, needs=needs
            )
            trainer = Trainer(problem, optimizer, needs=needs)  # type: ignore[arg-type] # no data
            with trainer.training():
                trainer.take_steps([problem.batch] * steps)
            if "mode" in needs and steps:
                for returned in (optimizer.train(), optimizer.eval()):
                    if not (returned is optimizer or isinstance(returned, (bool, type(None)))):
                        return _Outcome(None, "its train and eval return something else")
            if trainer.gradient_evaluations < min(steps, 1):
                return _Outcome(None, "it asks for no gradient and does not call the closure")
            return _Outcome(problem.numbers())
        except (Exception, SystemExit) as error:  # third-party code raises anything
            return _Outcome(None, textwrap.shorten(message_of(error).rstrip(". "), _LONGEST_ERROR))


def _flags_of(value: Any) -> Any:
    """Hyperparameters without their numbers: what decides how an optimizer works."""
    if isinstance(value, dict):
        return {name: _flags_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_flags_of(item) for item in value]
    return value if isinstance(value, (str, bool)) else None
