"""How every optimizer performed on every problem: the rows of tables and of the report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepobs.checks import is_number
from deepobs.console.text import counted
from deepobs.errors import ArgumentError
from deepobs_analysis.failing_seeds import failing
from deepobs_analysis.measures import mean_and_deviation, relative_step_time
from deepobs_analysis.protocol_differences import counterpart, differences, in_words
from deepobs_analysis.results import Results, kind_of
from deepobs_analysis.run_rows import rows_by_pair
from deepobs_analysis.selection import select
from deepobs_analysis.targets import UNITS, mean_time_to_target
from deepobs_analysis.targets import targets as targets_of
from deepobs_analysis.trials import trials_of
from deepobs_analysis.tuned_spaces import end_of_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs_analysis.measures import MeanAndDeviation, MeanTime
    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.protocol_differences import Difference
    from deepobs_analysis.run_rows import Rows
    from deepobs_analysis.selection import Mode, Selection
    from deepobs_analysis.targets import Target, Unit
    from deepobs_analysis.trials import Trials
    from deepobs_analysis.tuning_records import TuningRecord

_BASE = "SGD"
_RECORDED_IN: dict[Unit, tuple[str, ...]] = {
    "epochs": (),
    "steps": ("steps_per_epoch",),
    "gradient evaluations": ("steps_per_epoch", "gradient_evaluations"),
    "seconds": ("train_seconds",),
}
_STEP_TIMES_FROM = (
    *("train_seconds", "evaluated_at", "steps_per_epoch", "batch_size", "device"),
    *("hardware", "versions", "has_diverged"),
)


@dataclass(frozen=True, repr=False)
class Summary:
    """How an optimizer performed on a problem, with the configuration that represents it.

    Attributes:
        selection: The configuration, how it was selected, and its runs.
        final: Test performance after the last epoch, over its seeds.
        failed: How many of its seeds are `failing_seeds.failing`.
        others: Means of those that do not, which tables show, under the names of `final`, `best`,
            `loss` and `accuracy`; none if all fail.
        best: Test performance in the best epoch of each seed.
        loss: Test loss after the last epoch; `None` if not measured for all seeds.
        accuracy: Test accuracy after the last epoch; `None` if not measured for all seeds.
        target: What counts as solving the problem, `None` without.
        times: The mean time until then of the seeds that get there, by unit, where recorded.
        relative_step_time: How many times as long a step takes as one of SGD; `None` if unknown.
        trials: All that was tried to find the configuration.
        differing: Of a reference, what else than the optimizer differs from one's own runs.
        end_of_space: The end of the space where a tuned learning rate is: "lower", "upper" or
            neither; `None` where it was not tuned.
    """

    selection: Selection
    final: MeanAndDeviation
    failed: int
    others: Mapping[str, MeanAndDeviation]
    best: MeanAndDeviation
    loss: MeanAndDeviation | None
    accuracy: MeanAndDeviation | None
    target: Target | None
    times: Mapping[Unit, MeanTime]
    relative_step_time: float | None
    trials: Trials
    differing: tuple[Difference, ...] = ()
    end_of_space: str | None = None

    def __repr__(self) -> str:
        metric, seeds = self.selection.metric.name, counted(len(self.seeds), "seed")
        value = f"{self.final.mean:.4g} ± {self.final.deviation:.2g}"
        return f"Summary({self.optimizer} on {self.problem}, {metric} {value}, {seeds})"

    @property
    def problem(self) -> str:
        """The test problem."""
        return self.selection.problem

    @property
    def optimizer(self) -> str:
        """The optimizer."""
        return self.selection.optimizer

    @property
    def higher_is_better(self) -> bool:
        """Whether larger performances are better."""
        return self.selection.metric.higher_is_better

    @property
    def has_bare_losses(self) -> bool:
        """Whether its losses exclude the regularizer, and so are not ranked with others."""
        return bool(self.selection.rows.first("measurement").get("bare_losses"))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the configuration, one for each run."""
        return tuple(self.selection.rows.each("seed"))


def summarize(
    results: Results,
    *,
    mode: Mode = "most",
    by: str | None = None,
    targets: Mapping[str, Target] | None = None,
) -> list[Summary]:
    """Summarize results: a row for each optimizer on each problem.

    Args:
        results: The runs.
        mode: How configurations are chosen; see `select`.
        by: The curve that decides; see `select`.
        targets: The target of each problem; `None` for those of `targets.targets`.

    Returns:
        Sorted by problem and optimizer, those of a reference set last.
    """
    selections = select(results, mode=mode, by=by)
    goals = targets_of(selections) if targets is None else targets
    by_pair = rows_by_pair(results)
    sgd = {each.problem: _step_times(each) for each in selections if each.optimizer == _BASE}
    rows = [
        _summary(
            selection,
            goals.get(selection.problem),
            of_optimizer=by_pair[selection.problem, selection.optimizer],
            sgd=sgd.get(selection.problem, {}),
            differing=_differing(selection, selections),
            tunings=results.tunings,
        )
        for selection in selections
    ]
    return sorted(rows, key=lambda row: (row.problem, row.selection.is_reference, row.optimizer))


def _summary(
    selection: Selection,
    target: Target | None,
    *,
    of_optimizer: Rows,
    sgd: Mapping[str, list[Floats]],
    differing: tuple[Difference, ...],
    tunings: Iterable[TuningRecord],
) -> Summary:
    values: dict[str, Floats] = {"final": selection.final(), "best": selection.best()}
    for name, curve in (("loss", "test_losses"), ("accuracy", "test_accuracies")):
        if selection.rows.all_have(curve):
            values[name] = selection.measured(curve)[:, -1]
    means = {name: mean_and_deviation(each) for name, each in values.items()}
    has_failed = failing(selection)
    others = {} if has_failed.all() else values
    return Summary(
        selection=selection,
        final=means["final"],
        failed=int(has_failed.sum()),
        others={name: mean_and_deviation(each[~has_failed]) for name, each in others.items()},
        best=means["best"],
        loss=means.get("loss"),
        accuracy=means.get("accuracy"),
        target=target,
        times=_times(selection, target),
        relative_step_time=_step_time_beside(sgd, selection),
        trials=trials_of(selection, of_optimizer),
        differing=differing,
        end_of_space=_end_of_space(selection, tunings),
    )


def _end_of_space(selection: Selection, tunings: Iterable[TuningRecord]) -> str | None:
    rate = selection.hyperparameters.get("lr")
    for each in tunings:
        is_its = (each.problem, each.optimizer) == (selection.problem, selection.optimizer)
        if is_its and each.best is not None and "lr" in each.protocol["space"]:
            # Another configuration, such as one of a grid beside it, has no such space.
            chosen = each.best.setting.get("lr")
            if is_number(rate) and is_number(chosen) and np.isclose(rate, chosen, rtol=1e-6):
                return end_of_space(each, "lr")
    return None


def _differing(selection: Selection, selections: Iterable[Selection]) -> tuple[Difference, ...]:
    if not selection.is_reference:
        return ()
    own = counterpart(selection, (each for each in selections if not each.is_reference))
    return () if own is None else tuple(differences(selection, own))


def rows_of(given: Any) -> list[Summary]:
    """Rows as they are, or those of results.

    Raises:
        ArgumentError: It is neither; the message says what to pass.
    """
    if isinstance(given, Results):
        return summarize(given)
    # Of a text, the letters would be named in place of it.
    is_one = isinstance(given, str) or not isinstance(given, Iterable)
    rows: list[Any] = [given] if is_one else list(given)
    wrong = [row for row in rows if not isinstance(row, Summary)]
    if wrong:
        raise ArgumentError(
            f"Results, or rows as `summarize` returns them, are needed; got {kind_of(wrong[0])}."
        )
    return rows


def best_of(rows: Iterable[Summary]) -> Summary:
    """The row with the best mean test performance after the last epoch, of rows of one problem."""
    return min(rows, key=lambda row: -row.final.mean if row.higher_is_better else row.final.mean)


def as_frame(rows: Iterable[Summary] | Results) -> pd.DataFrame:
    """The rows, or those of results, as a table of numbers; unknown values are missing."""
    return pd.DataFrame([record(row) for row in rows_of(rows)])


def record(row: Summary) -> dict[str, Any]:
    """All values of a row by name; `None` for unknown ones."""
    chosen = row.selection
    return {
        "problem": row.problem,
        "optimizer": row.optimizer,
        "is_reference": chosen.is_reference,
        "metric": chosen.metric.name,
        **_moments("final", row.final),
        "failed": row.failed,
        **_moments("others", row.others.get("final")),
        **_moments("best", row.best),
        **_moments("loss", row.loss),
        **_moments("accuracy", row.accuracy),
        **{
            key: value
            for name in ("best", "loss", "accuracy")
            for key, value in _moments(f"others_{name}", row.others.get(name)).items()
        },
        "target": None if row.target is None else row.target.value,
        "target_source": None if row.target is None else row.target.source,
        **{f"{unit.replace(' ', '_')}_to_target": _mean(row.times.get(unit)) for unit in UNITS},
        "reached": None if row.target is None else row.times["epochs"].reached,
        "seeds": len(row.seeds),
        "configurations": chosen.configurations,
        "runs": row.trials.runs,
        "share_diverged": row.trials.share_diverged,
        "expected_best": row.trials.expected_best,
        "decades": row.trials.decades,
        "relative_step_time": row.relative_step_time,
        "configuration": chosen.configuration,
        "differing": "; ".join(map(in_words, row.differing)) or None,
        "chosen_by": chosen.chosen_by,
        "mode": chosen.mode,
        "was_chosen_on_test": chosen.was_chosen_on_test,
    }


def _times(selection: Selection, target: Target | None) -> dict[Unit, MeanTime]:
    """The times in the recorded units, even where the target is never reached."""
    if target is None:
        return {}
    # What a run that diverged recorded is of no matter: it never reaches the target.
    completed = selection.rows.part(~selection.rows["has_diverged"])
    measured = {
        unit: mean_time_to_target(selection, target.value, unit)
        for unit, columns in _RECORDED_IN.items()
        if all(map(completed.all_have, columns))
    }
    return {unit: time for unit, time in measured.items() if time is not None}


def _step_time_beside(base: Mapping[str, list[Floats]], selection: Selection) -> float | None:
    """How many times as long a step takes as one of SGD; `None` without comparable measurements."""
    # The runs that are shown, of both: trials of SGD may have shared the machine with others.
    own = _step_times(selection)
    shared = [circumstances for circumstances in own if circumstances in base]
    if not shared:
        return None
    # Of several machines, one: a ratio of times from different ones would compare the machines.
    # The most runs give the steadiest median.
    most = max(shared, key=lambda circumstances: len(own[circumstances]))
    return relative_step_time(np.concatenate(own[most]), 1, np.concatenate(base[most]), 1)


def _step_times(selection: Selection) -> dict[str, list[Floats]]:
    """Seconds per step in each epoch of each run, by what they depend on besides the optimizer."""
    found: dict[str, list[Floats]] = {}
    for seconds, evaluated_at, steps, *circumstances, has_diverged in zip(
        *map(selection.rows.each, _STEP_TIMES_FROM), strict=True
    ):
        is_measured = seconds is not None and len(seconds) and np.all(seconds > 0)
        if is_measured and steps > 0 and circumstances[1] and not has_diverged:
            key = json.dumps(circumstances, sort_keys=True)
            # The last epoch may have ended early.
            parts = np.minimum(evaluated_at[-1] - np.arange(len(seconds)), 1)
            is_trained = parts > 0
            times = seconds[is_trained] / (steps * parts[is_trained])
            found.setdefault(key, []).append(times)
    return found


def _moments(name: str, moments: MeanAndDeviation | None) -> dict[str, float | None]:
    mean, deviation = (None, None) if moments is None else moments
    return {f"{name}_mean": mean, f"{name}_deviation": deviation}


def _mean(time: MeanTime | None) -> float | None:
    # Of the seeds that reach a target while others miss it, it would be a mean of the fastest.
    return None if time is None or time.reached < time.runs else time.mean
