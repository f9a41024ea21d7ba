"""The figures of a report, each drawn once."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from deepobs.errors import ArgumentError
from deepobs_analysis.plots.output import svg
from deepobs_analysis.report.svg import embedded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markupsafe import Markup

    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode

_OF_A_PROBLEM = {
    "performance": "Loss and accuracy over epochs",
    "time_to_target": "Time to the target",
    "sensitivity": "Test performance over the learning rate",
    "sensitivity_2d": "Test performance over two hyperparameters",
    "tuning_rank": "All settings, from the best to the worst",
    "expected_best": "Performance to expect of the best of so many settings",
}
_ACROSS_PROBLEMS = {
    "profiles": "Performance profile of times to targets",
    "ranks": "How often each optimizer is first, second and so on",
    "comparison": "How probable it is that the row's seed beats the column's",
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure in the page.

    Attributes:
        caption: What it shows.
        svg: The figure.
    """

    caption: str
    svg: Markup


def overview(results: Results, mode: Mode) -> list[Drawing]:
    """Test curves on all problems."""
    captions = {"overview": "Test loss and accuracy over epochs on every problem"}
    return list(_drawn(captions, results, mode, prefix="all-"))


def of_problem(results: Results, mode: Mode, prefix: str) -> list[Drawing]:
    """All that can be drawn of one problem.

    Args:
        results: Of this problem only.
        mode: How settings are chosen.
        prefix: What ids in these figures begin with.
    """
    return list(_drawn(_OF_A_PROBLEM, results, mode, prefix=prefix))


def across_problems(results: Results, mode: Mode) -> list[Drawing]:
    """Comparisons of optimizers over all problems."""
    return list(_drawn(_ACROSS_PROBLEMS, results, mode, prefix="across-"))


def _drawn(
    captions: dict[str, str], results: Results, mode: Mode, *, prefix: str
) -> Iterable[Drawing]:
    """Each figure for which the results have what it shows."""
    for name, caption in captions.items():
        plot = getattr(import_module(f"deepobs_analysis.plots.{name}"), name)
        try:
            figure = plot(results, mode=mode)
        except ArgumentError:  # such as: nothing has two hyperparameters that vary
            continue
        yield Drawing(caption, embedded(svg(figure), f"{prefix}{name}-", caption))
