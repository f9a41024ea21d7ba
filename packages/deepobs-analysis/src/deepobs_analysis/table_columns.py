"""The columns of tables: what they show, and which of two values is the better one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from deepobs.errors import ArgumentError, UnknownNameError, closest, sentences
from deepobs_analysis.measures.arrays import same
from deepobs_analysis.protocol_differences import in_words
from deepobs_analysis.selection import higher_is_better
from deepobs_analysis.targets import UNITS
from deepobs_analysis.trials import BUDGET
from deepobs_analysis.wording import (
    MISSING,
    number,
    performance_text,
    share,
    time_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from deepobs_analysis.measures import MeanAndDeviation
    from deepobs_analysis.summaries import Summary
    from deepobs_analysis.targets import Unit

Goodness: TypeAlias = tuple[float, ...] | None
"""What values are compared by: the larger, the better; `None` for unknown values."""


@dataclass(frozen=True, slots=True)
class SummaryColumn:
    """A column of a table of summaries.

    Attributes:
        name: By which it is selected.
        heading: Its heading.
        meaning: What it holds, in a few words.
        text: The value of a row as people read it.
        fields: The names in `summaries.record` that hold it in full precision; reports sort by the
            first. Notes below tables go by the endings `_mean` and `_deviation`, and by `reached`.
        goodness: What values of one problem are compared by; `None` where none is better.
        is_number: Whether its values are aligned to the right.
    """

    name: str
    heading: str
    meaning: str
    text: Callable[[Summary], str]
    fields: tuple[str, ...]
    goodness: Callable[[Summary], Goodness] | None = None
    is_number: bool = True


class Cell(NamedTuple):
    """A value of a table, and whether no other optimizer has a better one on the same problem."""

    text: str
    is_best: bool = False


def columns_called(names: Iterable[str]) -> list[SummaryColumn]:
    """The columns of these names, in their order.

    Raises:
        ArgumentError: No column is named.
        UnknownNameError: There is no such column.
    """
    wanted = _parts(names) if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in COLUMNS:
            known = f"Known: {', '.join(COLUMNS)}."
            message = f"There is no column {name!r}."
            raise UnknownNameError(sentences(message, closest(name, COLUMNS), known))
    if not wanted:
        raise ArgumentError(f"A table needs a column. Known: {', '.join(COLUMNS)}.")
    return [COLUMNS[name] for name in dict.fromkeys(wanted)]


def _parts(names: str) -> list[str]:
    """The names that a text separates by commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def cells_of(columns: Sequence[SummaryColumn], rows: Sequence[Summary]) -> list[list[Cell]]:
    """The cells of each row, with the best value among these rows on each problem marked."""
    by_column = [_cells(column, rows) for column in columns]
    return [list(cells) for cells in zip(*by_column, strict=True)]


def _cells(column: SummaryColumn, rows: Sequence[Summary]) -> list[Cell]:
    if column.goodness is None:
        return [Cell(column.text(row)) for row in rows]
    goodness = [column.goodness(row) for row in rows]
    # Only values of one problem compare: losses of different problems have different scales. With
    # and without the regularizer, losses are of different functions, too.
    functions = [
        (row.problem, row.has_bare_losses and (column.name == "loss" or not row.higher_is_better))
        for row in rows
    ]
    comparable: dict[tuple[str, bool], list[tuple[float, ...]]] = {}
    for function, value in zip(functions, goodness, strict=True):
        if value is not None:
            comparable.setdefault(function, []).append(value)
    return [
        Cell(column.text(row), value is not None and _is_best(value, comparable[function]))
        for row, function, value in zip(rows, functions, goodness, strict=True)
    ]


def _is_best(value: tuple[float, ...], comparable: list[tuple[float, ...]]) -> bool:
    # Equal values are all the best. One without another to compare with does not stand out.
    return len(comparable) > 1 and all(map(same, value, max(comparable)))


def _word(
    name: str,
    heading: str,
    meaning: str,
    text: Callable[[Summary], str],
    fields: tuple[str, ...] | None = None,
) -> SummaryColumn:
    """A column of text."""
    return SummaryColumn(name, heading, meaning, text, fields or (name,), is_number=False)


def _moments(name: str, heading: str, meaning: str, *, larger: bool | None = None) -> SummaryColumn:
    """A column of means and deviations; `larger` is better, `None` where the metric says it."""

    def moments(row: Summary) -> MeanAndDeviation | None:
        found: MeanAndDeviation | None = getattr(row, name)
        return found

    def goodness(row: Summary) -> Goodness:
        found = moments(row)
        is_larger = row.higher_is_better if larger is None else larger
        return None if found is None else (found.mean if is_larger else -found.mean,)

    def text(row: Summary) -> str:
        return MISSING if moments(row) is None else performance_text(row, name)

    others = "others" if name == "final" else f"others_{name}"
    fields = (*_fields(name), "failed", *_fields(others))
    return SummaryColumn(name, heading, meaning, text, fields, goodness)


def _fields(name: str) -> tuple[str, str]:
    return f"{name}_mean", f"{name}_deviation"


def _time(unit: Unit) -> SummaryColumn:
    name = unit.replace(" ", "_")

    def goodness(row: Summary) -> Goodness:
        time = row.times.get(unit)
        if not time or not time.reached:
            return None
        # Where seeds miss the target, a mean over the others is that of the fastest: only their
        # share counts.
        is_by_all = time.reached == time.runs
        return (time.reached / time.runs, -time.mean if is_by_all else 0.0)

    return SummaryColumn(
        name,
        f"{unit[0].upper()}{unit[1:]} to target",
        f"mean {unit} until the target is reached, if all seeds reach it",
        lambda row: time_text(row.times.get(unit)),
        (f"{name}_to_target", "reached", "seeds"),
        goodness,
    )


def _selected_by(row: Summary) -> str:
    split, _, _ = row.selection.chosen_by.partition("_")
    metric = "accuracy" if higher_is_better(row.selection.chosen_by) else "loss"
    return f"{'validation' if split == 'valid' else split} {metric} ({row.selection.mode})"


def _expected_best(row: Summary) -> Goodness:
    value = row.trials.expected_best
    if value is None:
        return None
    return (value if higher_is_better(row.selection.chosen_by) else -value,)


def _configuration(row: Summary) -> str:
    text = row.selection.configuration or MISSING
    return "; ".join([text, *map(in_words, row.differing)])


_ALL = (
    _word("problem", "Problem", "the test problem", lambda row: row.problem),
    _word(
        "optimizer",
        "Optimizer",
        "the optimizer",
        lambda row: row.optimizer,
        ("optimizer", "is_reference"),
    ),
    _word(
        "metric", "Metric", "what the problem is judged by", lambda row: row.selection.metric.name
    ),
    _moments("final", "Test performance", "on the test set after the last epoch, by the metric"),
    _moments("best", "Best epoch", "test performance in the best epoch of each seed"),
    _moments("loss", "Test loss", "after the last epoch", larger=False),
    _moments("accuracy", "Test accuracy", "after the last epoch", larger=True),
    SummaryColumn(
        "target",
        "Target",
        "the performance that counts as solving the problem",
        lambda row: MISSING if row.target is None else number(row.target.value),
        ("target", "target_source"),
    ),
    *map(_time, UNITS),
    SummaryColumn(
        "seeds",
        "Seeds",
        "runs of the configuration that is shown",
        lambda row: str(len(row.seeds)),
        ("seeds",),
    ),
    SummaryColumn(
        "configurations",
        "Configurations",
        "configurations that were run",
        lambda row: str(row.selection.configurations),
        ("configurations",),
    ),
    SummaryColumn(
        "diverged",
        "Diverged",
        "share of the runs of all configurations that diverged",
        lambda row: share(row.trials.share_diverged),
        ("share_diverged", "runs"),
    ),
    SummaryColumn(
        "expected_best",
        f"Best of {BUDGET}",
        f"expected performance of the best of {BUDGET} configurations drawn at random from those "
        "that were run, on the data that select configurations",
        lambda row: number(row.trials.expected_best),
        ("expected_best",),
        _expected_best,
    ),
    SummaryColumn(
        "decades",
        "Decades",
        "orders of magnitude of learning rates whose performance is within 10 % of the best",
        lambda row: number(row.trials.decades, 2),
        ("decades",),
        lambda row: None if row.trials.decades is None else (row.trials.decades,),
    ),
    SummaryColumn(
        "overhead",
        "Step time",
        "seconds per step of runs that completed, divided by those of SGD in the same environment",
        lambda row: number(row.relative_step_time, 3),
        ("relative_step_time",),
        lambda row: None if row.relative_step_time is None else (-row.relative_step_time,),
    ),
    _word(
        "chosen_by",
        "Selected by",
        "the data, metric and rule (`--mode`) that selected the configuration",
        _selected_by,
        ("chosen_by", "mode", "was_chosen_on_test"),
    ),
    _word(
        "configuration",
        "Configuration",
        "the configuration that is shown",
        _configuration,
        ("configuration", "differing"),
    ),
)

COLUMNS = {column.name: column for column in _ALL}
"""All columns by name."""

DEFAULT = ("problem", "optimizer", "final", "epochs", "seeds", "diverged", "configuration")
"""The names of the columns that are shown by default."""
