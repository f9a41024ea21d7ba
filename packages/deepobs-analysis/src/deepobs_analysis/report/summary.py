"""A report in sentences: what was compared, and who wins."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from deepobs_analysis.leads import FEWEST_SEEDS
from deepobs_analysis.rounding import interval_text, mean_text, number
from deepobs_analysis.wording import counted, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepobs_analysis.leads import Lead
    from deepobs_analysis.results import Results
    from deepobs_analysis.standings import Standing


def summary(results: Results, rows: Sequence[Standing], leads: Mapping[str, Lead]) -> list[str]:
    """What was compared, with how many runs, and who wins where.

    Args:
        results: The runs.
        rows: From `standings`.
        leads: From `leads.leads`.
    """
    if not rows:
        return [f"Of {counted(len(results.runs), 'run')}, none measured the test set."]
    optimizers, problems = results.optimizers, list(leads)
    seeds = sorted({len(row.seeds) for row in rows})
    number_of_seeds = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    what = "was run" if len(optimizers) == 1 else "were compared"
    sentences = [
        f"{listed(optimizers)} {what} on {counted(len(problems), 'test problem')}, in "
        f"{counted(len(results.runs), 'run')}. For each, one setting is shown, with "
        f"{number_of_seeds} {'seed' if seeds == [1] else 'seeds'}."
    ]
    if any(row.selection.is_reference for row in rows):
        sentences.append("Optimizers called (reference) are of a reference set.")
    compared = {problem: lead for problem, lead in leads.items() if lead.second is not None}
    if compared:
        sentences += _winners(compared)
    if results.left_out:
        sentences.append(f"{counted(len(results.left_out), 'file')} could not be used.")
    return sentences


def lead_in_words(lead: Lead) -> str:
    """Who is best on a problem, by how much, and how sure that is."""
    first, second = lead.first, lead.second
    metric = f"test {first.selection.metric.name}"
    best = f"{first.optimizer} has {'the best' if second else 'a'} mean {metric}"
    value = mean_text(first.final, len(first.seeds))
    if second is None:
        return f"{best} of {value}. There is nothing to compare it with."
    if lead.difference == 0:
        return f"{best}, {value}, and {second.optimizer} the same."
    ahead = f"{best}, {value}, ahead of {second.optimizer} by {number(lead.difference, 2)}"
    if lead.interval is None:
        return f"{ahead}. Whether other seeds would agree cannot be told from so few."
    verdict = "is clear" if lead.is_clear else "could be due to the seeds"
    return f"{ahead}, 95 % interval {interval_text(lead.interval)}. The lead {verdict}."


def target_in_words(row: Standing) -> str:
    """What counts as solved on a problem."""
    if row.target is None:
        return "There is no target, as half of the seeds of every optimizer diverged."
    metric = f"test {row.selection.metric.name}"
    return f"The target is a {metric} of {number(row.target.value)}, {row.target.source}."


def _winners(leads: Mapping[str, Lead]) -> list[str]:
    by_winner: dict[str, list[str]] = defaultdict(list)
    for problem, lead in leads.items():
        by_winner[lead.first.optimizer].append(problem)
    most_first = sorted(by_winner.items(), key=lambda item: -len(item[1]))
    wins = [f"on {counted(len(of), 'problem')} ({listed(of)})" for _, of in most_first]
    firsts = [f"{most_first[0][0]} has the best mean test performance {wins[0]}"]
    others = [f"{name} {on}" for (name, _), on in zip(most_first[1:], wins[1:], strict=True)]
    sentences = [f"{listed([*firsts, *others])}."]
    unclear = [problem for problem, lead in leads.items() if lead.interval and not lead.is_clear]
    untold = [problem for problem, lead in leads.items() if lead.interval is None]
    if unclear:
        sentences.append(
            f"On {listed(unclear)}, the lead over the second could be due to the seeds: its 95 % "
            "interval includes none."
        )
    clear = len(leads) - len(unclear) - len(untold)
    if clear:
        rest = "On the others" if unclear or untold else "Everywhere"
        sentences.append(f"{rest}, the lead is larger than seeds explain.")
    if untold:
        sentences.append(
            f"With fewer than {FEWEST_SEEDS} seeds, nothing can be said about the lead on "
            f"{listed(untold)}."
        )
    return sentences
