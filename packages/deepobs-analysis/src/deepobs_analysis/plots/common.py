"""What figures show: the settings that stand for optimizers, problem by problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deepobs.errors import ArgumentError
from deepobs_analysis.plots.layout import optimizers_in_order, require_something
from deepobs_analysis.plots.words import shown
from deepobs_analysis.selection import select
from deepobs_analysis.wording import counted, listed

if TYPE_CHECKING:
    from deepobs_analysis.measures.checking import Floats
    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode, Selection


class Comparison(NamedTuple):
    """Final test performances of optimizers on the same problems.

    Attributes:
        optimizers: Their names.
        problems: The problems.
        scores: For each optimizer an array for each problem, with the performance of each seed,
            infinitely bad for one that diverged.
        higher_is_better: For each problem.
        left_out: Problems on which not all optimizers were run.
    """

    optimizers: list[str]
    problems: list[str]
    scores: list[list[Floats]]
    higher_is_better: list[bool]
    left_out: list[str]

    @property
    def note(self) -> str:
        """Which problems are compared, in sentences."""
        problems = counted(len(self.problems), "problem")
        text = f"{problems}: {listed([shown(each) for each in self.problems], 10)}."
        if self.left_out:
            text += f" Not run by all: {listed([shown(each) for each in self.left_out], 4)}."
        return text


def selections_by_problem(results: Results, mode: Mode) -> dict[str, list[Selection]]:
    """The settings that stand for the optimizers of each problem.

    Raises:
        ArgumentError: There are none.
    """
    selections = select(results, mode=mode)
    require_something(
        selections,
        "in no run was the test set measured",
        "Give results of `deepobs run` or `deepobs bench`.",
    )
    return {
        problem: [each for each in selections if each.problem == problem]
        for problem in sorted({each.problem for each in selections})
    }


def comparison_of(results: Results, mode: Mode) -> Comparison:
    """Gather what optimizers are compared by.

    Args:
        results: The runs.
        mode: Which setting of an optimizer counts.

    Raises:
        ArgumentError: There are fewer than two optimizers, or no problem that all were run on.
    """
    by_problem = selections_by_problem(results, mode)
    optimizers = optimizers_in_order(e.optimizer for those in by_problem.values() for e in those)
    if len(optimizers) < 2:
        raise ArgumentError(
            f"Optimizers are compared, but there is only {optimizers[0]}. Give results of two or "
            "more, or show a reference set beside them."
        )
    common = [problem for problem, those in by_problem.items() if len(those) == len(optimizers)]
    if not common:
        raise ArgumentError(
            f"There is no problem on which all of {', '.join(optimizers)} were run. Leave out "
            "optimizers."
        )
    by_pair = {(e.problem, e.optimizer): e for those in by_problem.values() for e in those}
    return Comparison(
        optimizers,
        common,
        [[by_pair[problem, name].final_or_worst() for problem in common] for name in optimizers],
        [by_problem[problem][0].metric.higher_is_better for problem in common],
        [problem for problem in by_problem if problem not in common],
    )
