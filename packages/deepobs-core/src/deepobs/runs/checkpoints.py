"""Checkpoints of a run: when they are written, and when they are of use."""

from __future__ import annotations

import re
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError, CheckpointWarning
from deepobs.runs import checkpoint_file
from deepobs.runs.termination import DeferredTermination

if TYPE_CHECKING:
    from pathlib import Path

    from deepobs.records import RunSpecification
    from deepobs.runs.course import Course

__all__ = ["CheckpointPlan"]


@dataclass(frozen=True)
class CheckpointPlan:
    """When a run keeps what it needs to go on after an interruption.

    Attributes:
        every_seconds: Seconds from one checkpoint to the next, at least; `None` for no such rule.
            Training looks at the clock every 100 steps and after every epoch.
        every_epochs: Epochs from one checkpoint to the next; `None` for no such rule.
        resume: Whether to go on from a checkpoint, if there is one.

    Raises:
        ArgumentError: A number is out of range.
    """

    every_seconds: float | None = None
    every_epochs: int | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.every_seconds is not None and not self.every_seconds >= 0:
            raise ArgumentError(f"every_seconds must be 0 or more, got {self.every_seconds!r}.")
        if self.every_epochs is not None and self.every_epochs < 1:
            raise ArgumentError(f"every_epochs must be 1 or more, got {self.every_epochs!r}.")


class Checkpoints:
    """The checkpoint of a run: one file, which a later one replaces.

    A context manager: while a run lasts, a process that is asked to end by SIGTERM writes it first,
    at the next opportunity. Whatever goes wrong with it is warned about and never ends the run.

    Args:
        plan: When to write it.
        output_dir: Where results are kept.
        specification: The run.

    Attributes:
        path: The file.
    """

    def __init__(
        self, plan: CheckpointPlan, output_dir: Path, specification: RunSpecification
    ) -> None:
        self.path = checkpoint_file.checkpoint_path(output_dir, specification)
        self._plan = plan
        self._specification = specification
        self._is_possible = True
        self._was_tried = False
        self._latest = time.monotonic()
        self._termination = DeferredTermination()

    def __enter__(self) -> None:
        self._termination.__enter__()

    def __exit__(self, *error: object) -> None:
        self._termination.__exit__(*error)

    def load(self) -> dict[str, Any] | None:
        """The state to go on from, `None` to begin anew."""
        if not self.path.exists():
            return None
        if not self._plan.resume:
            _warn(
                "The run begins anew. It was interrupted before, and could be resumed from "
                f"{self.path}, which the next checkpoint replaces."
            )
            return None
        try:
            state, environment = checkpoint_file.read(self.path, self._specification)
        except checkpoint_file.UnusableCheckpointError as error:
            self.refuse(error)
            return None
        _warn_of_another_environment(environment, self._specification)
        return state

    def refuse(self, error: Exception) -> None:
        """Say why the run begins anew, although it should not."""
        _warn(f"The run begins anew: the checkpoint {self.path} cannot be used. {error}")

    def after_epoch(self, course: Course) -> None:
        """Write it if it is due after an evaluation."""
        every = self._plan.every_epochs
        if every is not None and course.history.epochs % every == 0:
            self._write(course)
        else:
            self.after_steps(course)

    def after_steps(self, course: Course) -> None:
        """Write it if it is due."""
        every = self._plan.every_seconds
        is_due = every is not None and time.monotonic() - self._latest >= every
        if is_due or self._termination.is_asked_for:
            self._write(course)

    def remove(self) -> None:
        """Remove it once the result is there."""
        self.path.unlink(missing_ok=True)

    def _write(self, course: Course) -> None:
        if self._is_possible:
            with course.pausing():
                self._attempt(course)
        self._latest = time.monotonic()
        if self._termination.is_asked_for:
            _warn(f"The run was asked to end. It can be resumed from {self.path}.")
            self._termination.carry_out()

    def _attempt(self, course: Course) -> None:
        state = course.state_dict()
        try:
            checkpoint_file.write(
                self.path, self._specification, state, is_tried=not self._was_tried
            )
            self._was_tried = True
        except OSError as error:  # a full disk may have room the next time
            _warn(f"The checkpoint {self.path} cannot be written: {error}. The run goes on.")
        except Exception as error:  # optimizers may keep anything
            self._is_possible = False
            _warn(
                "The run cannot be resumed if it is interrupted: its optimizer or its problem "
                f"keeps what no checkpoint can hold, {_culprit(error)}."
            )


def _culprit(error: Exception) -> str:
    """What torch did not save or load, out of a message of many lines."""
    named = re.search(r"GLOBAL (\S+)", str(error))
    return f"a {named[1]}" if named else str(error).strip().partition("\n")[0]


def _warn_of_another_environment(before: dict[str, Any], specification: RunSpecification) -> None:
    changed = [
        f"{name} {now} instead of {before.get(name)}"
        for name, now in checkpoint_file.environment_of(specification).items()
        if before.get(name) != now
    ]
    if changed:
        _warn(
            f"The run goes on with {', '.join(changed)}: its metrics may differ in the last bits "
            "from those of a run that was not interrupted."
        )


def _warn(message: str) -> None:
    warnings.warn(message, CheckpointWarning, stacklevel=2)
