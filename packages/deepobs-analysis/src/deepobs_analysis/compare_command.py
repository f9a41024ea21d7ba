"""The command `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepobs.console import screen
from deepobs.console.offers import KINDS
from deepobs.console.options import as_json, completing
from deepobs.console.screen import Column
from deepobs.console.text import counted
from deepobs_analysis.pairwise import compare
from deepobs_analysis.reading_options import (
    across_protocols_option,
    by_option,
    mode_option,
    naming_own_code,
    output_dir_option,
)
from deepobs_analysis.winners import FEWEST_SEEDS
from deepobs_analysis.wording import estimate_or_missing, listed, performance_text, rounding_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepobs_analysis.measures import Estimate
    from deepobs_analysis.pairwise import Comparison, Match
    from deepobs_analysis.selection import Mode


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--on",
    "problems",
    multiple=True,
    metavar="PROBLEM",
    shell_complete=completing(KINDS["problems"].summaries),
    help="Compare only on this test problem. May be repeated.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="RESULTS",
    help="Where the runs of A and B are: a directory, or an experiment file.  [default: --out]",
)
@output_dir_option
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help='Where "NAME (reference)" is.  [default: the published results]',
)
@across_protocols_option
@by_option
@mode_option
@as_json
def command(
    first: str,
    second: str,
    problems: tuple[str, ...],
    results: Path | None,
    output_dir: Path,
    reference: Path | None,
    across_protocols: bool,
    by: tuple[str, ...],
    mode: Mode,
    as_json: bool,
) -> None:
    """Compare two optimizers: by how much A is better than B, and how certain that is.

    A and B are names of optimizers in RESULTS, as `deepobs table` shows them; "Adam (published)";
    versions of your own code, as "Mine@newest", "Mine@older" or "Mine@" and the first characters of
    its fingerprint; or two directories or experiment files, whose common optimizers are compared.

    \b
    Examples:
      deepobs compare Mine Adam
      deepobs compare Mine "Adam (published)" --on quadratic_deep
      deepobs compare Mine@newest Mine@older
      deepobs compare results_before results_after
    """  # noqa: D301 # \b keeps click from joining the lines of the examples
    place = output_dir if results is None else results
    with naming_own_code(Path(first), Path(second), place):
        comparison = compare(
            first,
            second,
            place,
            problems=problems,
            reference=reference,
            mode=mode,
            output_dir=output_dir,
            across_protocols=across_protocols,
            by=by,
        )
    if as_json:
        screen.show_json(comparison.as_dict())
        return
    for warning in comparison.warnings:
        screen.show_message("Warning", warning)
    for names in dict.fromkeys(each.names for each in comparison.matches):
        _show_table(names, [each for each in comparison.matches if each.names == names])
        screen.show()
    for sentence in (*_over_all(comparison), *_differing(comparison), *_notes(comparison)):
        screen.show_text(sentence)
    by_reason: dict[str, list[str]] = {}
    for problem, reason in comparison.skipped.items():
        by_reason.setdefault(reason, []).append(problem)
    for reason, those in by_reason.items():
        screen.show_message("Skipped", f"{', '.join(those)}: {reason}.")


def _show_table(names: tuple[str, str], matches: Sequence[Match]) -> None:
    headings = ("DIFFERENCE", "BETTER SEED", "VERDICT")
    columns = [
        Column("PROBLEM"),
        *(Column(name, is_number=True) for name in names),
        *(Column(heading) for heading in headings),
    ]
    rows = [
        [
            match.problem,
            *(performance_text(row) for row in match.rows),
            _estimate(match.difference, has_sign=True),
            _estimate(match.probability),
            _verdict(match),
        ]
        for match in matches
    ]
    screen.show_table(columns, rows)


def _estimate(estimate: Estimate | None, *, has_sign: bool = False) -> str:
    text = estimate_or_missing(estimate)
    return f"+{text}" if has_sign and estimate is not None and estimate.value > 0 else text


def _verdict(match: Match) -> str:
    if match.better is not None:
        return f"{match.better} is better"
    if match.difference.value == 0:
        return "equal"
    if match.p_value is not None:
        interval = match.difference.interval
        # Beside an interval without 0, which is of this problem alone, it would look contradictory.
        if interval is not None and not interval.low <= 0 <= interval.high:
            return f"not clear after correction (p = {match.p_value:.2g})"
        return "could be due to the seeds"
    if match.difference.seeds < FEWEST_SEEDS:
        return f"fewer than {FEWEST_SEEDS} seeds"
    return "losses with and without the regularizer"


def _over_all(comparison: Comparison) -> list[str]:
    matches, probability = comparison.matches, comparison.probability
    if probability is None:
        return []
    is_single = len({each.names for each in matches}) == 1
    first, second = matches[0].names if is_single else ("the first", "the second")
    ahead = sum(each.difference.value > 0 for each in matches)
    clear = [sum(each.better == each.names[place] for each in matches) for place in (0, 1)]
    return [
        f"Over {counted(len(matches), 'comparison')}: {first} has the better mean in {ahead}; it "
        f"is significantly better in {clear[0]}, and {second} in {clear[1]}.",
        f"A seed of {first} ends better with a probability of {_estimate(probability)}.",
        f"The mean difference is {_estimate(comparison.difference, has_sign=True)}, where 1 is all "
        "that training gains for the better one.",
    ]


def _differing(comparison: Comparison) -> list[str]:
    """What else differs; of several problems with the same differences, in one sentence."""
    problems: dict[str, dict[str, None]] = {}
    for match in comparison.matches:
        if match.differing:
            words = "; ".join(
                f"{what} {first} against {second}" for what, first, second in match.differing
            )
            problems.setdefault(words, {})[match.problem] = None
    return [f"Run differently on {listed(those)}: {words}." for words, those in problems.items()]


def _notes(comparison: Comparison) -> list[str]:
    matches = comparison.matches
    paired = list(dict.fromkeys(each.problem for each in matches if each.is_paired))
    how = "by Welch's t"
    if paired:
        is_everywhere = all(each.is_paired for each in matches)
        where = "" if is_everywhere else f" on {listed(paired)}, else by Welch's t"
        how = f"paired by shared seeds{where}"
    sentences = [
        "Means ± population standard deviations over seeds. Difference: how much better the first "
        f"is, in the unit of the metric, {how}. Better seed: probability that a seed of the first "
        "ends better. In brackets: 95 % intervals; in parentheses, how many seeds they rest on."
    ]
    tests = sum(each.p_value is not None for each in matches)
    if tests > 1:
        sentences.append(
            f"Verdicts are corrected for {tests} comparisons (Holm): if the two are equally good, "
            "at most 5 % of such comparisons call one of them better anywhere."
        )
    for step in dict.fromkeys(each.rounding for each in matches if each.rounding):
        on = listed(dict.fromkeys(each.problem for each in matches if each.rounding == step))
        sentences.append(f"On {on}: {rounding_text(step)}.")
    if any(row.failed for each in matches for row in each.rows):
        sentences.append(
            "Where seeds failed, the mean is that of the others; the difference is that of all "
            "seeds, and has no interval."
        )
    return sentences
