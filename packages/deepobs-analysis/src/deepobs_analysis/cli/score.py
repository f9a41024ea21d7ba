"""`deepobs score`: the optimizers compared over all problems."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, get_args

import click

from deepobs.console import screen
from deepobs.console.commands import as_json
from deepobs.console.screen import Column
from deepobs_analysis.cli import options
from deepobs_analysis.rounding import MISSING, interval_text, number, speedup_text
from deepobs_analysis.scores import USUAL_BASE, scores_of
from deepobs_analysis.standings import standings
from deepobs_analysis.times import Unit
from deepobs_analysis.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs_analysis.scores import Estimate, Score, Scores
    from deepobs_analysis.selection import Mode


@click.command("score")
@options.path
@click.option(
    "--unit",
    type=click.Choice(get_args(Unit)),
    default="epochs",
    show_default=True,
    help="In which times to the target are told.",
)
@click.option(
    "--against",
    metavar="NAME",
    help=f"The optimizer that the others are compared with.  [default: {USUAL_BASE}]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the resampling behind intervals: the same seed gives the same intervals.",
)
@options.mode
@options.problems
@options.optimizers
@options.reference
@as_json
def command(
    path: Path,
    unit: Unit,
    against: str | None,
    seed: int,
    mode: Mode,
    problems: tuple[str, ...],
    optimizers: tuple[str, ...],
    reference: str | None,
    as_json: bool,
) -> None:
    """Compare optimizers over all problems: how soon they reach targets, and how far they get.

    Only problems that all optimizers were run on count; what does not is said.

    \b
    Examples:
      deepobs score results
      deepobs score results --unit seconds --against Momentum
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    results = options.read_results(
        path, problems=problems, optimizers=optimizers, reference=reference
    )
    scores = scores_of(standings(results, mode=mode), unit=unit, against=against, seed=seed)
    if as_json:
        screen.show_json(asdict(scores))
        return
    _show_scores(scores)
    _show_ratios(scores)
    _show_what_counts(scores)


def _show_scores(scores: Scores) -> None:
    against = f" VS {scores.base}" if scores.base else ""
    headings = ("SCORE", f"SPEEDUP{against}", "NORMALISED", f"BETTER SEED{against}")
    columns = [Column("OPTIMIZER"), *(Column(heading) for heading in headings)]
    screen.show_table(columns, [_row(score) for score in scores.scores])
    screen.show()
    screen.show_text(
        "Score: area under the performance profile of times to target, up to four times the "
        "fastest; 1 is the fastest everywhere. Speedup: geometric mean over the problems in "
        "parentheses, on which both reach the target. Normalised: interquartile mean over all "
        "seeds, 0 for an untrained model and 1 for the target. Better seed: how probable it is "
        "that a seed ends better than one of the other optimizer. In brackets: 95 % intervals "
        "over seeds."
    )


def _row(score: Score) -> list[str]:
    return [
        score.optimizer,
        number(score.benchmark_score, 3),
        speedup_text(score.speedup),
        _estimate(score.normalized),
        _estimate(score.improvement),
    ]


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return MISSING
    return f"{number(estimate.value)} {interval_text(estimate.interval)}"


def _show_ratios(scores: Scores) -> None:
    """Show how many times as long as the fastest each optimizer takes on each problem."""
    if not scores.timed:
        return
    screen.show()
    names = [score.optimizer for score in scores.scores]
    columns = [
        Column("PROBLEM"),
        Column("TARGET", is_number=True),
        *(Column(name, is_number=True) for name in names),
        Column("WHERE THE TARGET COMES FROM"),
    ]
    rows = [
        [
            problem,
            number(scores.targets[problem].value),
            *(number(score.ratios[problem], 3) for score in scores.scores),
            scores.targets[problem].source,
        ]
        for problem in scores.timed
    ]
    screen.show_table(columns, rows)
    screen.show()
    screen.show_text(
        f"Median {scores.unit} to the target as a multiple of those of the fastest; ∞ where half "
        "of the seeds or more do not reach it."
    )


def _show_what_counts(scores: Scores) -> None:
    screen.show_text(
        f"Scores and speedups are over {counted(len(scores.timed), 'problem')}, the rest over "
        f"{counted(len(scores.compared), 'problem')}."
    )
    by_reason: dict[str, list[str]] = {}
    for problem, reason in scores.left_out.items():
        by_reason.setdefault(reason, []).append(problem)
    for reason, problems in by_reason.items():
        screen.show_message("Left out", f"{', '.join(problems)}: {reason}.")
