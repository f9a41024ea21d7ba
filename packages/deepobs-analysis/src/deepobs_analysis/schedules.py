"""Schedules of the learning rate, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = ("lr_sched_epochs", "lr_sched_factors", "lr_scheduler")
"""What describes a schedule in a file."""


class Schedule(NamedTuple):
    """How the learning rate of a run changes.

    Attributes:
        name: What is added to the optimizer's name; empty where the learning rate is constant.
        words: All of it; empty where the learning rate is constant.
    """

    name: str = ""
    words: str = ""


def schedule_of(params: Mapping[str, Any]) -> Schedule:
    """The schedule that a file describes.

    Args:
        params: The arguments of training.
    """
    scheduler = params.get("lr_scheduler")
    if isinstance(scheduler, dict) and isinstance(scheduler.get("name"), str):
        return _of_a_scheduler(scheduler)
    epochs, factors = params.get("lr_sched_epochs"), params.get("lr_sched_factors")
    if isinstance(epochs, list) and isinstance(factors, list) and epochs:
        changes = zip(epochs, factors, strict=False)
        words = ", ".join(f"lr * {_plain(f)} after epoch {_plain(e)}" for e, f in changes)
        return Schedule("step schedule", words)
    return Schedule()


def _of_a_scheduler(scheduler: Mapping[str, Any]) -> Schedule:
    name = scheduler["name"].rpartition(":")[2]
    arguments = scheduler.get("arguments")
    every = " every step" if scheduler.get("every") == "step" else ""
    return Schedule(name, f"{name}({_arguments(arguments)}){every}")


def _arguments(arguments: object) -> str:
    if not isinstance(arguments, dict):
        return ""
    return ", ".join(f"{name}={_plain(value)}" for name, value in sorted(arguments.items()))


def _plain(value: object) -> str:
    """A value of JSON as a person writes it; 0 and 0.0 are one."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        if isinstance(value.get("name"), str):
            return _of_a_scheduler(value).words
        return f"{{{_arguments(value)}}}"
    return str(value)
