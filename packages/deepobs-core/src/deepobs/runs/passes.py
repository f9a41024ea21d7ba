"""One pass over the training set, and how to go on with it after an interruption."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deepobs import rng
from deepobs.protocols import CarriesState, ResumableLoader
from deepobs.runs.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from deepobs.protocols import Batch, Loader, TestProblem


@dataclass
class Pass:
    """A pass over the training set, as far as it has come.

    Attributes:
        batches: What is left of it.
        start: The states of loader and generators before it; empty where nobody will resume it.
        objectives: The objective before each step.
        stopwatch: How long it has taken.
    """

    batches: Iterator[Batch]
    start: dict[str, Any] = field(default_factory=dict)
    objectives: list[float] = field(default_factory=list)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def state_dict(self, problem: TestProblem) -> dict[str, Any]:
        """What a checkpoint has to keep.

        Args:
            problem: What is trained.
        """
        carried = problem.carried_state() if isinstance(problem, CarriesState) else None
        return {
            "start": self.start,
            "objectives": self.objectives,
            "seconds": self.stopwatch.seconds,
            "carried_state": carried,
        }


def begin_resumable(problem: TestProblem, device: torch.device) -> Pass:
    """Begin a pass that a checkpoint can describe.

    Args:
        problem: What to train.
        device: Where it is trained.
    """
    loader = problem.dataset.train_loader
    start = {"loader": loader_state(loader), "random": rng.get_state(device)}
    return Pass(iter(loader), start)


def resume(problem: TestProblem, device: torch.device, state: dict[str, Any]) -> Pass:
    """Go on with a pass after its last step.

    The pass is begun again from where it began, and the batches that were trained on are left out,
    so that all that is random about the others is drawn once more in the same way. The generators
    that everybody shares are left where the pass began or ended up: set them afterwards.

    Args:
        problem: What to train, with the weights of then.
        device: Where it is trained.
        state: What `Pass.state_dict` returned.
    """
    start, objectives = state["start"], state["objectives"]
    loader = problem.dataset.train_loader
    set_loader_state(loader, start["loader"])
    rng.set_state(start["random"], device)
    batches = _after(len(objectives), loader)
    if state["carried_state"] is not None and isinstance(problem, CarriesState):
        batches = _carrying(problem, state["carried_state"], batches)
    return Pass(batches, start, objectives, Stopwatch(state["seconds"]))


def loader_state(loader: Loader) -> dict[str, Any]:
    """The state of a loader that has one, else nothing."""
    return loader.state_dict() if isinstance(loader, ResumableLoader) else {}


def set_loader_state(loader: Loader, state: dict[str, Any]) -> None:
    """Put a loader in the state that `loader_state` returned."""
    if isinstance(loader, ResumableLoader):
        loader.load_state_dict(state)


def _after(number: int, loader: Loader) -> Iterator[Batch]:
    """The batches of a pass but for the first ones."""
    if isinstance(loader, ResumableLoader):
        return loader.batches_from(number)
    batches = iter(loader)
    next(itertools.islice(batches, number, number), None)  # draws what they draw, now
    return batches


def _carrying(problem: CarriesState, state: Any, batches: Iterator[Batch]) -> Iterator[Batch]:
    for batch in itertools.islice(batches, 1):
        problem.restore_carried_state(state, batch)
        yield batch
    yield from batches
