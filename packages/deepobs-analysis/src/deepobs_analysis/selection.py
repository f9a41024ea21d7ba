"""Which configuration of an optimizer is shown: the best one, selected by an explicit rule."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from deepobs.console.text import counted
from deepobs.errors import ArgumentError, closest, joined, sentences
from deepobs.representatives import best_configuration
from deepobs_analysis.computed_once import once
from deepobs_analysis.measures import best, epochs_to_target
from deepobs_analysis.measures.arrays import exact_mean, grid_step, is_on_grid
from deepobs_analysis.results import CURVES, Metric, require_results
from deepobs_analysis.run_rows import Rows, pairs_of, rows_by_pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from deepobs_analysis.measures.arrays import Floats
    from deepobs_analysis.results import Results, Split
    from deepobs_analysis.tuning_records import TuningRecord

Mode: TypeAlias = Literal["most", "final", "best"]
MODES: tuple[Mode, ...] = get_args(Mode)

EXPLANATIONS: dict[Mode, str] = {
    "most": "the one with the most completed seeds; among equals, the one with the best mean after "
    "the last epoch",
    "final": "the one with the best mean over its seeds after the last epoch",
    "best": "the one with the best mean over its seeds, each at its best epoch",
}
"""What each mode selects."""


class Performance(NamedTuple):
    """How many seeds a configuration has, and the mean over them."""

    seeds: int
    mean: float


@dataclass(frozen=True, repr=False)
class Selection:
    """The configuration that represents an optimizer on a problem.

    Attributes:
        problem: The test problem, with its protocol where it was run under several.
        optimizer: The optimizer.
        configuration: The configuration, in words.
        hyperparameters: Its hyperparameters.
        metric: What it is judged by.
        chosen_by: The curve that decided, such as `valid_accuracies`.
        mode: The rule.
        runs: Its runs, a row for each seed, as `Results.runs` has them. In all of them the test
            set was measured by the metric.
        configurations: How many configurations there were to choose from.
        is_reference: Whether it belongs to a reference set.
        target: The target that was given for the problem; `None` for the usual one.
        fixed: The hyperparameters that all configurations share.
        is_tuned: Whether its runs are those of the report of a tuning, none of which selected it.
        rows: The same runs with columns as arrays.
    """

    problem: str
    optimizer: str
    configuration: str
    hyperparameters: dict[str, Any]
    metric: Metric
    chosen_by: str
    mode: Mode
    runs: pd.DataFrame
    configurations: int
    is_reference: bool
    target: float | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    is_tuned: bool = False
    rows: Rows = field(kw_only=True, compare=False)
    _known: dict[tuple[str, str | float], Any] = field(
        init=False, default_factory=dict, compare=False
    )

    def __repr__(self) -> str:
        seeds = counted(len(self.runs), "seed")
        return f"Selection({self.optimizer} on {self.problem}, {self.configuration}, {seeds})"

    @property
    def testproblem(self) -> str:
        """The test problem by its name alone."""
        return str(self.rows.first("testproblem"))

    @property
    def was_chosen_on_test(self) -> bool:
        """Whether test performance is biased because it selected among several configurations."""
        return self.configurations > 1 and self.chosen_by.startswith("test")

    def curves(self, split: Split = "test") -> Floats:
        """The curves of its metric, shape (seeds, evaluations).

        Raises:
            ArgumentError: They were not measured in all of its runs.
        """
        return self.measured(self.metric.curve(split))

    def measured(self, curve: str) -> Floats:
        """The curves in a column of `CURVES`, shape (seeds, evaluations). See `curves`."""
        if ("measured", curve) not in self._known:
            if not self.rows.all_have(curve):
                raise ArgumentError(
                    f"Some runs of {self.optimizer} on {self.problem} have no {curve}. "
                    "Choose another curve, or remove these runs."
                )
            self._known["measured", curve] = np.stack(self.rows.each(curve))
        measured: Floats = self._known["measured", curve].copy()
        return measured

    def final(self, split: Split = "test") -> Floats:
        """The performance of every seed after the last epoch, shape (seeds,)."""
        return self.curves(split)[:, -1]

    def resolution(self, curve: str | None = None) -> float:
        """The step from one possible value of an accuracy to the next; 0 for losses.

        Args:
            curve: The column of `CURVES`; `None` for that of `final`.
        """
        name = curve or self.metric.curve("test")
        if not higher_is_better(name):
            return 0.0
        if ("resolution", name) not in self._known:
            self._known["resolution", name] = self._resolution(name)
        return float(self._known["resolution", name])

    def _resolution(self, curve: str) -> float:
        values = self.measured(curve)
        if curve == "test_accuracies" and self.rows.all_have("test_examples"):
            step = 1 / int(max(self.rows.each("test_examples")))
            if is_on_grid(values, step):
                return step
        # What else accuracies are shares of, such as characters, shows in their values only.
        return grid_step(values)

    def epochs_to_target(self, target: float) -> list[float]:
        """After how many epochs each seed reaches a target on the test set.

        Infinite where it never does, or diverged.
        """
        if ("epochs", target) not in self._known:
            columns = (self.metric.curve("test"), "evaluated_at", "has_diverged")
            better = self.metric.higher_is_better
            # A target that is reached before diverging is not kept: as in means of performances,
            # the run counts like one that did not train.
            self._known["epochs", target] = [
                np.inf
                if has_diverged
                else epochs_to_target(curve, target, higher_is_better=better, evaluated_at=at)
                for curve, at, has_diverged in zip(*map(self.rows.each, columns), strict=True)
            ]
        return list(self._known["epochs", target])

    def final_or_worst(self) -> Floats:
        """The final test performance of every seed, infinitely bad if it diverged.

        For comparisons of single runs, in which a diverged run must lose.
        """
        worst = -np.inf if self.metric.higher_is_better else np.inf
        return np.where(self.rows["has_diverged"], worst, self.final())

    def best(self, split: Split = "test") -> Floats:
        """The performance of every seed in its best epoch, shape (seeds,).

        A seed that diverged counts with its performance before training, as in `final`.
        """
        return np.array(performances(self.rows, self.metric.curve(split), "best"))


def select(results: Results, *, mode: Mode = "most", by: str | None = None) -> list[Selection]:
    """Choose the configuration that represents each optimizer on each problem.

    A diverged run counts with its performance before training: it never wins. Runs in which the
    test set was not measured by the metric of the problem are skipped. Where an optimizer was
    tuned, the runs of the report represent it, unless `results.selection_seeds` is "include".

    Args:
        results: The runs.
        mode: The rule, one of `MODES`; see `EXPLANATIONS`.
        by: The curve that decides, such as `valid_losses`. `None` for the metric of the problem, on
            validation data if all runs of the optimizer there have any, else on the test set.

    Returns:
        A selection for each pair, sorted by problem and optimizer.

    Raises:
        ArgumentError: The rule or the curve is unknown, or these are not `Results`.
    """
    require_results(results)
    if mode not in MODES:
        known = ", ".join(MODES)
        raise ArgumentError(f"Configurations are selected by one of {known}; got {mode!r}.")
    if by is not None and by not in CURVES:
        message = f"There is no curve {by!r}. Known: {', '.join(CURVES)}."
        raise ArgumentError(sentences(message, closest(by, CURVES)))
    # Where all selections are known, runs are not grouped again.
    rows = functools.cache(lambda: rows_by_pair(results))

    def selected(pair: tuple[str, str]) -> Selection | None:
        return once(
            ("selected", pair, mode, by), lambda: _selected(results, rows()[pair], mode, by)
        )

    selections = map(selected, pairs_of(results))
    return [selection for selection in selections if selection is not None]


def _selected(results: Results, rows: Rows, mode: Mode, by: str | None) -> Selection | None:
    """The selection among the runs of an optimizer on a problem; `None` if none was measured."""
    problem, testproblem, optimizer = (
        str(rows.first(name)) for name in ("problem", "testproblem", "optimizer")
    )
    metric = Metric(rows.first("metric"))
    reported = rows.part(rows["role"] == "report")
    is_tuned = len(reported) > 0 and results.selection_seeds == "exclude"
    measured = (reported if is_tuned else rows).having(metric.curve("test"))
    decisive = by or _decisive_curve(measured, metric, results.tunings if is_tuned else ())
    measured = measured.having(decisive)
    if not len(measured):
        return None
    chosen = _best_configuration(measured, decisive, mode)
    return Selection(
        problem=problem,
        optimizer=optimizer,
        configuration=chosen.first("configuration"),
        hyperparameters=chosen.first("hyperparameters"),
        metric=metric,
        chosen_by=decisive,
        mode=mode,
        runs=chosen.as_table(),
        configurations=len(set(rows["configuration"])),
        is_reference=bool(rows.first("is_reference")),
        target=results.targets.get(problem, results.targets.get(testproblem)),
        fixed=_fixed(rows["hyperparameters"]),
        is_tuned=is_tuned,
        rows=chosen,
    )


def selections_by_problem(results: Results, mode: Mode) -> dict[str, list[Selection]]:
    """The selections of each problem, for figures.

    Raises:
        ArgumentError: There are none.
    """
    selections = select(results, mode=mode)
    if not selections:
        raise ArgumentError(
            "There is nothing to draw: the test set was measured in no run. Give results of "
            "`deepobs run` or `deepobs bench`."
        )
    by_problem: dict[str, list[Selection]] = {}
    for each in selections:
        by_problem.setdefault(each.problem, []).append(each)
    return by_problem


def references_left_out(selections: Iterable[Selection]) -> dict[str, str]:
    """The optimizers of a reference set that are not compared over all problems, and why.

    They lack problems on which others of it can be compared with one's own: a problem is worth more
    than one of many references.
    """
    own: dict[str, set[str]] = {}
    theirs: dict[str, set[str]] = {}
    for each in selections:
        kind = theirs if each.is_reference else own
        kind.setdefault(each.optimizer, set()).add(each.problem)
    if not own or not theirs:
        return {}
    common = set.intersection(*own.values())
    shared = common & set(itertools.chain(*theirs.values()))
    if common and not shared:
        reason = "run on none of these problems under the same protocol"
        return dict.fromkeys(theirs, f"{reason}, so not compared")
    lacking = {name: shared - problems for name, problems in theirs.items()}
    if all(lacking.values()):
        return {}
    return {
        name: f"not run on {joined(sorted(problems))}, so not compared"
        for name, problems in lacking.items()
        if problems
    }


def configuration_performances(
    runs: Rows, curve: str, *, mode: Mode = "final"
) -> dict[str, Performance]:
    """How well the configurations of an optimizer on a problem performed, sorted by their names.

    Args:
        runs: Runs of one optimizer on one problem, all with the curve.
        curve: What they are compared by, a name of `CURVES`.
        mode: "best" for the best epoch of each run; the last epoch otherwise.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for name, value in zip(
        runs.each("configuration"), performances(runs, curve, mode), strict=True
    ):
        values[name].append(value)
    return {
        name: Performance(len(values[name]), exact_mean(values[name])) for name in sorted(values)
    }


def performances(runs: Rows, curve: str, mode: Mode) -> list[float]:
    """What each run is compared by; the performance before training for those that diverged."""

    def value(values: Floats, has_diverged: bool) -> float:
        # After divergence curves hold this value too, but an earlier epoch could be the best.
        if has_diverged:
            return float(values[0])
        if mode == "best":
            return best(values, higher_is_better=higher_is_better(curve))
        return float(values[-1])

    return list(map(value, runs.each(curve), runs.each("has_diverged")))


def higher_is_better(curve: str) -> bool:
    """Whether larger values of a curve are better."""
    return curve.endswith("accuracies")


def _fixed(hyperparameters: Iterable[dict[str, Any]]) -> dict[str, Any]:
    first, *others = hyperparameters
    return {
        name: value
        for name, value in first.items()
        if all(name in each and each[name] == value for each in others)
    }


def _decisive_curve(runs: Rows, metric: Metric, tunings: Iterable[TuningRecord]) -> str:
    pairs = set(zip(runs["problem"], runs["optimizer"], strict=True))
    curves = {each.curve for each in tunings if (each.problem, each.optimizer) in pairs}
    # What selected the winner of a tuning is recorded.
    if len(curves) == 1 and all(map(runs.all_have, curves)):
        return curves.pop()
    # Of all runs: between one judged on validation data and one judged on the test set, which are
    # different examples, there is no better one.
    has_validation = len(runs) > 0 and runs.all_have(metric.curve("valid"))
    return metric.curve("valid" if has_validation else "test")


def _best_configuration(runs: Rows, curve: str, mode: Mode) -> Rows:
    # Of equal means the first name wins, whatever the order in which files were found.
    ordered = runs.part(np.argsort(runs["configuration"], kind="stable"))
    winner = best_configuration(
        zip(
            ordered.each("configuration"),
            performances(ordered, curve, mode),
            (~ordered["has_diverged"]).tolist(),
            strict=True,
        ),
        higher_is_better=higher_is_better(curve),
        most_seeds_first=mode == "most",
    )
    seeds = runs.part(runs["configuration"] == winner)
    return seeds.part(np.argsort(seeds["seed"]))
