"""The learning rate range test: the objective while the learning rate grows step by step."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from deepobs import checks
from deepobs.errors import ArgumentError
from deepobs.runs import environment
from deepobs.runs.assembly import build_optimizer, set_up_problem
from deepobs.runs.constructors import constructor_of, is_required
from deepobs.runs.optimizers import find_optimizer
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deepobs.run_specifications import RunSpecification

__all__ = ["LrRange", "lr_range", "requires_lr"]

_NEIGHBORS = 4
"""Steps on each side of one that are averaged with it."""

_CLEARLY = 2.0
"""Standard deviations of single batches by which the objective must fall: averages of noise alone
differ by some 1.6 of them between their highest and lowest."""

_RISE = 4.0
"""The test ends where the objective is so many times the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LrRange:
    """What a learning rate range test saw.

    Attributes:
        specification: The run whose learning rate was varied.
        lrs: The learning rate of each step that was taken.
        objectives: The objective of the batch before each of these steps.
        smoothed: The mean of each and up to four before and after it, without one that diverged.
        steepest: The learning rate at which the smoothed objective falls fastest in the logarithm
            of the learning rate; `None` if it never falls.
        lowest: The learning rate at which it is lowest; `None` if it never falls.
        diverged: The first learning rate with an objective that is not finite, or four times the
            first one; `None` if there was none.
    """

    specification: RunSpecification
    lrs: tuple[float, ...]
    objectives: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float | None
    lowest: float | None
    diverged: float | None

    @property
    def suggested_range(self) -> tuple[float, float] | None:
        """Where to search: two decades around `steepest`; `None` if the objective never falls."""
        if self.steepest is None:
            return None
        high = 10 * self.steepest
        return self.steepest / 10, high if self.diverged is None else min(high, self.diverged)

    def for_json(self) -> dict[str, Any]:
        """All of it, in types of JSON."""
        measured = {name: getattr(self, name) for name in self.__slots__ if name != "specification"}
        return {**self.specification.model_dump(mode="json"), **measured}


def lr_range(
    specification: RunSpecification,
    *,
    optimizer_class: type[torch.optim.Optimizer] | None = None,
    min_lr: float = 1e-6,
    max_lr: float = 10.0,
    steps: int = 100,
) -> LrRange:
    """Train for some steps while the learning rate grows geometrically, until training diverges.

    This is the test of Smith, "Cyclical Learning Rates for Training Neural Networks" (WACV 2017),
    with a geometric instead of a linear growth. It says where to search for a learning rate, not
    which one is best after a whole run: tune over the range.

    Args:
        specification: The run, from `specify`, without a schedule. Its batches, seed and options
            of steps are used, its number of epochs is not.
        optimizer_class: The optimizer's class, where its import string does not lead to it.
        min_lr: The learning rate of the first step. That of other parameter groups keeps its ratio
            to that of the first group.
        max_lr: The learning rate of the last step.
        steps: The number of steps, at least 10.

    Raises:
        ArgumentError: The range is empty, the run has a schedule, or the optimizer has no learning
            rate, or the objective is not finite before the first step.
        DataError: The data are missing or broken.
    """
    min_lr, max_lr = checks.non_negative("min_lr", min_lr), checks.non_negative("max_lr", max_lr)
    steps = checks.integer("steps", steps, least=10)
    if not 0 < min_lr < max_lr:
        raise ArgumentError(
            f"Learning rates must grow from min_lr above 0 to max_lr; got {min_lr:g} to {max_lr:g}."
        )
    if specification.lr_scheduler is not None or specification.lr_sched_epochs is not None:
        raise ArgumentError("The test sets the learning rate of every step: omit the schedule.")
    lrs = [min_lr * (max_lr / min_lr) ** (step / (steps - 1)) for step in range(steps)]
    with environment.reproducible(specification):
        problem = set_up_problem(specification)
        optimizer = build_optimizer(specification, problem, optimizer_class)
        needs = specification.optimizer_needs
        trainer = Trainer(problem, optimizer, needs=needs, specification=specification)
        passes = itertools.repeat(problem.dataset.train_loader)
        batches = itertools.chain.from_iterable(passes)
        objectives: list[float] = []
        with trainer.training():
            for _ in _setting_lr(optimizer, lrs):
                objectives += trainer.take_steps(itertools.islice(batches, 1))
                if _diverges(objectives):
                    break
    if not math.isfinite(objectives[0]):
        raise ArgumentError(
            f"The objective of {specification.testproblem} is {objectives[0]} before the first "
            "step, whatever the learning rate."
        )
    return _summary(specification, lrs, objectives)


def requires_lr(optimizer: str | type[torch.optim.Optimizer]) -> bool:
    """Whether an optimizer has a learning rate, but no default of it.

    Raises:
        DeepOBSError: There is no such optimizer.
    """
    choice = find_optimizer(optimizer)
    argument = constructor_of(choice.optimizer_class)[1].get("lr")
    return argument is not None and is_required(argument) and "lr" not in choice.defaults


def _setting_lr(optimizer: torch.optim.Optimizer, lrs: Sequence[float]) -> Iterator[float]:
    """Set the learning rate of all groups to each value in turn."""
    groups = optimizer.param_groups
    if not all("lr" in group for group in groups):
        raise ArgumentError(
            f"{type(optimizer).__name__} has no learning rate: its parameter groups have no 'lr'."
        )
    first = [float(group["lr"]) for group in groups]
    ratios = [value / first[0] for value in first] if first[0] else [1.0] * len(first)
    for lr in lrs:
        for group, ratio in zip(groups, ratios, strict=True):
            if isinstance(group["lr"], torch.Tensor):  # of a capturable or compiled step
                group["lr"].fill_(lr * ratio)
            else:
                group["lr"] = lr * ratio
        yield lr


def _summary(
    specification: RunSpecification, lrs: Sequence[float], objectives: Sequence[float]
) -> LrRange:
    taken = len(objectives)
    has_diverged = _diverges(objectives)
    # What diverged would be part of the averages before it.
    smoothed = _smoothed(objectives[: taken - has_diverged])
    end = min(range(len(smoothed)), key=smoothed.__getitem__)
    slopes = [after - before for before, after in itertools.pairwise(smoothed[: end + 1])]
    noise = [value - mean for value, mean in zip(objectives, smoothed, strict=False)]
    falls = smoothed[0] - smoothed[end] > _CLEARLY * statistics.pstdev(noise[: end + 1])
    return LrRange(
        specification=specification,
        lrs=tuple(lrs[:taken]),
        objectives=tuple(objectives),
        smoothed=tuple(smoothed),
        steepest=lrs[min(range(end), key=slopes.__getitem__)] if falls else None,
        lowest=lrs[end] if falls else None,
        diverged=lrs[taken - 1] if has_diverged else None,
    )


def _diverges(objectives: Sequence[float]) -> bool:
    # Negated, as a comparison with NaN is false.
    return not objectives[-1] <= _RISE * abs(objectives[0])


def _smoothed(values: Sequence[float]) -> list[float]:
    """Means of each value and its neighbors on both sides.

    An exponential moving average, which is common here, lags behind and so reports learning rates
    that are too large by half an order of magnitude.
    """
    return [
        statistics.fmean(values[max(0, place - _NEIGHBORS) : place + _NEIGHBORS + 1])
        for place in range(len(values))
    ]
