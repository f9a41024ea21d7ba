"""Test performances for papers: problems as columns and optimizers as rows, or the other way."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from deepobs.console.text import counted
from deepobs_analysis.caveats import caveats, choice_in_words
from deepobs_analysis.latex import Value, ValueColumn, escaped, table
from deepobs_analysis.selection import EXPLANATIONS
from deepobs_analysis.winners import FEWEST_SEEDS, contenders
from deepobs_analysis.wording import listed, seeds_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs_analysis.measures import MeanAndDeviation
    from deepobs_analysis.results import Metric
    from deepobs_analysis.summaries import Summary

Layout: TypeAlias = Literal["problems", "optimizers"]
"""What stands in the columns."""

_MISSING = "--"
_FAILED = r"\textsuperscript{\dag}"
_MOST_DECIMALS = 6
# Beyond these, a column is multiplied by a power of ten, which its heading says.
_LARGEST, _SMALLEST = 1e5, 1e-3
_PERCENT = -2  # as a power of ten, for accuracies


class _Metric(NamedTuple):
    """What a problem is judged by, and the power of ten that its values are divided by."""

    metric: Metric
    power: int

    @property
    def below(self) -> str:
        """LaTeX below the name of the problem."""
        name = {"accuracy": "acc.", "loss": "loss"}[self.metric.name]
        arrow = r"$\uparrow$" if self.metric.higher_is_better else r"$\downarrow$"
        unit = f" / {self._unit}" if self._unit else ""
        return rf"\scriptsize {name}{unit} {arrow}"

    def in_words(self, problems: Sequence[str]) -> str:
        """LaTeX of a caption."""
        unit = f" in {self._unit}" if self._unit else ""
        better = "higher" if self.metric.higher_is_better else "lower"
        return f"{self.metric.name}{unit} on {escaped(listed(problems))} ({better} is better)"

    @property
    def _unit(self) -> str:
        if self.power == _PERCENT and self.metric.name == "accuracy":
            return r"\%"
        return f"$10^{{{self.power}}}$" if self.power else ""


def as_latex(rows: Sequence[Summary], layout: Layout = "problems") -> str:
    r"""A table of the final test performances that fits a column of an article with two.

    All optimizers that are not significantly worse than the best one of a problem are bold. The
    caption says what the numbers are.

    Args:
        rows: From `summarize`.
        layout: Whether problems or optimizers are the columns.
    """
    problems = list(dict.fromkeys(row.problem for row in rows))
    optimizers = list(
        dict.fromkeys(row.optimizer for row in sorted(rows, key=lambda e: e.selection.is_reference))
    )
    values: dict[tuple[str, str], Value | str] = {}
    metrics: dict[str, _Metric] = {}
    best = contenders(rows).of
    for problem in problems:
        those = [row for row in rows if row.problem == problem]
        power = _power(those)
        decimals = _decimals(those, power)
        for row in those:
            is_bold = len(those) > 1 and row.optimizer in best[problem]
            values[problem, row.optimizer] = _value(row, decimals, power, is_bold=is_bold)
        metrics[problem] = _Metric(those[0].selection.metric, power)
    if layout == "problems":
        columns = [
            ValueColumn(p, metrics[p].below, [values.get((p, o), _MISSING) for o in optimizers])
            for p in problems
        ]
        names = optimizers
    else:
        columns = [
            ValueColumn(o, "", [values.get((p, o), _MISSING) for p in problems]) for o in optimizers
        ]
        names = problems
    warnings = [found.title for found in caveats(rows)]
    is_chosen = any(row.selection.configurations > 1 for row in rows)
    comments = choice_in_words(rows) if is_chosen else []
    if warnings:
        comments.append(f"Explained by `deepobs report`: {'; '.join(warnings)}.")
    caption = " ".join(filter(None, _caption(rows, metrics if layout == "optimizers" else {})))
    return table(names, columns, caption=caption, comments=comments)


def _shown(row: Summary) -> MeanAndDeviation | None:
    """The performance of the seeds that do not fail; all of them decide what is bold."""
    return row.others.get("final")


def _power(rows: Sequence[Summary]) -> int:
    """The power of ten that the values of a problem are divided by."""
    if rows[0].selection.metric.name == "accuracy":
        return _PERCENT
    shown = [each.mean for each in map(_shown, rows) if each is not None]
    largest = max((abs(mean) for mean in shown if math.isfinite(mean)), default=0.0)
    if largest == 0 or _SMALLEST <= largest < _LARGEST:
        return 0
    return math.floor(math.log10(largest))


def _decimals(rows: Iterable[Summary], power: int) -> int:
    """As many decimals for all values of a problem as show two digits of a usual deviation."""
    shown = [each for each in map(_shown, rows) if each is not None and math.isfinite(each.mean)]
    places = [1 - _leading(each.deviation) for each in shown if each.deviation > 0]
    places = places or [3 - _leading(each.mean) for each in shown if each.mean]
    return min(max(0, statistics.median_low(places or [0]) + power), _MOST_DECIMALS)


def _leading(value: float) -> int:
    """The place of the first digit of a number with two digits."""
    return math.floor(math.log10(abs(float(f"{value:.1e}"))))


def _value(row: Summary, decimals: int, power: int, *, is_bold: bool) -> Value | str:
    shown, seeds = _shown(row), len(row.seeds) - row.failed
    if shown is None:
        return "failed"
    if not math.isfinite(shown.mean):
        return _MISSING
    mean, deviation = shown.mean / 10**power, shown.deviation / 10**power
    mark = _FAILED if row.failed else ""
    # Narrow tables drop a decimal.
    least = 0.5 * 10.0 ** -max(decimals - 1, 0)
    if not row.higher_is_better and 0 < abs(mean) < least:
        # Nothing would be left of it in the decimals of a column that spans many powers of ten.
        digits, exponent = f"{mean:.1e}".split("e")
        text = f"{digits}e{int(exponent)}"
        return (rf"\textbf{{{text}}}" if is_bold else text) + mark
    return Value(mean, decimals, deviation if seeds > 1 else None, is_bold=is_bold, mark=mark)


def _caption(rows: Sequence[Summary], metrics: Mapping[str, _Metric]) -> Iterable[str]:
    """LaTeX: what the numbers are, in which metrics unless columns say it, and what is bold."""
    if not rows:
        yield "There are no results."
        return
    seeds = [len(row.seeds) for row in rows]
    spread = " and population standard deviation" if max(seeds) > 1 else ""
    yield f"Test performance after the last epoch: mean{spread} over {seeds_text(seeds)}."
    measured: dict[_Metric, list[str]] = defaultdict(list)
    for problem, metric in metrics.items():
        measured[metric].append(problem)
    if measured:
        yield f"Metrics: {'; '.join(metric.in_words(of) for metric, of in measured.items())}."
    if any(row.failed for row in rows):
        yield rf"{_FAILED} Some seeds fail; the others are shown, and all count for bold."
    yield escaped(" ".join(_meaning_of_bold(rows)))
    yield escaped(_choice(rows))


def _choice(rows: Sequence[Summary]) -> str:
    """How configurations were selected, in fewer words than below tables of text."""
    chosen = [row.selection for row in rows if row.selection.configurations > 1]
    untuned = [each for each in chosen if not each.is_tuned]
    if not untuned:
        return "Configurations were tuned with other seeds." if chosen else ""
    splits = {each.chosen_by.partition("_")[0] for each in untuned}
    data = {"test": "test data, which flatters it", "valid": "validation data"}
    on = listed([words for split, words in data.items() if split in splits])
    return f"Of several configurations, {EXPLANATIONS[untuned[0].mode]}, selected on {on}."


def _meaning_of_bold(rows: Sequence[Summary]) -> Iterable[str]:
    found = contenders(rows)
    if len(rows) == len(found.of):
        return
    if not found.comparisons:
        yield f"Bold: the best mean on each problem; tests need {FEWEST_SEEDS} seeds."
        return
    yield (
        "Bold: the best mean on each problem, and all that are not significantly worse (5 %, "
        "tests paired where seeds agree, after Holm's correction for "
        f"{counted(found.comparisons, 'comparison')})."
    )
    if found.untested:
        yield f"On {listed(found.untested)}, not all could be tested, and those are not bold."
