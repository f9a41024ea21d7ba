"""The run loop of DeepOBS with an optimizer."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from deepobs.runs import run, specify
from deepobs_testing.verdicts import require

if TYPE_CHECKING:
    from deepobs_testing.optimizers.subject import Subject

_PROBLEM = "quadratic_deep"
_BATCH_SIZE = 500
_STEPS = 2


def the_run_loop_trains_with_it(subject: Subject) -> None:
    """A run on a small problem takes its steps and writes a result file."""
    hyperparameters, groups = subject.arguments
    offer = subject.thing.offer
    specification = specify(
        _PROBLEM,
        subject.optimizer_class if offer is None else offer.qualified_name,
        hyperparameters,
        parameter_groups=groups or None,
        batch_size=_BATCH_SIZE,
        num_epochs=1,
        device="cpu",
    )
    with tempfile.TemporaryDirectory() as directory:
        optimizer_class = subject.optimizer_class if offer is None else None
        record = run(specification, optimizer_class=optimizer_class, output_dir=directory)
    require(
        record.steps == _STEPS and record.gradient_evaluations >= _STEPS,
        f"A run of {_STEPS} steps on {_PROBLEM} took {record.steps} steps with "
        f"{record.gradient_evaluations} gradients; it is {record.status}.",
        "Look for steps that return early, and for defaults that make the first losses infinite.",
    )
