"""The report: all about some results in one HTML page that loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deepobs.resources import gc_paused
from deepobs_analysis import __version__
from deepobs_analysis import report_figures as figures
from deepobs_analysis.caveats import caveats, choice_in_words, concerning
from deepobs_analysis.plots.style import same_looks
from deepobs_analysis.report_tables import (
    table_of_environments,
    table_of_ratios,
    table_of_scores,
    table_of_summaries,
)
from deepobs_analysis.scores import scores_of
from deepobs_analysis.summaries import summarize
from deepobs_analysis.winners import (
    comparison_in_words,
    target_in_words,
    winner_in_words,
    winners,
)
from deepobs_analysis.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepobs_analysis.caveats import Caveat
    from deepobs_analysis.report_figures import Drawing
    from deepobs_analysis.report_tables import Table
    from deepobs_analysis.results import Results, SkippedFile
    from deepobs_analysis.selection import Mode
    from deepobs_analysis.summaries import Summary
    from deepobs_analysis.winners import Winner

_TITLE = "Results of DeepOBS"
_INVISIBLE = ("Cc", "Cf")  # categories of characters: control, format
_OVERVIEW = (
    *("problem", "optimizer", "final", "epochs", "seeds"),
    *("configurations", "diverged", "configuration"),
)
_OF_PROBLEM = (
    *("optimizer", "configuration", "final", "best", "loss", "accuracy"),
    *("epochs", "steps", "gradient_evaluations", "seconds", "overhead"),
    *("expected_best", "decades", "diverged", "configurations", "seeds", "chosen_by"),
)


class _Commands(NamedTuple):
    """The commands that reproduce the seeds of a configuration, as far as they were recorded."""

    optimizer: str
    configuration: str
    lines: tuple[str, ...]


class _Diverged(NamedTuple):
    """A configuration with runs that diverged, the earliest in `first_epoch` if that is known."""

    optimizer: str
    configuration: str
    diverged: int
    runs: int
    first_epoch: int | None


@dataclass(frozen=True, slots=True)
class _Section:
    """All about one problem.

    Attributes:
        anchor: Its id within the page.
        problem: The test problem.
        winner: Who is best, in words.
        target: What counts as solved, in words.
        caveats: Those that concern this problem.
        figures: The figures.
        table: The configurations that are shown.
        diverged: Configurations with runs that diverged.
        skipped: Its files that could not be used.
        commands: What reproduces the runs that are shown.
    """

    anchor: str
    problem: str
    winner: str
    target: str
    caveats: Sequence[Caveat]
    figures: Sequence[Drawing]
    table: Table
    diverged: Sequence[_Diverged]
    skipped: Sequence[SkippedFile]
    commands: Sequence[_Commands]


@dataclass(frozen=True, slots=True)
class _Across:
    """Optimizers compared over all problems.

    Attributes:
        figures: The figures.
        scores: A row for each optimizer.
        ratios: A row for each problem; `None` without times.
        skipped: Problems that do not count in all of these, and why.
        count: How many problems count.
    """

    figures: Sequence[Drawing]
    scores: Table
    ratios: Table | None
    skipped: Mapping[str, str]
    count: int


@dataclass(frozen=True, slots=True)
class _Content:
    """All that a report says.

    Attributes:
        title: The heading.
        summary: What was compared, and who wins, in sentences.
        choice: How configurations were chosen, in sentences.
        caveats: What a careful reader must know.
        figures: The overview.
        table: Every optimizer on every problem.
        sections: One for each problem.
        across: `None` with one problem or one optimizer.
        environments: Devices, hardware and versions; `None` if not recorded.
        skipped: Files that could not be used, and why.
    """

    title: str
    summary: Sequence[str]
    choice: Sequence[str]
    caveats: Sequence[Caveat]
    figures: Sequence[Drawing]
    table: Table
    sections: Sequence[_Section]
    across: _Across | None
    environments: Table | None
    skipped: Sequence[SkippedFile]


def report(results: Results, *, mode: Mode = "most", title: str | None = None) -> str:
    """Write all about some results as one page.

    Names, commands and reasons are shown as text, whatever they hold: pages are safe to pass on.

    Args:
        results: The runs.
        mode: How configurations are chosen; see `select`.
        title: The heading; `None` for "Results of DeepOBS".

    Returns:
        HTML, to be encoded in UTF-8.
    """
    environment = Environment(
        loader=PackageLoader("deepobs_analysis"),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": _prose, "counted": counted}
    script, style = (_source(environment, name) for name in ("page.js", "page.css"))
    return environment.get_template("page.html.j2").render(
        content=_content(results, mode, title or _TITLE),
        script=script,
        style=style,
        policy=_policy(script),
        version=__version__,
    )


def _content(results: Results, mode: Mode, title: str) -> _Content:
    rows = summarize(results, mode=mode)
    found, best = caveats(rows), winners(rows)
    with same_looks(results.optimizers), gc_paused():
        return _Content(
            title=title,
            summary=comparison_in_words(results, rows, best),
            choice=choice_in_words(rows),
            caveats=found,
            figures=figures.overview(results, mode) if rows else [],
            table=table_of_summaries(rows, _OVERVIEW),
            sections=[
                _section(place, problem, results, rows, winner, found, mode)
                for place, (problem, winner) in enumerate(best.items(), start=1)
            ],
            across=_across(results, rows, mode),
            environments=table_of_environments(results),
            skipped=results.skipped,
        )


def _section(
    place: int,
    problem: str,
    results: Results,
    rows: Sequence[Summary],
    winner: Winner,
    found: Sequence[Caveat],
    mode: Mode,
) -> _Section:
    those = [row for row in rows if row.problem == problem]
    part = results.only(problems=[problem])
    judged_by = those[0].selection.metric.name  # the column of the performance shows it
    names = [name for name in _OF_PROBLEM if name != judged_by]
    return _Section(
        anchor=f"problem-{place}",
        problem=problem,
        winner=winner_in_words(winner),
        target=target_in_words(those[0]),
        caveats=concerning(problem, found),
        figures=figures.of_problem(part, mode, f"p{place}-"),
        table=table_of_summaries(those, names, only_known=True),
        diverged=_diverged(part),
        skipped=[each for each in results.skipped if problem in each.file.split("/")[:-1]],
        commands=[
            _Commands(
                row.optimizer,
                row.selection.configuration,
                tuple(command for command in row.selection.runs["command"] if command),
            )
            for row in those
        ],
    )


def _diverged(results: Results) -> list[_Diverged]:
    """All configurations with runs that diverged, in results of one problem."""
    found = []
    for keys, runs in results.runs.groupby(["optimizer", "configuration"], sort=False):
        optimizer, configuration = map(str, keys)
        diverged = int(runs["has_diverged"].sum())
        if diverged:
            epochs = runs["diverged_at_epoch"].dropna()
            first = int(epochs.min()) if len(epochs) else None
            found.append(_Diverged(optimizer, configuration, diverged, len(runs), first))
    return found


def _across(results: Results, rows: Sequence[Summary], mode: Mode) -> _Across | None:
    problems = Counter(row.problem for row in rows)
    if len(problems) < 2 or max(problems.values()) < 2:
        return None
    scores = scores_of(rows)
    return _Across(
        figures=figures.across_problems(results, mode),
        scores=table_of_scores(scores),
        ratios=table_of_ratios(scores) if scores.timed else None,
        skipped=scores.skipped,
        count=len(scores.timed),
    )


def _prose(sentences: Iterable[str]) -> str:
    """Sentences one after the other, without a line break between a number and its percent."""
    return " ".join(sentences).replace(" %", "\N{NO-BREAK SPACE}%")


def _harmless(value: object) -> object:
    """A value for the page, with invisible characters of text escaped except line breaks."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    # HTML escaping keeps characters that reverse the direction of writing, by which a command that
    # is copied from the page could look like another one.
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _INVISIBLE and character != "\n"
        else character
        for character in value
    )


def _source(environment: Environment, name: str) -> Markup:
    """A file of ours, verbatim."""
    assert environment.loader is not None  # noqa: S101 # it was given above
    source, _, _ = environment.loader.get_source(environment, name)
    return Markup(source)  # noqa: S704


def _policy(script: str) -> str:
    """What the browser may do: show what is in the page, and run our script."""
    # Should anything escape the escaping, the browser still loads nothing and runs no other script.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
