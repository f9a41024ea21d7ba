"""The protocol of a tuning: settings made complete before the first run, and explained in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from deepobs import config
from deepobs.errors import ArgumentError, UnknownNameError
from deepobs.plugins import registry
from deepobs.problems import Problem
from deepobs.run_specifications import EVERY_EPOCH
from deepobs.runs.assembly import unknown_options
from deepobs.runs.optimizers import find_optimizer
from deepobs_bench._validation import noted_in, require_none
from deepobs_bench.tuning.presets import preset
from deepobs_bench.tuning.samplers import GridSearch
from deepobs_bench.tuning.searched_names import unknown_given, unsuitable
from deepobs_bench.tuning.settings import TRIALS_OF_BUDGET
from deepobs_bench.tuning.spaces import (
    BATCH_SIZE,
    WEIGHT_DECAY,
    DimensionSetting,
    Range,
    num_points,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deepobs.plugins import ProblemSpec
    from deepobs_bench.tuning.presets import Preset
    from deepobs_bench.tuning.searched_names import Base
    from deepobs_bench.tuning.settings import TuningSettings
    from deepobs_bench.tuning.spaces import Dimension

_VALIDATION_SHARE = 0.1
"""Share of the training set that is held out for selection by default."""

_NUM_REPORT_SEEDS = 10
_DEFAULT_TRIALS = 25
_SPLITS = {"valid": "validation", "test": "test"}
_SUGGESTED = {
    "grid": "a grid",
    "random": "random search",
    "tpe": "Optuna's TPE sampler",
    "gp": "Optuna's Gaussian-process sampler",
}


class TuningProtocol(BaseModel):
    """All that determines a tuning, besides the problem, the optimizer and its training.

    The attributes are those of `TuningSettings`, without gaps.

    Attributes:
        validation_size: Number of training examples held out in every run.
        remarks: Where it deviates from its preset or the requested budget, a sentence each.
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

    @property
    def run_options(self) -> dict[str, Any]:
        """Arguments of `specify` for all runs, so that their results can be compared."""
        options: dict[str, Any] = {"validation_size": self.validation_size}
        # With the regularizer, each weight decay would be judged by a loss of its own.
        if WEIGHT_DECAY in self.space and self.metric == "loss":
            options["bare_losses"] = True
        # Each batch size skips other examples at the end of a split.
        if BATCH_SIZE in self.space:
            options["full_evaluation"] = True
        return options


def complete(settings: TuningSettings, base: Base, *, jobs: int = 1) -> TuningProtocol:
    """Fill in what the settings leave open: from the preset, else from the defaults.

    Args:
        settings: What the user said.
        base: What all trials share.
        jobs: How many runs are executed at a time.

    Raises:
        ArgumentError: The settings contradict each other, or do not fit the problem or optimizer.
    """
    problem = registry().problems.offer(base.testproblem).spec
    published = preset(settings.preset, find_optimizer(base.optimizer).name)
    is_one_shot = settings.budget == "one-shot"
    space = {} if is_one_shot else settings.space or published.space
    # The optimizer's defaults are a grid of one point.
    sampler = "grid" if is_one_shot else settings.sampler or published.sampler
    metric = settings.metric or problem.metric
    seeds = settings.seeds or published.seeds
    mistakes = [*unknown_given(base, space), *(message for _, message in unsuitable(base, space))]
    trials, validation_size = 0, 0
    remarks: list[str] = []
    with noted_in(mistakes):
        trials, remarks = _trials(settings, published, sampler, space)
    if settings.preset:
        remarks = [*_remarks(settings, published), *remarks]
    with noted_in(mistakes):
        if metric == "accuracy":
            _require_accuracy(base.testproblem)
    with noted_in(mistakes):
        validation_size = _validation_size(settings, base, problem, space)
    with noted_in(mistakes):
        if settings.prune:
            _require_equal_epochs(base, space)
    with noted_in(mistakes):
        if BATCH_SIZE in space:
            _require_option(base.testproblem, "drop_remainder", _NO_FULL_EVALUATION)
    require_none(mistakes)
    return TuningProtocol(
        preset=settings.preset,
        budget=settings.budget,
        space=space,
        sampler=sampler,
        sampler_seed=settings.sampler_seed,
        trials=trials,
        at_once=_at_once(settings, sampler, trials, jobs),
        seeds=seeds,
        report_seeds=settings.report_seeds or published.report_seeds or _unused(seeds),
        select_on=settings.select_on,
        epoch=settings.epoch,
        metric=metric,
        prune=settings.prune,
        validation_size=validation_size,
        remarks=tuple(remarks),
    )


def _trials(
    settings: TuningSettings, published: Preset, sampler: str, space: Mapping[str, Dimension]
) -> tuple[int, list[str]]:
    """The number of trials, and why it is not what was requested."""
    asked = TRIALS_OF_BUDGET[settings.budget] if settings.budget else settings.trials
    if sampler != "grid":
        trials = asked or published.trials or _DEFAULT_TRIALS
        possible = num_points(space)
        if possible is None or possible >= trials:
            return trials, []
        remark = (
            f"The space has {possible} configurations, which all are tried: not {trials} trials."
        )
        return possible, [remark]
    points = len(GridSearch(space))
    if asked not in (None, points):
        raise ArgumentError(
            f"The grid has {points} points, but {asked} trials are requested. Omit the number of "
            "trials or the budget, change the grid, or take another sampler."
        )
    return points, []


def _at_once(settings: TuningSettings, sampler: str, trials: int, jobs: int) -> int:
    # A sampler that learns from results has to wait for them: then one trial per worker at a time.
    if sampler in ("grid", "random") and not settings.prune:
        return trials
    return min(settings.at_once or jobs, trials)


def _unused(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Seeds that took no part in the selection."""
    first = max(seeds) + 1
    return tuple(range(first, first + _NUM_REPORT_SEEDS))


def _remarks(settings: TuningSettings, published: Preset) -> Iterator[str]:
    """Where the protocol deviates from the published one."""
    if not settings.space:
        yield from published.remarks
    if published.chose_on_test and settings.select_on == "valid":
        yield (
            "The published protocol chose on the test set and held out nothing; to follow it, "
            "set select_on = test."
        )
    for name in ("space", "sampler", "seeds", "report_seeds"):
        value = getattr(settings, name)
        if value is not None and value != getattr(published, name):
            yield f"Unlike in the preset, {name} was set by the user."


def _validation_size(
    settings: TuningSettings,
    base: Base,
    problem: ProblemSpec,
    space: Mapping[str, Dimension],
) -> int:
    given: int = base.options.get("validation_size") or 0
    if settings.select_on == "valid":
        _require_option(base.testproblem, "validation_size", _NO_VALIDATION)
    if given or settings.select_on == "test":
        return given
    try:
        train_size = registry().datasets.offer(problem.dataset).spec.train_size
    except UnknownNameError as error:
        raise ArgumentError(
            f"The size of the training set of {problem.name} is unknown: set how many examples to "
            "hold out for validation (validation_size), or select on the test set."
        ) from error
    share = train_size * (config.get_fake_data_fraction() or 1.0) * _VALIDATION_SHARE
    # Evaluation skips the last, smaller batch: all that is held out shall count.
    batch_size = _largest_batch(problem, base.options, space)
    return math.ceil(share / batch_size) * batch_size


def _require_accuracy(problem: str) -> None:
    """Refuse to select by an accuracy that a problem of ours does not have."""
    problem_class = registry().problems.load(problem)
    # A class that does not derive from ours may have an accuracy anywhere: its runs will show.
    is_derived = isinstance(problem_class, type) and issubclass(problem_class, Problem)
    if is_derived and all(
        getattr(problem_class, name) is getattr(Problem, name)
        for name in ("accuracy", "get_batch_loss_and_accuracy")
    ):
        raise ArgumentError(
            f"The test problem {problem} has no accuracy to select by, got metric='accuracy'. "
            "Choose by the loss, or omit the metric."
        )


def _require_equal_epochs(base: Base, space: Mapping[str, Dimension]) -> None:
    """Refuse to compare runs after as many epochs that are evaluated after other ones."""
    if base.options.get("evaluate_every", EVERY_EPOCH) != EVERY_EPOCH:
        raise ArgumentError(
            "Pruning compares runs after every epoch, so evaluate_every must be "
            f"{EVERY_EPOCH}; got {base.options['evaluate_every']!r}. Tune without pruning, or "
            "evaluate after every epoch."
        )
    if BATCH_SIZE in space and base.options.get("max_steps") is not None:
        raise ArgumentError(
            "Runs that end after max_steps have fewer epochs with smaller batches, so pruning "
            "cannot compare them. Tune without pruning, without the batch size, or give epochs."
        )


_NO_VALIDATION = (
    "cannot hold out examples for selection: its class takes no validation_size. Add it, as "
    "deepobs_testing describes, or select on the test set (--select-on test), which every result "
    "will state."
)
_NO_FULL_EVALUATION = (
    "cannot be evaluated on the same examples for all batch sizes: its class takes no "
    "drop_remainder. Add it, as deepobs_testing describes, or tune without the batch size."
)


def _require_option(problem: str, option: str, reason: str) -> None:
    if unknown_options(registry().problems.load(problem), [option]):
        raise ArgumentError(f"The test problem {problem} {reason}")


def _largest_batch(
    problem: ProblemSpec, options: Mapping[str, Any], space: Mapping[str, Dimension]
) -> int:
    tried = space.get(BATCH_SIZE)
    if tried is None:
        return options.get("batch_size") or problem.batch_size
    if isinstance(tried, Range):
        values = (int(tried.low), int(tried.high)) if tried.kind == "int" else ()
    else:
        values = tried.values
    if not values or any(type(value) is not int or value < 1 for value in values):
        raise ArgumentError(
            f"batch_size must be an integer, 1 or more, in the whole of its space; got "
            f"{written(tried)!r}. Allowed: a list such as 32,64,128, or int:32:128."
        )
    return max(values)


def explanation(
    protocol: TuningProtocol, optimizer: str, *, distinct: int | None = None
) -> tuple[str, ...]:
    """Explain in sentences how the winner is selected, and with which seeds it is reported.

    Args:
        protocol: The protocol.
        optimizer: Name of the optimizer.
        distinct: How many distinct configurations were tried; `None` before that is known.
    """
    published = preset(protocol.preset, optimizer).reference
    return (
        *([f"Follows {published}."] if protocol.preset else []),
        *protocol.remarks,
        *_trials_in_words(protocol, distinct),
        *_choice_in_words(protocol),
        _report(protocol),
    )


def numbers(values: Sequence[int]) -> str:
    """Write seeds briefly: `42 to 51`, `1, 2 and 5`."""
    ordered = sorted(values)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]} to {ordered[-1]}"
    *others, last = map(str, ordered)
    return f"{', '.join(others)} and {last}" if others else last


def _trials_in_words(protocol: TuningProtocol, distinct: int | None) -> Iterator[str]:
    if not protocol.space:
        yield "One trial with the defaults of the optimizer: nothing was tuned."
        return
    budget = f" (budget {protocol.budget})" if protocol.budget else ""
    sampler = _SUGGESTED[protocol.sampler]
    yield f"{protocol.trials} trials{budget} of {sampler}, each trained with {_seeds(protocol)}."
    if distinct is not None:
        was = "configuration was" if distinct == 1 else "configurations were"
        yield f"{distinct} distinct {was} tried."
    if protocol.sampler in ("tpe", "gp") or protocol.prune:
        yield (
            f"Tried {protocol.at_once} at a time, each time knowing the results of those before: "
            "with another number, the trials differ."
        )
    if protocol.prune:
        yield (
            "Runs were stopped whose best value so far was worse than the median of the runs of "
            "earlier trials after as many epochs."
        )


def _choice_in_words(protocol: TuningProtocol) -> Iterator[str]:
    if not protocol.space:
        return
    best = "highest" if protocol.metric == "accuracy" else "lowest"
    epoch = "after the last epoch" if protocol.epoch == "final" else "of any epoch"
    mean = " (mean over the seeds)" if len(protocol.seeds) > 1 else ""
    yield (
        f"Selected: the {best} {protocol.metric} on the {_SPLITS[protocol.select_on]} set {epoch}"
        f"{mean}; of equal trials the first. Trials that did not complete never win."
    )
    if "bare_losses" in protocol.run_options:
        yield (
            "All losses are without the regularizer: with it, each weight decay would be judged by "
            "another function."
        )
    if "full_evaluation" in protocol.run_options:
        yield (
            "Evaluations include the last, smaller batch, so that all batch sizes are judged on "
            "the same examples."
        )
    if protocol.select_on == "test":
        yield (
            "SELECTED ON THE TEST SET, as requested: figures on the test set are better than they "
            "would be on new data."
        )
    else:
        yield (
            f"{protocol.validation_size} training examples were held out for validation, in the "
            "runs of the report, too."
        )


def _report(protocol: TuningProtocol) -> str:
    shared = sorted(set(protocol.seeds) & set(protocol.report_seeds))
    reported = f"Reported: the winner with {_seeds(protocol, 'report_seeds')}"
    if not shared or not protocol.space:
        return reported + (", none of which took part in the selection." if protocol.space else ".")
    return (
        f"{reported}; {numbers(shared)} took part in the selection, so that figures are given with "
        f"and without {'it' if len(shared) == 1 else 'them'}."
    )


def _seeds(protocol: TuningProtocol, name: str = "seeds") -> str:
    seeds: tuple[int, ...] = getattr(protocol, name)
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {numbers(seeds)}"
