"""The settings of tuning made complete: nothing is left open before the first run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from deepobs import config
from deepobs.errors import ArgumentError, UnknownNameError
from deepobs.plugins import registry
from deepobs.problems import Problem
from deepobs.runs.assembly import unknown_options
from deepobs_bench.tuning.presets import preset
from deepobs_bench.tuning.samplers import GridSearch
from deepobs_bench.tuning.settings import TRIALS_OF_BUDGET
from deepobs_bench.tuning.spaces import DimensionSetting, Range, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepobs.plugins import ProblemSpec
    from deepobs_bench.tuning.presets import Preset
    from deepobs_bench.tuning.settings import TuningSettings
    from deepobs_bench.tuning.spaces import Dimension

VALIDATION_SHARE = 0.1
"""Share of the training set that is held out to choose on, where no number was given."""

_NUM_REPORT_SEEDS = 10
_DEFAULT_TRIALS = 25


class TuningProtocol(BaseModel):
    """All that a tuning is determined by, besides the problem, the optimizer and its training.

    Attributes:
        preset: The published protocol it follows.
        budget: The name of the number of trials.
        space: What is tried, by name.
        sampler: What suggests the trials.
        sampler_seed: Seed of what the sampler draws at random.
        trials: How many settings are tried.
        at_once: How many trials are suggested before the results of any of them are known.
        seeds: Seeds of the runs of every trial.
        report_seeds: Seeds with which the winner is run again.
        select_on: The split on which the winner is chosen.
        epoch: Whether the last or the best epoch of a run counts.
        metric: By what the winner is chosen.
        prune: Whether runs are stopped that fall behind the median of those before.
        validation_size: Number of training examples held out in every run.
        remarks: Where it deviates from its preset, a sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str | None
    budget: str | None
    space: dict[str, DimensionSetting]
    sampler: str
    sampler_seed: int
    trials: int
    at_once: int
    seeds: tuple[int, ...]
    report_seeds: tuple[int, ...]
    select_on: str
    epoch: str
    metric: str
    prune: bool
    validation_size: int
    remarks: tuple[str, ...]


def complete(
    settings: TuningSettings,
    problem: ProblemSpec,
    optimizer: str,
    *,
    options: Mapping[str, Any],
    jobs: int,
) -> TuningProtocol:
    """Fill in what the settings leave open: from the preset, else from the defaults.

    Args:
        settings: What the user said.
        problem: The test problem.
        optimizer: Name of the optimizer.
        options: Arguments of `specify` that are the same for all runs.
        jobs: How many runs are carried out at the same time.

    Raises:
        ArgumentError: The settings contradict each other.
    """
    base = preset(settings.preset, optimizer)
    is_one_shot = settings.budget == "one-shot"
    space = {} if is_one_shot else settings.space or base.space
    # The optimizer's defaults are a grid of one point.
    sampler = "grid" if is_one_shot else settings.sampler or base.sampler
    trials = _trials(settings, base, sampler, space)
    metric = settings.metric or problem.metric
    if metric == "accuracy":
        _require_accuracy(problem)
    seeds = settings.seeds or base.seeds
    return TuningProtocol(
        preset=settings.preset,
        budget=settings.budget,
        space=space,
        sampler=sampler,
        sampler_seed=settings.sampler_seed,
        trials=trials,
        at_once=_at_once(settings, sampler, trials, jobs),
        seeds=seeds,
        report_seeds=settings.report_seeds or base.report_seeds or _others(seeds),
        select_on=settings.select_on,
        epoch=settings.epoch,
        metric=metric,
        prune=settings.prune,
        validation_size=_validation_size(settings, problem, options, space),
        remarks=tuple(_remarks(settings, base)) if settings.preset else (),
    )


def _trials(
    settings: TuningSettings, base: Preset, sampler: str, space: Mapping[str, Dimension]
) -> int:
    asked = TRIALS_OF_BUDGET[settings.budget] if settings.budget else settings.trials
    if sampler != "grid":
        return asked or base.trials or _DEFAULT_TRIALS
    points = len(GridSearch(space))
    if asked not in (None, points):
        raise ArgumentError(
            f"The grid has {points} points, but {asked} trials are asked for. Leave out the number "
            "of trials or the budget, change the grid, or take another sampler."
        )
    return points


def _at_once(settings: TuningSettings, sampler: str, trials: int, jobs: int) -> int:
    """Whoever learns from results has to wait for them: then a trial for each worker."""
    if sampler in ("grid", "random") and not settings.prune:
        return trials
    return min(settings.at_once or jobs, trials)


def _others(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Seeds that took no part in the choice."""
    first = max(seeds) + 1
    return tuple(range(first, first + _NUM_REPORT_SEEDS))


def _remarks(settings: TuningSettings, base: Preset) -> Iterator[str]:
    """Where it is not as it was published."""
    if not settings.space:
        yield from base.remarks
    if base.chose_on_test and settings.select_on == "valid":
        yield (
            "The published protocol chose on the test set and held out nothing; that has to be "
            "asked for (select_on = test)."
        )
    for name in ("space", "sampler", "seeds", "report_seeds"):
        value = getattr(settings, name)
        if value is not None and value != getattr(base, name):
            yield f"Unlike in the preset, {name} was chosen by the user."


def _validation_size(
    settings: TuningSettings,
    problem: ProblemSpec,
    options: Mapping[str, Any],
    space: Mapping[str, Dimension],
) -> int:
    given: int = options.get("validation_size") or 0
    if settings.select_on == "valid":
        _require_validation(problem)
    if given or settings.select_on == "test":
        return given
    try:
        train_size = registry().datasets.spec(problem.dataset).train_size
    except UnknownNameError as error:
        raise ArgumentError(
            f"Nobody tells how large the training set of {problem.name} is: say how many examples "
            "are to be held out for validation (validation_size), or choose on the test set."
        ) from error
    return rounded_up(
        train_size * (config.get_fake_data_fraction() or 1.0) * VALIDATION_SHARE,
        _largest_batch(problem, options, space),
    )


def _require_accuracy(problem: ProblemSpec) -> None:
    """Refuse to choose by what a problem has not; of a stranger's class, its runs tell."""
    problem_class = registry().problems.load(problem.name)
    is_derived = isinstance(problem_class, type) and issubclass(problem_class, Problem)
    if is_derived and all(
        getattr(problem_class, name) is getattr(Problem, name)
        for name in ("accuracy", "get_batch_loss_and_accuracy")
    ):
        raise ArgumentError(
            f"The test problem {problem.name} has no accuracy to choose by, got metric='accuracy'. "
            "Choose by the loss, or leave the metric out."
        )


def _require_validation(problem: ProblemSpec) -> None:
    problem_class = registry().problems.load(problem.name)
    if unknown_options(problem_class, ["validation_size"]):
        raise ArgumentError(
            f"The test problem {problem.name} cannot hold out examples to choose on: its class "
            "takes no validation_size. Give it one, as deepobs_testing describes, or choose on the "
            "test set (--select-on test), which every result will say."
        )


def _largest_batch(
    problem: ProblemSpec, options: Mapping[str, Any], space: Mapping[str, Dimension]
) -> int:
    tried = space.get("batch_size")
    if tried is None:
        return options.get("batch_size") or problem.batch_size
    if isinstance(tried, Range):
        values = (int(tried.low), int(tried.high)) if tried.kind == "int" else ()
    else:
        values = tried.values
    if not values or any(type(value) is not int or value < 1 for value in values):
        raise ArgumentError(
            f"batch_size must be an integer, 1 or more, in the whole of its space; got "
            f"{written(tried)!r}. Permitted is a list such as 32,64,128, or int:32:128."
        )
    return max(values)


def rounded_up(size: float, batch_size: int) -> int:
    """The next number of full batches: evaluation leaves out the last, smaller one.

    Args:
        size: Number of examples, above 0.
        batch_size: Examples a batch.
    """
    return math.ceil(size / batch_size) * batch_size
