"""The columns of tables: what they show, and which of two values is the better one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from deepobs.errors import ArgumentError, UnknownNameError, closest, sentences
from deepobs_analysis.rounding import MISSING, mean_text, number, share, time_text
from deepobs_analysis.times import UNITS
from deepobs_analysis.trials import BUDGET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deepobs_analysis.measures import MeanAndDeviation
    from deepobs_analysis.standings import Standing
    from deepobs_analysis.times import Unit

Goodness: TypeAlias = tuple[float, ...] | None
"""What values are compared by: the larger, the better; `None` for what is not known."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: By which it is asked for.
        heading: What stands above it.
        meaning: What it holds, in a few words.
        text: The value of a row as people read it.
        fields: The names in `standings.record` that hold it in full precision.
        goodness: By which values of one problem are compared; `None` where none is better.
        is_number: Whether its values are aligned to the right.
    """

    name: str
    heading: str
    meaning: str
    text: Callable[[Standing], str]
    fields: tuple[str, ...]
    goodness: Callable[[Standing], Goodness] | None = None
    is_number: bool = True


def columns_called(names: Iterable[str]) -> list[Column]:
    """Find columns.

    Args:
        names: Their names, in the order in which they are shown.

    Raises:
        ArgumentError: None is named.
        UnknownNameError: There is no such column.
    """
    wanted = list(names)
    for name in wanted:
        if name not in COLUMNS:
            every = f"There are: {', '.join(COLUMNS)}."
            message = f"There is no column {name!r}."
            raise UnknownNameError(sentences(message, closest(name, COLUMNS), every))
    if not wanted:
        raise ArgumentError(f"A table needs a column. There are: {', '.join(COLUMNS)}.")
    return [COLUMNS[name] for name in dict.fromkeys(wanted)]


def value_text(text: str | None) -> str:
    """A text of a result file; empty ones are not known."""
    return text or MISSING


def _moments(name: str, heading: str, meaning: str, *, larger: bool | None = None) -> Column:
    """A column of means and deviations; `larger` is better, `None` where the metric says it."""

    def moments(row: Standing) -> MeanAndDeviation | None:
        found: MeanAndDeviation | None = getattr(row, name)
        return found

    def goodness(row: Standing) -> Goodness:
        found = moments(row)
        is_larger = row.higher_is_better if larger is None else larger
        return None if found is None else (found.mean if is_larger else -found.mean,)

    def text(row: Standing) -> str:
        return mean_text(moments(row), len(row.seeds))

    return Column(name, heading, meaning, text, (f"{name}_mean", f"{name}_deviation"), goodness)


def _time(unit: Unit) -> Column:
    name = unit.replace(" ", "_")

    def goodness(row: Standing) -> Goodness:
        time = row.times.get(unit)
        # A mean over the few seeds that reach a target is no better than one over all of them.
        return None if not time or not time.reached else (time.reached / time.runs, -time.mean)

    return Column(
        name,
        f"{unit[0].upper()}{unit[1:]} to target",
        f"mean {unit} until the target is reached, over the seeds that reach it",
        lambda row: time_text(row.times.get(unit)),
        (f"{name}_to_target", "reached", "seeds"),
        goodness,
    )


def _expected_best(row: Standing) -> Goodness:
    value = row.trials.expected_best
    if value is None:
        return None
    return (value if row.selection.chosen_by.endswith("accuracies") else -value,)


def _decades(row: Standing) -> Goodness:
    return None if row.trials.decades is None else (row.trials.decades,)


_ALL = (
    Column(
        "problem",
        "Problem",
        "the test problem",
        lambda row: row.problem,
        ("problem",),
        is_number=False,
    ),
    Column(
        "optimizer",
        "Optimizer",
        "the optimizer",
        lambda row: row.optimizer,
        ("optimizer", "is_reference"),
        is_number=False,
    ),
    Column(
        "metric",
        "Metric",
        "what the problem is judged by",
        lambda row: row.selection.metric.name,
        ("metric",),
        is_number=False,
    ),
    _moments("final", "Test performance", "on the test set after the last epoch, by the metric"),
    _moments("best", "Best epoch", "test performance in the best epoch of each seed"),
    _moments("loss", "Test loss", "after the last epoch", larger=False),
    _moments("accuracy", "Test accuracy", "after the last epoch", larger=True),
    Column(
        "target",
        "Target",
        "the performance that counts as solving the problem",
        lambda row: MISSING if row.target is None else number(row.target.value),
        ("target", "target_source"),
    ),
    *map(_time, UNITS),
    Column(
        "seeds",
        "Seeds",
        "runs of the setting that is shown",
        lambda row: str(len(row.seeds)),
        ("seeds",),
    ),
    Column(
        "settings",
        "Settings",
        "settings that were tried",
        lambda row: str(row.selection.settings),
        ("settings",),
    ),
    Column(
        "diverged",
        "Diverged",
        "share of all runs that diverged, whatever their setting",
        lambda row: share(row.trials.share_diverged),
        ("share_diverged", "runs"),
        lambda row: (-row.trials.share_diverged,),
    ),
    Column(
        "expected_best",
        f"Best of {BUDGET}",
        f"performance to expect of the best of {BUDGET} of these settings drawn at random, "
        "by the curve that settings are chosen by",
        lambda row: number(row.trials.expected_best),
        ("expected_best",),
        _expected_best,
    ),
    Column(
        "decades",
        "Decades",
        "orders of magnitude of the learning rate within 10 % of the best",
        lambda row: number(row.trials.decades, 2),
        ("decades",),
        _decades,
    ),
    Column(
        "overhead",
        "Step time",
        "seconds per step as a multiple of those of SGD, measured alike",
        lambda row: number(row.relative_step_time, 3),
        ("relative_step_time",),
        lambda row: None if row.relative_step_time is None else (-row.relative_step_time,),
    ),
    Column(
        "chosen_by",
        "Chosen by",
        "the curve and the rule by which the setting was chosen",
        lambda row: f"{row.selection.chosen_by} ({row.selection.mode})",
        ("chosen_by", "mode", "was_chosen_on_test"),
        is_number=False,
    ),
    Column(
        "setting",
        "Setting",
        "the setting that is shown",
        lambda row: value_text(row.selection.setting),
        ("setting",),
        is_number=False,
    ),
)

COLUMNS = {column.name: column for column in _ALL}
"""All columns by name."""

DEFAULT = ("problem", "optimizer", "final", "epochs", "seeds", "diverged", "setting")
"""Those that are shown where nothing else is asked for."""
