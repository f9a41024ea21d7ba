"""What came of an experiment, as `deepobs bench` shows it at the end."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from deepobs.console import screen
from deepobs.console.screen import Column
from deepobs.runs.store import kept
from deepobs_bench.cli.bench_progress import described
from deepobs_bench.outcomes import FAILURE
from deepobs_bench.schema import CONSTANT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepobs_bench.carrying_out import Results
    from deepobs_bench.standings import Standing

_MISSING = "-"
_MOST_FAILURES = 10
"""More of them are not listed one by one."""


def show_standings(standings: Sequence[Standing]) -> None:
    """Show the best setting of every optimizer on every problem, and how it was chosen.

    Args:
        standings: A row each.
    """
    has_validation = any(each.valid for each in standings)
    has_schedules = any(each.schedule != CONSTANT for each in standings)
    columns = [
        *(Column(heading) for heading in ("PROBLEM", "OPTIMIZER")),
        *([Column("SCHEDULE")] if has_schedules else []),
        Column("FINAL TEST"),
        *([Column("FINAL VALIDATION")] if has_validation else []),
        *(Column(name, is_number=True) for name in ("RUNS", "DIVERGED", "FAILED")),
        Column("BEST SETTING"),
    ]
    rows = [
        [
            *(each.problem, each.optimizer),
            *([each.schedule] if has_schedules else []),
            _mean(each.metric, each.test),
            *([_mean(each.metric, each.valid)] if has_validation else []),
            *(each.runs, each.diverged, each.failed),
            _written(each),
        ]
        for each in standings
    ]
    screen.show_table(columns, rows)
    screen.show()
    for sentence in _explanation(standings):
        screen.show_text(sentence)


def _explanation(standings: Sequence[Standing]) -> list[str]:
    """How the settings were chosen, and what the numbers are."""
    sentences = [
        "Means +- population standard deviations over the seeds of a setting that completed, after "
        "the last epoch."
    ]
    chosen = [each for each in standings if each.settings > 1 and each.hyperparameters is not None]
    on_valid = sorted({each.problem for each in chosen if each.chosen_on == "valid"})
    on_test = sorted({each.problem for each in chosen if each.chosen_on == "test"})
    if on_valid:
        sentences.append(
            f"The best setting was chosen on validation data: {', '.join(on_valid)}. Settings of "
            "which more seeds completed come first."
        )
    if on_test:
        sentences.append(
            f"The best setting was chosen on the test set, which makes figures on it too good: "
            f"{', '.join(on_test)}. With validation_size, examples are held out to choose on."
        )
    lucky = dict.fromkeys(each.optimizer for each in chosen if each.has_seeds_of_the_choice)
    if lucky:
        sentences.append(
            f"Seeds that took part in the choice are among those reported: {', '.join(lucky)}. "
            "With tune, report_seeds are those with which the winner is run again."
        )
    return sentences


def _mean(metric: str, values: Sequence[float]) -> str:
    if not values:
        return _MISSING
    spread = f" +- {statistics.pstdev(values):.2g}" if len(values) > 1 else ""
    return f"{metric} {statistics.fmean(values):.5g}{spread}"


def _written(standing: Standing) -> str:
    if standing.hyperparameters is None:
        return _MISSING
    named = (f"{name} = {value}" for name, value in standing.hyperparameters.items())
    return ", ".join(named) or "the defaults"


def show_failures(results: Results, output_dir: Path) -> None:
    """Say which runs have no result, why, and where their logs are.

    Args:
        results: What came of the experiment.
        output_dir: Where results are kept.
    """
    for failure in results.failures[:_MOST_FAILURES]:
        screen.show_message("Failed", described(failure.specification, failure))
        log = next(kept(output_dir, failure.specification, suffix=FAILURE), None)
        if log is not None:
            screen.show_message("  Log", log)
    num_others = len(results.failures) - _MOST_FAILURES
    if num_others > 0:
        screen.show_message("Failed", f"{num_others} others, whose logs lie beside the results.")
    for name, message in results.mistakes.items():
        screen.show_message("Failed", f"the tuning of {name}: {message}")
