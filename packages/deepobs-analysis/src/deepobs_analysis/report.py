"""The report: all about some results in one HTML page that loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deepobs.console.text import counted
from deepobs.resources import gc_paused
from deepobs_analysis import __version__
from deepobs_analysis import report_figures as figures
from deepobs_analysis.caveats import caveats, choice_in_words, concerning
from deepobs_analysis.computed_once import computing_once
from deepobs_analysis.plots.looks import same_looks
from deepobs_analysis.report_series import Series
from deepobs_analysis.report_tables import (
    known_columns,
    table_of_environments,
    table_of_ratios,
    table_of_scores,
    table_of_summaries,
)
from deepobs_analysis.report_tunings import tunings_of
from deepobs_analysis.results import require_results
from deepobs_analysis.scores import scores_of
from deepobs_analysis.selection import select
from deepobs_analysis.summaries import summarize
from deepobs_analysis.table_columns import columns_called
from deepobs_analysis.table_formats import where_seeds_failed
from deepobs_analysis.winners import (
    comparison_in_words,
    target_in_words,
    winner_in_words,
    winners,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deepobs_analysis.results import Results
    from deepobs_analysis.selection import Mode
    from deepobs_analysis.summaries import Summary

_TITLE = "Results of DeepOBS"
# Unicode categories of invisible characters: control and format.
_INVISIBLE = ("Cc", "Cf")
_OVERVIEW = (
    *("problem", "optimizer", "final", "epochs", "seeds"),
    *("configurations", "diverged", "configuration"),
)
_OF_PROBLEM = (
    *("optimizer", "configuration", "final", "best", "loss", "accuracy"),
    *("epochs", "steps", "gradient_evaluations", "seconds", "overhead"),
    *("expected_best", "decades", "diverged", "configurations", "seeds", "chosen_by"),
)


def report(results: Results, *, mode: Mode = "most", title: str | None = None) -> str:
    """Write a report on results as one page.

    Names, commands and reasons are shown as text, whatever they hold: pages are safe to pass on.

    Args:
        results: The runs.
        mode: How configurations are chosen; see `select`.
        title: The heading; `None` for "Results of DeepOBS".

    Returns:
        HTML, to be encoded in UTF-8.

    Raises:
        ArgumentError: These are not `Results`.
    """
    require_results(results)
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


def _content(results: Results, mode: Mode, title: str) -> dict[str, Any]:
    """All that a report says, under the names of the template."""
    overview = columns_called(_OVERVIEW)
    with same_looks(results.optimizers), gc_paused(), computing_once():
        series = Series(results.optimizers)
        counts = Counter(each.problem for each in select(results, mode=mode))
        are_compared = len(counts) > 1 and max(counts.values()) > 1
        drawing = figures.drawings(results, mode, series, list(counts), are_compared=are_compared)
        with drawing as finish:
            rows = summarize(results, mode=mode)
            found, best = caveats(rows), winners(rows)
            content = {
                "title": title,
                "colors": Markup(series.style()),  # noqa: S704 # names and numbers of ours
                "summary": comparison_in_words(results, rows, best),
                "choice": choice_in_words(rows),
                "remarks": results.remarks,
                "caveats": found,
                "table": table_of_summaries(rows, overview),
                "failed": where_seeds_failed(overview, rows),
                "across": _across(rows) if are_compared else None,
                "sections": [
                    {
                        "anchor": f"problem-{place}",
                        "problem": problem,
                        "winner": winner_in_words(winner),
                        "caveats": concerning(problem, found),
                        **_section(
                            problem, results, [row for row in rows if row.problem == problem]
                        ),
                    }
                    for place, (problem, winner) in enumerate(best.items(), start=1)
                ],
                "environments": table_of_environments(results),
                "skipped": results.unusable,
                "has_used_all": not results.skipped,
            }
            return {**content, "drawn": finish()}


def _section(problem: str, results: Results, rows: Sequence[Summary]) -> dict[str, Any]:
    """The tables and lists of a problem."""
    # The column of the performance shows the metric: a second one would repeat it.
    judged_by = rows[0].selection.metric.name
    columns = known_columns(rows, (name for name in _OF_PROBLEM if name != judged_by))
    return {
        "target": target_in_words(rows[0]),
        "table": table_of_summaries(rows, columns),
        "failed": where_seeds_failed(columns, rows),
        "tunings": tunings_of(results.tunings, problem),
        "diverged": _diverged(results.runs[results.runs["problem"] == problem]),
        "skipped": [each for each in results.unusable if problem in each.file.split("/")[:-1]],
        "commands": [
            {
                "optimizer": row.optimizer,
                "configuration": row.selection.configuration,
                "lines": [command for command in row.selection.runs["command"] if command],
            }
            for row in rows
        ],
    }


def _diverged(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """The configurations of a problem with runs that diverged."""
    of_each = runs.groupby(["optimizer", "configuration"], sort=False).agg(
        diverged=("has_diverged", "sum"),
        runs=("has_diverged", "size"),
        first_epoch=("diverged_at_epoch", "min"),
    )
    return [
        {
            "optimizer": optimizer,
            "configuration": configuration,
            "diverged": int(diverged),
            "runs": int(count),
            "first_epoch": None if pd.isna(epoch) else int(epoch),
        }
        for (optimizer, configuration), diverged, count, epoch in of_each.itertuples(name=None)
        if diverged
    ]


def _across(rows: Sequence[Summary]) -> dict[str, Any]:
    """Optimizers compared over all problems."""
    scores = scores_of(rows)
    return {
        "scores": table_of_scores(scores),
        "ratios": table_of_ratios(scores) if scores.timed else None,
        "skipped": scores.skipped_in_words(),
        "count": len(scores.timed),
    }


def _prose(sentences: Iterable[str]) -> str:
    """Sentences one after the other, without a line break between a number and its percent."""
    return " ".join(sentences).replace(" %", "\N{NO-BREAK SPACE}%")


def _harmless(value: object) -> object:
    """A value for the page, with invisible characters of text escaped except line breaks."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
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
