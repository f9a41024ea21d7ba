"""Trials of an optimizer on a tiny problem, which show the step protocol that it needs.

A module of its own, since runs of torch's optimizers need no trial.
"""

from __future__ import annotations

import functools
import inspect
import json
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepobs import rng
from deepobs.runs.optimizers import construct, constructor_of
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deepobs.protocols import Batch
    from deepobs.runs.optimizers import Groups, Needs, OptimizerChoice

_STEPS = 2

_found: dict[tuple[type, str], Needs] = {}


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


def step_that_works(
    choice: OptimizerChoice,
    hyperparameters: Mapping[str, Any],
    groups: Groups,
    *,
    steps: Sequence[Needs],
    besides: set[str],
) -> Needs:
    """Find the kind of step that an optimizer takes.

    Once per process and combination of flags: numbers among the hyperparameters do not count.

    Args:
        choice: The optimizer.
        hyperparameters: Arguments that its constructor accepts.
        groups: Hyperparameters by parameter role.
        steps: The kinds of steps to try, the most likely first.
        besides: What it needs besides the step.

    Returns:
        The first that changes parameters, else the first that does not fail, else the first.
    """
    key = (choice.optimizer_class, json.dumps(_flags_of([hyperparameters, groups]), sort_keys=True))
    if key not in _found:
        for_trial = _for_trial(choice, hyperparameters, groups)

        def trial(step: Needs) -> list[float] | None:
            needs = {*step, *besides}
            return _result_of_trial(choice.optimizer_class, needs, for_trial, groups)

        _found[key] = _first_that_works(steps, trial)
    return _found[key]


def _first_that_works(
    steps: Sequence[Needs], trial: Callable[[Needs], list[float] | None]
) -> Needs:
    start = _result_of_trial(torch.optim.SGD, set(), {"lr": 0.0}, {})
    working = []
    for step in steps:
        end = trial(step)
        if end is not None:
            working.append(step)
        if end not in (None, start):
            # An optimizer that reads gradients before it calls its closure works without them, too,
            # but ends elsewhere.
            with_gradients = tuple(sorted({*step, "gradients"}))
            is_known = with_gradients in steps
            return with_gradients if is_known and trial(with_gradients) not in (None, end) else step
    return [*working, *steps][0]


def _for_trial(
    choice: OptimizerChoice, hyperparameters: Mapping[str, Any], groups: Groups
) -> Mapping[str, Any]:
    """Numbers at their defaults, if the flags allow it: a learning rate of 0 would show nothing."""
    first, arguments = constructor_of(choice.optimizer_class)
    chosen = {
        name: value
        for name, value in hyperparameters.items()
        if _flags_of(value) == value
        or name not in arguments
        or arguments[name].default is inspect.Parameter.empty
    }
    needs = {"model"} & {first}
    end = _result_of_trial(choice.optimizer_class, needs, chosen, groups, steps=0)
    return hyperparameters if end is None else chosen


def _result_of_trial(
    optimizer_class: type[torch.optim.Optimizer],
    needs: set[str],
    hyperparameters: Mapping[str, Any],
    groups: Groups,
    steps: int = _STEPS,
) -> list[float] | None:
    """The parameters after some steps on a tiny problem; `None` if they fail."""
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
            # An optimizer that asked for no gradient did not call the closure that it was given.
            is_used = trainer.gradient_evaluations >= min(steps, 1)
            return problem.numbers() if is_used else None
        except (Exception, SystemExit):  # third-party code raises anything; training will show it
            return None


def _flags_of(value: Any) -> Any:
    """Hyperparameters without their numbers: what decides how an optimizer works."""
    if isinstance(value, dict):
        return {name: _flags_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_flags_of(item) for item in value]
    return value if isinstance(value, (str, bool)) else None
