"""The figures of a report: drawn, and taken apart for the page."""

from __future__ import annotations

import contextlib
import functools
import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError
from deepobs.plugins.catalog import import_target
from deepobs_analysis.forks import in_forks
from deepobs_analysis.plugin import deepobs_plots
from deepobs_analysis.report_panels import panels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from deepobs_analysis.report_panels import Panel
    from deepobs_analysis.report_series import Key, Series
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode

_OVERVIEW = {"overview": "Test loss and accuracy over epochs on every problem"}
_OF_A_PROBLEM = {
    "performance": "Loss and accuracy over epochs",
    "gradient_norms": "Norm of the gradient over epochs",
    "time_to_target": "Time to the target",
    "sensitivity": "Test performance over the learning rate",
    "sensitivity_2d": "Test performance over two hyperparameters",
    "tuning_rank": "All configurations, from the best to the worst",
    "expected_best": "Expected performance of the best of k configurations",
}
_ACROSS_PROBLEMS = {
    "profiles": "Performance profile of times to targets",
    "ranks": "How often each optimizer is first, second and so on",
    "comparison": "Probability that the row's seed beats the column's",
}
_WIDEST_OF_A_COLUMN = 340.0
_YOUNG = 0  # the generation of objects that GC has not visited: those of the latest figure


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure of the page: its caption, what it says below its panels, its legend, its panels."""

    caption: str
    notes: str
    keys: Sequence[Key]
    panels: Sequence[Panel]

    @property
    def is_wide(self) -> bool:
        """Whether a panel needs more room than a column has, as a matrix of many optimizers."""
        return any(panel.width > _WIDEST_OF_A_COLUMN for panel in self.panels)


@dataclass(frozen=True, slots=True)
class Drawings:
    """The figures of a report: test curves on all problems, those of each, and comparisons."""

    overview: Sequence[Drawing]
    of_problems: Mapping[str, Sequence[Drawing]]
    across_problems: Sequence[Drawing]


@contextlib.contextmanager
def drawings(
    results: Results, mode: Mode, series: Series, problems: Sequence[str], *, are_compared: bool
) -> Iterator[Callable[[], Drawings]]:
    """Draw all that can be drawn of some results, if possible beside the block.

    Args:
        results: The runs.
        mode: How configurations are chosen; see `select`.
        series: The optimizers of the page.
        problems: The problems, in the order of the page.
        are_compared: Whether optimizers are compared over all problems.

    Yields:
        What waits for the figures.
    """
    parts = [(_ACROSS_PROBLEMS if are_compared else {}, results, "across-")]
    parts.append((_OVERVIEW, results, "all-"))
    for place, problem in enumerate(problems, start=1):
        parts.append((_OF_A_PROBLEM, results.only(problems=[problem]), f"p{place}-"))
    for names, *_ in parts:
        for name in names:
            _plot(name)  # imported before tasks are forked, once for all of them
    tasks = [
        functools.partial(_drawn, names, those, mode, series, prefix)
        for names, those, prefix in parts
    ]
    with in_forks(tasks) as finish:

        def finished() -> Drawings:
            across, overview, *others = finish()
            return Drawings(overview, dict(zip(problems, others, strict=True)), across)

        yield finished


def _drawn(
    captions: Mapping[str, str], results: Results, mode: Mode, series: Series, prefix: str
) -> list[Drawing]:
    """The figures that the results have the data for, whose ids begin with a prefix."""
    found = []
    for name, caption in captions.items():
        try:
            figure = _plot(name)(results, mode=mode)
        # Such as: no optimizer has two hyperparameters that vary. The page does without the figure.
        except ArgumentError:
            continue
        # The lines of a figure are no lines of the page, which breaks them by its own width.
        notes = " ".join(figure.get_supxlabel().split()).replace(r"\$", "$")
        panels = panels_of(figure, series, prefix=f"{prefix}{name}-", label=caption)
        found.append(Drawing(caption, notes, series.keys(figure), panels))
        # Figures refer to themselves, and GC is paused: all of them would stay in memory.
        del figure
        gc.collect(_YOUNG)
    return found


@functools.cache
def _plot(name: str) -> Any:
    """The function that draws a figure."""
    targets = {spec.name: spec.target for spec in deepobs_plots()}
    return import_target(targets[name], name)
