"""Schedules by name, whose parts are numbers of steps or fractions of the run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from torch.optim.lr_scheduler import LRScheduler

from deepobs.checks import is_number
from deepobs.errors import ArgumentError, closest, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

_LENGTHS = ("warmup", "decay")
_WHOLE = 1 + 1e-9  # what fractions may add up to, as 0.1 + 0.9 in floating point


class NamedScheduler(LRScheduler):
    """Initial rates times a factor that depends on the step and the length of the run.

    With a warm-up of `w` steps, the factor of step `t = 0, 1, ...` is `(t + 1) / (w + 1)` where
    `t < w`, and 1 at `t = w`. That after the last step would be `end_factor`.

    Args:
        optimizer: The optimizer whose learning rates it sets.
        num_steps: Steps of the run.
        warmup: Length of the warm-up: an integer number of steps, or a fraction of the run.
        decay: Length of the decay at the end of the run, likewise; `None` for all but the warm-up.
        end_factor: What the decay leads to.

    Raises:
        ArgumentError: Warm-up and decay are longer than the run.
    """

    defaults: ClassVar[dict[str, float]]

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        num_steps: int,
        *,
        warmup: float,
        decay: float | None = None,
        end_factor: float = 0.0,
    ) -> None:
        self._warmup = warmup if isinstance(warmup, int) else round(warmup * num_steps)
        self._decays_from = self._warmup
        if decay is not None:
            constant = num_steps - decay if isinstance(decay, int) else (1 - decay) * num_steps
            self._decays_from = round(constant)
            is_fraction = not isinstance(warmup, int) and not isinstance(decay, int)
            if is_fraction and warmup + decay <= _WHOLE:
                # Those that add up to 1 leave no step between them, however both are rounded.
                self._decays_from = max(self._decays_from, self._warmup)
        if not self._warmup <= self._decays_from <= num_steps:
            parts = {"warmup": warmup} if decay is None else {"warmup": warmup, "decay": decay}
            raise ArgumentError(
                f"The schedule with {_lengths(parts)} is longer than the run of {num_steps} steps. "
                "Give fractions of the run, such as 0.05, or train for longer."
            )
        self._num_steps = num_steps
        self._end_factor = end_factor
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        """The rates of the next step."""
        factor = self._factor(self.last_epoch)
        return [rate * factor for rate in self.base_lrs]

    def _factor(self, step: int) -> float:
        if step < self._warmup:
            return (step + 1) / (self._warmup + 1)
        length = max(self._num_steps - self._decays_from, 1)
        done = min(max(step - self._decays_from, 0) / length, 1.0)
        return self._end_factor + (1 - self._end_factor) * self._remaining(done)

    def _remaining(self, done: float) -> float:
        """From 1 to 0 as the part of the decay that is done goes from 0 to 1."""
        return 1 - done


class Warmup(NamedScheduler):
    """A linear warm-up, then a constant rate.

    References:
        Goyal et al.: Accurate, large minibatch SGD, 2017, https://arxiv.org/abs/1706.02677.
    """

    defaults: ClassVar = {"warmup": 0.05}

    def _remaining(self, done: float) -> float:
        del done
        return 1.0


class Cosine(NamedScheduler):
    """A linear warm-up, none by default, then half a period of a cosine.

    References:
        Loshchilov, Hutter: SGDR, ICLR 2017, https://arxiv.org/abs/1608.03983.
    """

    defaults: ClassVar = {"warmup": 0.0, "end_factor": 0.0}

    def _remaining(self, done: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * done))


class Trapezoid(NamedScheduler):
    """A linear warm-up, a constant rate and a linear decay; also called warmup-stable-decay.

    References:
        Hu et al.: MiniCPM, 2024, https://arxiv.org/abs/2404.06395; Hägele et al., NeurIPS 2024,
        https://arxiv.org/abs/2405.18392, for a decay in 20 % of the steps.
    """

    defaults: ClassVar = {"warmup": 0.05, "decay": 0.2, "end_factor": 0.0}


NAMED: dict[str, type[NamedScheduler]] = {
    "warmup": Warmup,
    "cosine": Cosine,
    "trapezoid": Trapezoid,
}
"""The schedulers that have names of their own; they advance after each step."""


def completed_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments of a schedule, and add its defaults, which are part of the identity.

    Args:
        name: A key of `NAMED`.
        arguments: Those that were given.

    Raises:
        ArgumentError: It does not have one of them, or a value is not permitted.
    """
    known = NAMED[name].defaults
    for key, value in arguments.items():
        if key not in known:
            raise ArgumentError(
                sentences(
                    f"{name} has no argument {key!r}.",
                    closest(key, known),
                    f"It takes {', '.join(known)}.",
                )
            )
        is_length = key in _LENGTHS
        is_steps = is_length and isinstance(value, int) and is_number(value, 0)
        if not is_steps and not is_number(value, 0, 1):
            permitted = "from 0.0 to 1.0"
            if is_length:
                permitted = "a fraction of the run from 0.0 to 1.0, or an integer number of steps"
            raise ArgumentError(f"{key} of {name} must be {permitted}; got {value!r}.")
    # No steps are the same as no part of the run, and so the same run.
    completed = {
        key: value if value and key in _LENGTHS else float(value)
        for key, value in {**known, **arguments}.items()
    }
    fractions = [completed[key] for key in _LENGTHS if isinstance(completed.get(key), float)]
    if sum(fractions) > _WHOLE:
        raise ArgumentError(
            f"{name} with {_lengths(completed)} is longer than the run: fractions of it add up to "
            "1 at most."
        )
    return completed


def require_length(name: str, arguments: Mapping[str, Any], most_steps: int) -> None:
    """Refuse a schedule with more steps than a run can have, before anything is loaded.

    Args:
        name: A key of `NAMED`.
        arguments: Its arguments, completed.
        most_steps: No run has more steps than this.

    Raises:
        ArgumentError: It has.
    """
    steps = sum(arguments[key] for key in _LENGTHS if isinstance(arguments.get(key), int))
    if steps > most_steps:
        raise ArgumentError(
            f"{name} with {_lengths(arguments)} is longer than the run, which has at most "
            f"{most_steps} steps. Give fractions of the run, such as 0.05, or train for longer."
        )


def _lengths(arguments: Mapping[str, Any]) -> str:
    return " and ".join(f"{key}={arguments[key]}" for key in _LENGTHS if key in arguments)
