"""What a report says, ready to be laid out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepobs.resources import gc_paused
from deepobs_analysis.cautions import cautions, concerning
from deepobs_analysis.choice import choice_in_words
from deepobs_analysis.leads import leads
from deepobs_analysis.plots.style import same_looks
from deepobs_analysis.report import figures
from deepobs_analysis.report.grids import (
    grid_of_circumstances,
    grid_of_ratios,
    grid_of_scores,
    grid_of_standings,
)
from deepobs_analysis.report.runs import commands_of, lost_settings
from deepobs_analysis.report.summary import lead_in_words, summary, target_in_words
from deepobs_analysis.scores import scores_of
from deepobs_analysis.standings import standings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepobs_analysis.cautions import Caution
    from deepobs_analysis.leads import Lead
    from deepobs_analysis.report.figures import Drawing
    from deepobs_analysis.report.grids import Grid
    from deepobs_analysis.report.runs import Command, Lost
    from deepobs_analysis.results import LeftOut, Results
    from deepobs_analysis.selection import Mode
    from deepobs_analysis.standings import Standing

_OVERVIEW = ("problem", "optimizer", "final", "epochs", "seeds", "settings", "diverged", "setting")
_OF_PROBLEM = (
    *("optimizer", "setting", "final", "best", "loss", "accuracy"),
    *("epochs", "steps", "gradient_evaluations", "seconds", "overhead"),
    *("expected_best", "decades", "diverged", "settings", "seeds", "chosen_by"),
)


@dataclass(frozen=True, slots=True)
class Section:
    """All about one problem.

    Attributes:
        anchor: By which it is referred to within the page.
        problem: The test problem.
        lead: Who is best, in words.
        target: What counts as solved, in words.
        cautions: What concerns this problem.
        figures: The figures.
        table: The settings that are shown.
        lost: Settings with runs that diverged.
        left_out: Files of it that are no part of the results.
        commands: What reproduces the runs that are shown.
    """

    anchor: str
    problem: str
    lead: str
    target: str
    cautions: Sequence[Caution]
    figures: Sequence[Drawing]
    table: Grid
    lost: Sequence[Lost]
    left_out: Sequence[LeftOut]
    commands: Sequence[Command]


@dataclass(frozen=True, slots=True)
class Across:
    """Optimizers compared over all problems.

    Attributes:
        figures: The figures.
        scores: A row for each optimizer.
        ratios: A row for each problem; `None` without times.
        left_out: Problems that do not count in all of these, and why.
        count: How many problems count.
    """

    figures: Sequence[Drawing]
    scores: Grid
    ratios: Grid | None
    left_out: Mapping[str, str]
    count: int


@dataclass(frozen=True, slots=True)
class Content:
    """All that a report says.

    Attributes:
        title: What stands above it.
        summary: What was compared, and who wins, in sentences.
        choice: How settings were chosen, in sentences.
        cautions: What a careful reader must know.
        figures: The overview.
        table: Every optimizer on every problem.
        sections: One for each problem.
        across: `None` with one problem or one optimizer.
        circumstances: What was run where, with which versions; `None` if not recorded.
        left_out: Files that are no part of the results, and why.
    """

    title: str
    summary: Sequence[str]
    choice: Sequence[str]
    cautions: Sequence[Caution]
    figures: Sequence[Drawing]
    table: Grid
    sections: Sequence[Section]
    across: Across | None
    circumstances: Grid | None
    left_out: Sequence[LeftOut]


def content_of(results: Results, *, mode: Mode, title: str) -> Content:
    """Work out all that a report says.

    Args:
        results: The runs.
        mode: How settings are chosen; see `select`.
        title: What stands above it.
    """
    rows = standings(results, mode=mode)
    found, who_leads = cautions(rows), leads(rows)
    with same_looks(results.optimizers), gc_paused():
        return Content(
            title=title,
            summary=summary(results, rows, who_leads),
            choice=choice_in_words(rows),
            cautions=found,
            figures=figures.overview(results, mode) if rows else [],
            table=grid_of_standings(rows, _OVERVIEW),
            sections=[
                _section(place, problem, results, rows, lead, found, mode)
                for place, (problem, lead) in enumerate(who_leads.items(), start=1)
            ],
            across=_across(results, rows, mode),
            circumstances=grid_of_circumstances(results),
            left_out=results.left_out,
        )


def _section(
    place: int,
    problem: str,
    results: Results,
    rows: Sequence[Standing],
    lead: Lead,
    found: Sequence[Caution],
    mode: Mode,
) -> Section:
    those = [row for row in rows if row.problem == problem]
    part = results.only(problems=[problem])
    judged_by = those[0].selection.metric.name  # which the column of the performance shows
    return Section(
        anchor=f"problem-{place}",
        problem=problem,
        lead=lead_in_words(lead),
        target=target_in_words(those[0]),
        cautions=concerning(problem, found),
        figures=figures.of_problem(part, mode, f"p{place}-"),
        table=grid_of_standings(
            those, [name for name in _OF_PROBLEM if name != judged_by], only_known=True
        ),
        lost=lost_settings(part),
        left_out=[each for each in results.left_out if problem in each.file.split("/")[:-1]],
        commands=commands_of(those),
    )


def _across(results: Results, rows: Sequence[Standing], mode: Mode) -> Across | None:
    problems = Counter(row.problem for row in rows)
    if len(problems) < 2 or max(problems.values()) < 2:
        return None
    scores = scores_of(rows)
    return Across(
        figures=figures.across_problems(results, mode),
        scores=grid_of_scores(scores),
        ratios=grid_of_ratios(scores) if scores.timed else None,
        left_out=scores.left_out,
        count=len(scores.timed),
    )
