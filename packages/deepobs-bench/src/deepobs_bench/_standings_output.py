"""What `deepobs bench` shows of the results of an experiment, without torch."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deepobs.console import screen
from deepobs.console.screen import Column
from deepobs.console.text import counted, shown_value
from deepobs.errors import joined
from deepobs_bench.experiment import row_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deepobs_bench.standings import Standing

_NONE = "-"


def show_totals(totals: Sequence[str], output_dir: Path) -> None:
    """Show how much is done and pending."""
    screen.show_text(f"{'; '.join(totals)}. Results are kept in {output_dir}.")


def total_of(runs: int, pending: int) -> str:
    """How many runs are done and pending."""
    return f"{counted(runs, 'run')}: {runs - pending} done, {pending} pending"


def show_finished(runs: int, standings: Sequence[Standing], output_dir: Path) -> None:
    """Show what is shown of an experiment of which nothing is pending."""
    show_totals([total_of(runs, 0)], output_dir)
    screen.show()
    show_standings(standings)


def for_programs(standings: Sequence[Standing], **others: Any) -> dict[str, Any]:
    """Describe results for other programs.

    Args:
        standings: The best configurations.
        **others: What else there is.
    """
    nothing_else: dict[str, Any] = {
        "tuning_files": [],
        "failures": [],
        "failed_tunings": {},
        "is_out_of_time": False,
    }
    return {"standings": [asdict(one) for one in standings], **nothing_else, **others}


def show_standings(standings: Sequence[Standing]) -> None:
    """Show a table of the best configurations, and what its numbers are."""
    has_validation = any(each.valid for each in standings)
    columns = [
        *(Column(heading) for heading in ("PROBLEM", "OPTIMIZER")),
        Column("FINAL TEST"),
        *([Column("FINAL VALIDATION")] if has_validation else []),
        *(Column(name, is_number=True) for name in ("RUNS", "DIVERGED", "FAILED")),
        Column("BEST CONFIGURATION"),
    ]
    rows = []
    for each in standings:
        best = _NONE
        if each.hyperparameters is not None:
            values = (f"{k} = {shown_value(v)}" for k, v in each.hyperparameters.items())
            best = ", ".join(values) or "the defaults"
        row = [
            f"{each.problem} (synthetic data)" if each.is_synthetic else each.problem,
            row_name(each.optimizer, each.schedule),
            _mean(each.metric, each.test, each.seeds),
            *([_mean(each.metric, each.valid, each.seeds)] if has_validation else []),
            *(each.runs, each.diverged, each.failed),
            best,
        ]
        rows.append(row)
    screen.show_table(columns, rows)
    screen.show()
    for sentence in _explanation(standings):
        screen.show_text(sentence)


def _explanation(standings: Sequence[Standing]) -> Iterator[str]:
    """How the configurations were selected, and what the numbers are."""
    yield (
        "Means ± population standard deviations over the seeds of a configuration that completed, "
        "after the last epoch."
    )
    if any(each.is_synthetic for each in standings):
        yield "Synthetic data only show that the code runs: tables and reports skip such results."
    chosen = [
        each for each in standings if each.configurations > 1 and each.hyperparameters is not None
    ]
    on_valid = sorted({each.problem for each in chosen if each.chosen_on == "valid"})
    on_test = sorted({each.problem for each in chosen if each.chosen_on == "test"})
    if on_valid:
        yield (
            f"The best configuration was selected on validation data: {', '.join(on_valid)}. "
            "Configurations of which more seeds completed come first."
        )
    if on_test:
        yield (
            "The best configuration was selected on the test set, which makes figures on it too "
            f"good: {', '.join(on_test)}. Set validation_size to hold out examples for selection."
        )
    lucky = dict.fromkeys(
        row_name(each.optimizer, each.schedule) for each in chosen if each.has_seeds_of_the_choice
    )
    if lucky:
        yield (
            f"Selection seeds are among those reported: {joined(lucky)}. "
            "With tune, report_seeds are those with which the winner is run again."
        )


def _mean(metric: str, values: Sequence[float], seeds: int) -> str:
    if not values:
        return _NONE
    spread = f" ± {statistics.pstdev(values):.2g}" if len(values) > 1 else ""
    of_seeds = f" ({len(values)} of {seeds} seeds)" if len(values) < seeds else ""
    return f"{metric} {statistics.fmean(values):.5g}{spread}{of_seeds}"
