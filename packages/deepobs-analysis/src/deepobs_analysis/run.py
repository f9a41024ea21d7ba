"""A run as a single file tells it, before it is put beside others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from deepobs_analysis.values import Floats


class Run(NamedTuple):
    """A run as its file tells it.

    Attributes:
        format: Which DeepOBS wrote the file.
        problem: Name of the test problem.
        optimizer: Name of the optimizer, without its class and schedule.
        target: The optimizer's class as `package.module:Class`, empty if not known.
        schedule_name: What its schedule is called, empty where the learning rate is constant.
        schedule: All of its schedule, in words.
        identity: All that its numbers depend on but problem, optimizer and seed: the JSON text of a
            dictionary of the `hyperparameters` and of the `rest`.
        seed: Its seed.
        batch_size: Examples a step.
        num_epochs: Passes over the training set.
        weight_decay: Factor of the regulariser, NaN for the problem's own.
        has_diverged: Whether a loss was not finite.
        diverged_at_epoch: In which epoch; `None` where it was not or that is not known.
        run_id: Identity of the run in files of ours, else empty.
        steps: Optimization steps taken.
        gradient_evaluations: Gradients computed.
        device: Where it ran.
        hardware: What it ran on, as JSON.
        versions: What it ran with, as JSON.
        command: What reproduces it.
        started_at: When it began.
        curves: Those of `CURVES` and the seconds of training in each epoch, in this order; `None`
            for what was not measured.
    """

    format: str
    problem: str
    optimizer: str
    target: str
    schedule_name: str
    schedule: str
    identity: str
    seed: int
    batch_size: int
    num_epochs: int
    weight_decay: float
    has_diverged: bool
    diverged_at_epoch: int | None
    run_id: str
    steps: int | None
    gradient_evaluations: int | None
    device: str
    hardware: str
    versions: str
    command: str
    started_at: str
    curves: tuple[Floats | None, ...]
