"""The points that an optimizer passes on a function of two variables, by repeating its run.

Result files do not hold them. The same specification gives the same numbers, so the run is carried
out once more, which takes a second or two.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import ValidationError

from deepobs.errors import DataError
from deepobs.plugins import registry

if TYPE_CHECKING:
    from deepobs.records import RunRecord, RunSpecification
    from deepobs.runs.run_state import RunState
    from deepobs_analysis.measures.checking import Floats

_TARGET = "deepobs.problems.two_d:TwoD"
_TOLERANCE = 1e-3  # other versions of torch round differently, which may grow


class Trajectory(NamedTuple):
    """The points that an optimizer passed.

    Attributes:
        points: Before the first and after every step, shape (steps + 1, 2).
        test_loss: The test loss after the last epoch, of this repetition.
        is_faithful: Whether it is what the result file says.
    """

    points: Floats
    test_loss: float
    is_faithful: bool


def is_two_d(problem: str) -> bool:
    """Whether a problem is a function of two variables; not where it is not installed."""
    offer = registry().problems.find(problem)
    return offer is not None and offer.spec.target == _TARGET


def iterates(file: str) -> Trajectory:
    """Repeat a run on a function of two variables.

    Args:
        file: Its result file.

    Raises:
        DeepOBSError: The file is not there any more or was written by another DeepOBS, or the
            optimizer cannot be imported.
    """
    from deepobs.runs import environment
    from deepobs.runs.run_state import begin_run

    record = _record(Path(file))
    specification = _specification(record)
    with environment.reproducible(specification):
        course = begin_run(specification)
        points = _carried_out(course)
    reached, recorded = course.history.evaluations[-1]["test_loss"], record.test_losses[-1]
    is_faithful = recorded is not None and math.isclose(reached, recorded, rel_tol=_TOLERANCE)
    return Trajectory(points, reached, is_faithful or course.history.has_diverged)


def _record(file: Path) -> RunRecord:
    from deepobs.runs import store

    try:
        return store.read(file)
    except (OSError, ValidationError) as error:
        raise DataError(
            f"The run of {file} cannot be repeated to draw its path: the file is not there, or "
            "another DeepOBS wrote it. Run the optimizer again by `deepobs run`."
        ) from error


def _specification(record: RunRecord) -> RunSpecification:
    from deepobs.records import RunSpecification

    same = RunSpecification.model_fields.keys() & type(record).model_fields.keys()
    return RunSpecification.model_validate(
        {
            **{name: getattr(record, name) for name in same},
            **record.training_params,
            "optimizer": record.optimizer_name,
            "hyperparameters": record.optimizer_hyperparams,
            "device": "cpu",
        }
    )


def _carried_out(course: RunState) -> Floats:
    model = course.problem.model
    points: list[tuple[float, float]] = []

    def note(*_: object) -> None:
        points.append((model.weight.item(), model.bias.item()))  # type: ignore[operator]

    note()
    course.optimizer.register_step_post_hook(note)
    course.evaluate()
    epochs = course.specification.num_epochs
    while course.history.epochs < epochs and not course.history.has_diverged:
        course.start_epoch()
        course.train_epoch(lambda _steps, _loss: None, is_resumable=False)
        if not course.history.has_diverged:
            course.evaluate()
    return np.array(points)
