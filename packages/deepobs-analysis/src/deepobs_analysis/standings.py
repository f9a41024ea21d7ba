"""How every optimizer did on every problem: the rows of tables and of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepobs_analysis.measures import mean_and_deviation
from deepobs_analysis.selection import select
from deepobs_analysis.step_times import step_time_beside_sgd
from deepobs_analysis.targets import targets as targets_of
from deepobs_analysis.times import UNITS, mean_time_to_target
from deepobs_analysis.trials import trials_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deepobs_analysis.measures import MeanAndDeviation, MeanTime
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode, Selection
    from deepobs_analysis.targets import Target
    from deepobs_analysis.times import Unit
    from deepobs_analysis.trials import Trials

_RECORDED_IN: dict[Unit, tuple[str, ...]] = {
    "epochs": (),
    "steps": ("steps_per_epoch",),
    "gradient evaluations": ("steps_per_epoch", "gradient_evaluations"),
    "seconds": ("train_seconds",),
}
"""The columns of runs from which times are made."""


@dataclass(frozen=True)
class Standing:
    """How an optimizer did on a problem, with the setting that stands for it.

    Attributes:
        selection: The setting, how it was chosen, and its runs.
        final: Test performance after the last epoch, over its seeds.
        best: Test performance in the best epoch of each seed.
        loss: Test loss after the last epoch; `None` if not measured for all seeds.
        accuracy: Test accuracy after the last epoch; `None` if not measured for all seeds.
        target: What counts as solving the problem, `None` where nothing does.
        times: The mean time until then of the seeds that get there, by unit, where recorded.
        relative_step_time: How many times as long a step takes as one of SGD; `None` if unknown.
        trials: What was tried to find the setting.
    """

    selection: Selection
    final: MeanAndDeviation
    best: MeanAndDeviation
    loss: MeanAndDeviation | None
    accuracy: MeanAndDeviation | None
    target: Target | None
    times: Mapping[Unit, MeanTime]
    relative_step_time: float | None
    trials: Trials

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
        """Whether an optimizer wants the performance large."""
        return self.selection.metric.higher_is_better

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the setting, one for each run."""
        return tuple(int(seed) for seed in self.selection.runs["seed"])


def standings(
    results: Results,
    *,
    mode: Mode = "most",
    by: str | None = None,
    targets: Mapping[str, Target] | None = None,
) -> list[Standing]:
    """Sum up results: a row for each optimizer on each problem.

    Args:
        results: The runs.
        mode: How settings are chosen; see `select`.
        by: The curve that decides; see `select`.
        targets: The target of each problem; `None` for those of `targets.targets`.

    Returns:
        Sorted by problem and optimizer, those of a reference set last.
    """
    selections = select(results, mode=mode, by=by)
    goals = targets_of(selections) if targets is None else targets
    by_pair = dict(iter(results.runs.groupby(["problem", "optimizer"])))
    by_problem = dict(iter(results.runs.groupby("problem")))
    rows = [
        _standing(
            selection,
            by_pair[selection.problem, selection.optimizer],
            by_problem[selection.problem],
            goals.get(selection.problem),
        )
        for selection in selections
    ]
    return sorted(rows, key=lambda row: (row.problem, row.selection.is_reference, row.optimizer))


def best_of(rows: Iterable[Standing]) -> Standing:
    """The row with the best mean test performance after the last epoch.

    Args:
        rows: Of one problem, at least one.
    """
    return min(rows, key=lambda row: -row.final.mean if row.higher_is_better else row.final.mean)


def as_frame(rows: Iterable[Standing]) -> pd.DataFrame:
    """The rows as numbers, to go on with in pandas.

    Returns:
        A row for each. Where something is not known, its value is missing.
    """
    return pd.DataFrame([record(row) for row in rows])


def record(row: Standing) -> dict[str, Any]:
    """All numbers of a row by name: texts, numbers, and `None` for what is not known."""
    chosen = row.selection
    return {
        "problem": row.problem,
        "optimizer": row.optimizer,
        "is_reference": chosen.is_reference,
        "metric": chosen.metric.name,
        **_moments("final", row.final),
        **_moments("best", row.best),
        **_moments("loss", row.loss),
        **_moments("accuracy", row.accuracy),
        "target": None if row.target is None else row.target.value,
        "target_source": None if row.target is None else row.target.source,
        **{f"{unit.replace(' ', '_')}_to_target": _time(row.times.get(unit)) for unit in UNITS},
        "reached": None if row.target is None else row.times["epochs"].reached,
        "seeds": len(row.seeds),
        "settings": chosen.settings,
        "runs": row.trials.runs,
        "share_diverged": row.trials.share_diverged,
        "expected_best": row.trials.expected_best,
        "decades": row.trials.decades,
        "relative_step_time": row.relative_step_time,
        "setting": chosen.setting,
        "chosen_by": chosen.chosen_by,
        "mode": chosen.mode,
        "was_chosen_on_test": chosen.was_chosen_on_test,
    }


def _standing(
    selection: Selection, of_pair: pd.DataFrame, of_problem: pd.DataFrame, target: Target | None
) -> Standing:
    return Standing(
        selection=selection,
        final=mean_and_deviation(selection.final()),
        best=mean_and_deviation(selection.best()),
        loss=_last(selection, "test_losses"),
        accuracy=_last(selection, "test_accuracies"),
        target=target,
        times={} if target is None else _times(selection, target),
        relative_step_time=step_time_beside_sgd(selection, of_problem),
        trials=trials_of(selection, of_pair),
    )


def _last(selection: Selection, curve: str) -> MeanAndDeviation | None:
    if selection.runs[curve].isna().any():
        return None
    return mean_and_deviation(selection.measured(curve)[:, -1])


def _times(selection: Selection, target: Target) -> dict[Unit, MeanTime]:
    """The times in the units that were recorded, even where the target is never reached."""
    measured = {
        unit: mean_time_to_target(selection, target.value, unit)
        for unit, columns in _RECORDED_IN.items()
        if selection.runs[list(columns)].notna().all(axis=None)
    }
    return {unit: time for unit, time in measured.items() if time is not None}


def _moments(name: str, moments: MeanAndDeviation | None) -> dict[str, float | None]:
    mean, deviation = (None, None) if moments is None else moments
    return {f"{name}_mean": mean, f"{name}_deviation": deviation}


def _time(time: MeanTime | None) -> float | None:
    return None if time is None or not np.isfinite(time.mean) else time.mean
