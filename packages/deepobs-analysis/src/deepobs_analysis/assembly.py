"""Which runs there are, given what single files say."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from deepobs_analysis.files import Excluded, Found, readable
from deepobs_analysis.names import displayed_names
from deepobs_analysis.results import LeftOut, Results
from deepobs_analysis.run import Run
from deepobs_analysis.settings import Setting, settings_of
from deepobs_analysis.table import table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from deepobs_analysis.files import Content

_MOMENT = re.compile(r"__(\d{4}(?:-\d+){5,6})\.json$")


class Placed(NamedTuple):
    """A run among the others.

    Attributes:
        file: Its file.
        run: What the file says.
        optimizer: The name of its optimizer, different from those of other optimizers.
        setting: Its setting.
    """

    file: Found
    run: Run
    optimizer: str
    setting: Setting

    @property
    def competitor(self) -> tuple[str, str]:
        """Its problem and optimizer."""
        return self.run.problem, self.optimizer

    @property
    def order(self) -> tuple[str, str, int, int]:
        """Where it stands in the table; different for different runs."""
        return (*self.competitor, self.setting.rank, self.run.seed)

    @property
    def moment(self) -> tuple[str, int, str]:
        """When its result was written: the file's name tells, whatever was done to it later."""
        told = _MOMENT.search(self.file.name)
        return told[1] if told else "", self.file.modified, self.file.name


def assemble(root: Path, contents: Mapping[Found, Content], unread: Mapping[str, str]) -> Results:
    """Put all runs into one table.

    Args:
        root: The directory that was read.
        contents: What the files below it hold.
        unread: What could not be read, and why.
    """
    runs = {file: run for file, run in contents.items() if isinstance(run, Run)}
    latest, older = _latest(_placed(runs))
    left_out = {
        **unread,
        **_reasons(contents, {run.run_id for run in runs.values()}),
        **{each.file.name: "it is an older result of the same run" for each in older},
    }
    return Results(
        table_of(root, sorted(latest, key=lambda placed: placed.order)),
        tuple(LeftOut(readable(name), reason) for name, reason in sorted(left_out.items())),
    )


def _placed(runs: Mapping[Found, Run]) -> list[Placed]:
    optimizers = displayed_names(list(runs.values()))
    identities = defaultdict(set)
    for run, optimizer in zip(runs.values(), optimizers, strict=True):
        identities[run.problem, optimizer].add(run.identity)
    settings = {competitor: settings_of(those) for competitor, those in identities.items()}
    return [
        Placed(file, run, optimizer, settings[run.problem, optimizer][run.identity])
        for (file, run), optimizer in zip(runs.items(), optimizers, strict=True)
    ]


def _latest(placed: Sequence[Placed]) -> tuple[Iterable[Placed], list[Placed]]:
    """The latest result of every run, and the others."""
    latest: dict[tuple[str, str, int, int], Placed] = {}
    older = []
    for each in sorted(placed, key=lambda placed: placed.moment):
        if each.order in latest:
            older.append(latest[each.order])
        latest[each.order] = each
    return latest.values(), older


def _reasons(contents: Mapping[Found, Content], done: set[str]) -> dict[str, str]:
    """Why files hold no run. One that failed or was interrupted, and was done later, is there."""
    return {
        file.name: content.reason
        for file, content in contents.items()
        if isinstance(content, Excluded) and not (content.run_id and content.run_id in done)
    }
