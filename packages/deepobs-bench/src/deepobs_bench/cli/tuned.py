"""The result of a tuning, as the commands show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.console import screen
from deepobs.console.screen import Column
from deepobs.console.text import clean
from deepobs_bench.tuning.selection import ranking
from deepobs_bench.tuning.words import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deepobs_bench.tuning.result import Summary, Trial, TuningResult

_MISSING = "-"


def show_tuning(result: TuningResult, file: Path) -> None:
    """Show all trials from the best to the worst, the winner, its report, and how it was chosen.

    Args:
        result: The result.
        file: Where it is kept.
    """
    screen.show_heading(clean(f"{result.optimizer} on {result.testproblem}"))
    for sentence in result.explanation:
        screen.show_text(sentence)
    screen.show()
    _show_trials(result)
    screen.show()
    if result.best is None:
        screen.show_text("No trial completed: there is no winner, and nothing to report.")
    else:
        screen.show_text(f"Winner: trial {result.best.number}, {_written(result.best.setting)}.")
        _show_report(result)
    screen.show(f"  {file}")


def _show_trials(result: TuningResult) -> None:
    protocol = result.protocol
    columns = [
        Column("TRIAL", is_number=True),
        Column(f"{protocol.select_on} {protocol.metric}".upper(), is_number=True),
        *(Column(name) for name in protocol.space),
        Column("REMARK"),
    ]
    rows = [
        [
            trial.number,
            _MISSING if trial.value is None else f"{trial.value:.6g}",
            *(trial.setting[name] for name in protocol.space),
            _remark(trial, result),
        ]
        for trial in ranking(result.trials, protocol.metric)
    ]
    screen.show_table(columns, rows)


def _remark(trial: Trial, result: TuningResult) -> str:
    if trial.number == result.winner:
        return "winner"
    if trial.status == "completed":
        return ""
    return f"{trial.status}: {trial.message}" if trial.message else trial.status


def _show_report(result: TuningResult) -> None:
    protocol = result.protocol
    lost = [run for run in result.report if run.status != "completed"]
    if lost:
        which = ", ".join(f"{run.seed} ({run.status})" for run in lost)
        screen.show_text(
            f"{len(lost)} of the {len(result.report)} runs of the report did not complete, and are "
            f"not in the means: those with seed {which}."
        )
    columns = [Column("AFTER THE LAST EPOCH"), Column(f"SEEDS {numbers(protocol.report_seeds)}")]
    apart = result.summary_without_selection
    if apart is not None:
        columns.append(Column("WITHOUT THOSE OF THE CHOICE"))
    rows = [
        [name.replace("_", " "), _mean(result.summary, name)]
        + ([] if apart is None else [_mean(apart, name)])
        for name in result.summary
    ]
    if rows:
        screen.show()
        screen.show_table(columns, rows)


def _mean(summaries: Mapping[str, Summary], name: str) -> str:
    summary = summaries.get(name)
    if summary is None:
        return _MISSING
    spread = "" if summary.std is None else f" +- {summary.std:.2g}"
    return f"{summary.mean:.6g}{spread} ({summary.runs} runs)"


def _written(setting: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in setting.items()) or "the defaults"
