"""Single runs in a report: what reproduces them, and which were lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepobs_analysis.results import Results
    from deepobs_analysis.standings import Standing


class Command(NamedTuple):
    """What reproduces the runs of a setting.

    Attributes:
        optimizer: The optimizer.
        setting: The setting.
        lines: A command for each seed, empty where none was recorded.
    """

    optimizer: str
    setting: str
    lines: tuple[str, ...]


class Lost(NamedTuple):
    """A setting with runs that diverged.

    Attributes:
        optimizer: The optimizer.
        setting: The setting.
        diverged: How many of its runs did.
        runs: How many there are.
        first_epoch: The earliest epoch in which one did; `None` if not known.
    """

    optimizer: str
    setting: str
    diverged: int
    runs: int
    first_epoch: int | None


def commands_of(rows: Iterable[Standing]) -> list[Command]:
    """The commands of the settings that are shown.

    Args:
        rows: Of one problem.
    """
    return [
        Command(
            row.optimizer,
            row.selection.setting,
            tuple(command for command in row.selection.runs["command"] if command),
        )
        for row in rows
    ]


def lost_settings(results: Results) -> list[Lost]:
    """All settings with runs that diverged.

    Args:
        results: Of one problem.
    """
    lost = []
    for keys, runs in results.runs.groupby(["optimizer", "setting"], sort=False):
        optimizer, setting = map(str, keys)
        diverged = int(runs["has_diverged"].sum())
        if diverged:
            epochs = runs["diverged_at_epoch"].dropna()
            first = int(epochs.min()) if len(epochs) else None
            lost.append(Lost(optimizer, setting, diverged, len(runs), first))
    return lost
