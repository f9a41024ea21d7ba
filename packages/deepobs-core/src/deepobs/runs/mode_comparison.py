"""Which way of computing the steps of a run is the fastest on this machine."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from deepobs import checks
from deepobs.errors import DeepOBSError, first_line_of
from deepobs.run_specifications import STEP_OPTIONS
from deepobs.runs import environment
from deepobs.runs.estimate import DEFAULT_SECONDS, Spread
from deepobs.runs.model_options import check_use, executing, take_compile_seconds
from deepobs.runs.step_options import check_step_options
from deepobs.runs.timing import time_in_turn, timed_set_up, work_on
from deepobs.runs.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs.run_specifications import RunSpecification

MODES: dict[str, dict[str, Any]] = {
    "plain": {"precision": None, "compile_mode": None, "channels_last": False},
    "channels-last": {"channels_last": True},
    "bf16": {"precision": "bf16"},
    "compile": {"compile_mode": "default"},
}
"""What is compared: options of steps by the name of the mode, each beside those of `plain`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeTime:
    """How fast steps are in a mode.

    Attributes:
        mode: A key of `MODES`.
        options: Its options of steps.
        step_seconds: A training step, with loading and augmentation; `None` if it does not work.
        speed: How many times as fast as plain steps it is; `None` if it does not work.
        compile_seconds: The time of compilation, which a run takes once; `None` without one.
        reason: Why it does not work; empty if it does.
    """

    mode: str
    options: dict[str, Any]
    step_seconds: Spread | None = None
    speed: Spread | None = None
    compile_seconds: float | None = None
    reason: str = ""


def compare_modes(
    specification: RunSpecification, *, seconds: float = DEFAULT_SECONDS
) -> list[ModeTime]:
    """Time steps of a run in several modes, in turn, so that none is favored.

    All models are in memory at once. Times of evaluation differ alike.

    Args:
        specification: The run; its own options of precision, compilation and channels are ignored.
        seconds: Duration of the measurement after setup and compilation; a few steps of each mode
            are measured in any case.

    Returns:
        The modes that work, the fastest first, and those that do not.

    Raises:
        DataError: The data are missing or broken.
        ArgumentError: A value does not fit the data set or the model.
    """
    seconds = checks.non_negative("seconds", seconds)
    steps: dict[str, Callable[[int], object]] = {}
    compile_seconds: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    asked = {name: {**MODES["plain"], **options} for name, options in MODES.items()}
    with environment.reproducible(specification), contextlib.ExitStack() as stack:
        for mode, options in asked.items():
            one = specification.model_copy(update=options)
            try:
                steps[mode] = _ready(one, stack)
            except Exception as error:
                # The others are worth comparing all the same; without plain ones, nothing is.
                if mode == "plain":
                    raise
                is_ours = isinstance(error, DeepOBSError)
                reasons[mode] = str(error) if is_ours else first_line_of(error)
            else:
                compiles = one.compile_mode is not None
                compile_seconds[mode] = take_compile_seconds() if compiles else None
        device = torch.device(specification.device)
        _, rounds = time_in_turn(list(steps.values()), seconds=seconds, device=device)
    found = [
        ModeTime(
            mode=mode,
            options=MODES[mode],
            step_seconds=Spread.of(taken[position] for taken in rounds),
            speed=Spread.of(taken[0] / taken[position] for taken in rounds),
            compile_seconds=compile_seconds[mode],
        )
        for position, mode in enumerate(steps)
    ]
    found.sort(key=lambda one: -one.speed.median if one.speed else 0.0)
    return found + [
        ModeTime(mode=mode, options=MODES[mode], reason=why) for mode, why in reasons.items()
    ]


def _ready(specification: RunSpecification, stack: contextlib.ExitStack) -> Callable[[int], object]:
    """Steps of a run whose model is in training mode, and compiled if it is to be."""
    given = {name: getattr(specification, name) for name in (*STEP_OPTIONS, "log_gradient_norm")}
    check_step_options(
        specification.optimizer,
        specification.optimizer_needs,
        batch_size=specification.batch_size,
        dtype=specification.dtype,
        **given,
    )
    with executing(specification):
        problem, optimizer, _ = timed_set_up(specification)
        needs = specification.optimizer_needs
        trainer = Trainer(problem, optimizer, needs=needs, specification=specification)
        steps = work_on(problem.dataset.train_loader, trainer.take_steps)
        stack.enter_context(trainer.training())
        steps(2)
        check_use(problem, specification)
    return steps
