"""Which setting of an optimizer is shown: the best one, chosen by a rule that is stated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from deepobs.errors import ArgumentError, closest, sentences
from deepobs_analysis.measures import best, final
from deepobs_analysis.results import CURVES, Metric

if TYPE_CHECKING:
    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.results import Results, Split

Mode: TypeAlias = Literal["most", "final", "best"]
MODES: tuple[Mode, ...] = get_args(Mode)

EXPLANATIONS: dict[Mode, str] = {
    "most": "the setting of which most seeds completed, and of those with as many the one with the "
    "best mean after the last epoch",
    "final": "the setting with the best mean over its seeds after the last epoch",
    "best": "the setting with the best mean over its seeds of the best epoch of each",
}
"""What each mode chooses, to be read after "chosen was"."""


@dataclass(frozen=True)
class Selection:
    """The setting that stands for an optimizer on a problem.

    Attributes:
        problem: The test problem.
        optimizer: The optimizer.
        setting: What its setting is.
        hyperparameters: Those of the setting.
        metric: What it is judged by.
        chosen_by: The curve that decided, such as `valid_accuracies`.
        mode: The rule.
        runs: Its runs, a row for each seed, as `Results.runs` has them. In all of them the test
            set was measured by the metric.
        settings: How many settings there were to choose from.
        is_reference: Whether it belongs to a reference set.
    """

    problem: str
    optimizer: str
    setting: str
    hyperparameters: dict[str, Any]
    metric: Metric
    chosen_by: str
    mode: Mode
    runs: pd.DataFrame
    settings: int
    is_reference: bool

    @property
    def was_chosen_on_test(self) -> bool:
        """Whether figures on the test set are too good, as there was a choice, made on it."""
        return self.settings > 1 and self.chosen_by.startswith("test")

    def curves(self, split: Split = "test") -> Floats:
        """The curves of its seeds, of the shape (seeds, epochs + 1).

        Raises:
            ArgumentError: They were not measured in all of its runs.
        """
        return self.measured(self.metric.curve(split))

    def measured(self, curve: str) -> Floats:
        """The curves of its seeds by the name of a column, of the shape (seeds, epochs + 1)."""
        values = self.runs[curve]
        if values.isna().any():
            raise ArgumentError(
                f"Some runs of {self.optimizer} on {self.problem} have no {curve}. "
                "Choose another curve, or leave out these runs."
            )
        return np.stack(list(values))

    def final(self, split: Split = "test") -> Floats:
        """The performance of every seed after the last epoch."""
        return self.curves(split)[:, -1]

    def final_or_worst(self) -> Floats:
        """The test performance of every seed after the last epoch, infinitely bad if it diverged.

        For comparisons of single runs, in which one that diverged must lose.
        """
        worst = -np.inf if self.metric.higher_is_better else np.inf
        return np.where(self.runs["has_diverged"], worst, self.final())

    def best(self, split: Split = "test") -> Floats:
        """The performance of every seed in its best epoch."""
        curves = self.curves(split)
        reduce = np.maximum.reduce if self.metric.higher_is_better else np.minimum.reduce
        return np.asarray(reduce(curves, axis=1))


def select(results: Results, *, mode: Mode = "most", by: str | None = None) -> list[Selection]:
    """Choose the setting that stands for each optimizer on each problem.

    A run that diverged counts with its performance before training: it never wins. Runs in which
    the test set was not measured by the metric of the problem are left out, and so are pairs of
    problem and optimizer that have no other.

    Args:
        results: The runs.
        mode: The rule, one of `MODES`; `EXPLANATIONS` tells what it is.
        by: The curve that decides, such as `valid_losses`. `None` for the metric of the problem, on
            validation data where all runs of the optimizer there have any, else on the test set.

    Returns:
        A selection for each pair, sorted by problem and optimizer.

    Raises:
        ArgumentError: There is no such rule or curve.
    """
    if mode not in MODES:
        known = ", ".join(MODES)
        raise ArgumentError(f"Settings are chosen by one of {known}; {mode!r} is none of them.")
    if by is not None and by not in CURVES:
        message = f"No curve is called {by!r}. There are: {', '.join(CURVES)}."
        raise ArgumentError(sentences(message, closest(by, CURVES)))
    selections = []
    for _, runs in results.runs.groupby(["problem", "optimizer"], sort=True):
        metric = Metric(runs["metric"].iloc[0])
        measured = runs[runs[metric.curve("test")].notna()]
        decisive = by or _decisive_curve(measured, metric)
        measured = measured[measured[decisive].notna()]
        if len(measured):
            best_runs = _best_setting(measured, decisive, mode)
            selections.append(
                Selection(
                    problem=str(runs["problem"].iloc[0]),
                    optimizer=str(runs["optimizer"].iloc[0]),
                    setting=best_runs["setting"].iloc[0],
                    hyperparameters=best_runs["hyperparameters"].iloc[0],
                    metric=metric,
                    chosen_by=decisive,
                    mode=mode,
                    runs=best_runs,
                    settings=runs["setting"].nunique(),
                    is_reference=bool(runs["is_reference"].iloc[0]),
                )
            )
    return selections


def setting_performances(runs: pd.DataFrame, curve: str, *, mode: Mode = "final") -> pd.DataFrame:
    """How well the settings of an optimizer on a problem did.

    Args:
        runs: Runs of one optimizer on one problem, all with the curve.
        curve: What they are compared by, a name of `CURVES`.
        mode: "best" for the best epoch of each run; the last epoch otherwise.

    Returns:
        A row for each setting, under its name: `mean` over its seeds, where one that diverged
        counts with its performance before training, `seeds`, and how many of them `completed`.
    """
    values = pd.DataFrame(
        {
            "setting": runs["setting"],
            "mean": _values(runs, curve, mode),
            "seeds": 1,
            "completed": (~runs["has_diverged"]).astype(int),
        }
    )
    by_setting = values.groupby("setting", sort=True)
    return by_setting[["seeds", "completed"]].sum().assign(mean=by_setting["mean"].mean())


def higher_is_better(curve: str) -> bool:
    """Whether a curve wants to be large."""
    return curve.endswith("accuracies")


def _values(runs: pd.DataFrame, curve: str, mode: Mode) -> list[float]:
    """What each run is compared by; that before training for those that diverged."""

    def value(values: Floats, has_diverged: bool) -> float:
        if has_diverged:
            return float(values[0])
        if mode == "best":
            return best(values, higher_is_better=higher_is_better(curve))
        return final(values)

    return list(map(value, runs[curve], runs["has_diverged"]))


def _decisive_curve(runs: pd.DataFrame, metric: Metric) -> str:
    has_validation = len(runs) > 0 and runs[metric.curve("valid")].notna().all()
    return metric.curve("valid" if has_validation else "test")


def _best_setting(runs: pd.DataFrame, curve: str, mode: Mode) -> pd.DataFrame:
    performances = setting_performances(runs, curve, mode=mode)
    if mode == "most":
        most = performances["completed"].max()
        performances = performances[performances["completed"] == most]
    means = performances["mean"].sort_index()
    winner = means.idxmax() if higher_is_better(curve) else means.idxmin()
    return runs[runs["setting"] == winner].sort_values("seed")
