"""The numbers of a run while they come in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepobs.records import METRICS, series_name

if TYPE_CHECKING:
    from collections.abc import Mapping


class History:
    """Collects losses, accuracies and times, and notices divergence.

    Args:
        train_log_interval: Every how many steps of an epoch the objective is kept.

    Attributes:
        has_diverged: Whether a loss was not finite.
    """

    def __init__(self, train_log_interval: int) -> None:
        self.has_diverged = False
        self._train_log_interval = train_log_interval
        self._metrics: dict[str, list[float]] = {}
        self._minibatch_train_losses: list[float] = []
        self._iterates: list[list[float]] = []
        self._train_seconds: list[float] = []
        self._eval_seconds: list[float] = []
        self._steps = 0
        self._diverged_at_epoch: int | None = None
        self._diverged_at_step: int | None = None

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self._train_seconds)

    @property
    def evaluations(self) -> list[dict[str, float]]:
        """What was measured before the first and after every epoch, as `evaluate` returned it."""
        names = [name for name in METRICS if series_name(name) in self._metrics]
        curves = (self._metrics[series_name(name)] for name in names)
        return [dict(zip(names, values, strict=True)) for values in zip(*curves, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """All of it, as numbers in lists and dictionaries."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        vars(self).update(state)

    def add_training(self, objectives: list[float], *, seconds: float) -> None:
        """Take in an epoch of training.

        Args:
            objectives: The objective before each step.
            seconds: The time it took.
        """
        self._train_seconds.append(seconds)
        self._minibatch_train_losses += objectives[:: self._train_log_interval]
        for step, objective in enumerate(objectives, start=self._steps + 1):
            if not math.isfinite(objective):
                self._diverge()
                self._diverged_at_step = step
                break
        self._steps += len(objectives)

    def add_evaluation(self, metrics: Mapping[str, float], *, seconds: float) -> None:
        """Take in an evaluation; one with a loss that is not finite is where the curves end.

        Args:
            metrics: Means by name, as `evaluate` returns them.
            seconds: The time it took.
        """
        self._eval_seconds.append(seconds)
        if not all(math.isfinite(value) for name, value in metrics.items() if "loss" in name):
            self._diverge()
        for name, value in metrics.items():
            values = self._metrics.setdefault(series_name(name), [])
            if not (self.has_diverged and values):
                values.append(value)

    def add_iterate(self, parameters: list[float]) -> None:
        """Take in the parameters at the latest evaluation, until the run has diverged.

        Args:
            parameters: All of them, one after the other.
        """
        if not self.has_diverged:
            self._iterates.append(parameters)

    def fill(self, length: int) -> None:
        """Repeat the first entry of every curve until it has the given length.

        The original treats diverged runs like this, so that they are never better than untrained.
        """
        for values in self._metrics.values():
            values += values[:1] * (length - len(values))

    def for_record(self) -> dict[str, Any]:
        """The fields of a `RunRecord` that are collected here."""
        return {
            "status": "diverged" if self.has_diverged else "completed",
            "diverged_at_epoch": self._diverged_at_epoch,
            "diverged_at_step": self._diverged_at_step,
            "minibatch_train_losses": self._minibatch_train_losses,
            "iterates": self._iterates or None,
            "train_seconds": self._train_seconds,
            "eval_seconds": self._eval_seconds,
            **self._metrics,
        }

    def _diverge(self) -> None:
        self.has_diverged = True
        self._diverged_at_epoch = len(self._train_seconds)
