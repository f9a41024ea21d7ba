"""The schedules that an experiment describes, as runs take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs.errors import DeepOBSError
from deepobs.runs.lr_schedulers import checked_scheduler
from deepobs_bench.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepobs_bench.schema import Schedule


def options_of(schedule: Schedule | None) -> dict[str, Any]:
    """The keyword arguments of `specify` for a schedule.

    Args:
        schedule: What the file says; `None` for a learning rate that stays as it is.
    """
    if schedule is None:
        return {}
    if schedule.scheduler is None:
        return {"lr_sched_epochs": schedule.epochs, "lr_sched_factors": schedule.factors}
    return {"lr_scheduler": _described(schedule)}


def mistaken_schedules(schedules: Mapping[str, Schedule]) -> Iterator[Mistake]:
    """Find schedulers that torch has not, and arguments that they do not take.

    Args:
        schedules: What the file says, by the user's names.
    """
    for name, schedule in schedules.items():
        if schedule.scheduler is not None:
            try:
                checked_scheduler(_described(schedule))
            except DeepOBSError as error:
                yield Mistake(("schedules", name), str(error))


def _described(schedule: Schedule) -> dict[str, Any]:
    return {
        "name": schedule.scheduler,
        "arguments": schedule.arguments,
        "every": schedule.every,
    }
