"""The run loop of DeepOBS on a test problem."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import torch

from deepobs import config
from deepobs.records import RunSpecification
from deepobs.runs import store
from deepobs.runs.course import Course
from deepobs.runs.execution import carry_out
from deepobs.runs.history import History
from deepobs.runs.observers import Observers
from deepobs.runs.schedules import build_schedule
from deepobs.runs.training import Trainer
from deepobs_testing.loaders import loaders_by_name
from deepobs_testing.problems.losses import need_losses
from deepobs_testing.verdicts import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.protocols import Batch, Loader, TestProblem
    from deepobs_testing.problems.subject import Subject

_STEPS = 2
_LEARNING_RATE = 1e-4


def the_run_loop_trains_it(subject: Subject) -> None:
    """Two steps and the evaluations around them make a result file that can be read back."""
    need_losses(subject)
    specification = RunSpecification(
        testproblem=subject.name,
        optimizer="SGD",
        optimizer_target="torch.optim:SGD",
        hyperparameters={"lr": _LEARNING_RATE},
        batch_size=subject.batch_size,
        num_epochs=1,
        fake_data_fraction=config.get_fake_data_fraction(),
    )
    problem = _shortened(subject.at_start())
    record = carry_out(_course(specification, problem), Observers([]), None)
    require(
        record.status == "completed",
        f"Two steps of SGD with learning rate {_LEARNING_RATE:g} diverge: training losses "
        f"{record.train_losses}, test losses {record.test_losses}.",
        "Scale the inputs, the initial weights or the loss so that training can begin.",
    )
    with tempfile.TemporaryDirectory() as directory:
        store.prepare(Path(directory))
        store.write(Path(directory), specification, record)
        found = store.find(Path(directory), specification)
    require(
        found is not None and found[1].test_losses == record.test_losses,
        "The result file of a run cannot be found or read back.",
        "Let dataset.name, fingerprint and split_sizes be plain texts and numbers.",
    )


def _course(specification: RunSpecification, problem: TestProblem) -> Course:
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=_LEARNING_RATE)
    schedule = build_schedule(specification, optimizer, len(problem.dataset.train_loader))
    trainer = Trainer(problem, optimizer, after_step=schedule.after_step)
    return Course(specification, problem, optimizer, schedule, trainer, History(1))


def _shortened(problem: TestProblem) -> TestProblem:
    """The problem with short passes; of its name, by which messages of the run loop call it."""
    known_as = {name: getattr(type(problem), name) for name in ("__module__", "__qualname__")}
    return cast("TestProblem", type(type(problem).__name__, (_Shortened,), known_as)(problem))


class _Shortened:
    """A problem whose passes are a few batches long.

    Args:
        problem: A problem that was set up.
    """

    def __init__(self, problem: TestProblem) -> None:
        self._problem = problem
        data = problem.dataset
        steps = {"train_loader": _STEPS}
        loaders = {
            name: _ShortLoader(loader, steps.get(name, 1))
            for name, loader in loaders_by_name(data).items()
        }
        about = {name: getattr(data, name, {}) for name in ("split_sizes", "is_fake")}
        fingerprint = getattr(data, "fingerprint", None)
        self.dataset = SimpleNamespace(
            name=data.name, fingerprint=fingerprint, **{"valid_loader": None} | about | loaders
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)


class _ShortLoader:
    def __init__(self, loader: Loader, most: int) -> None:
        self._loader = loader
        self._most = most

    def __len__(self) -> int:
        return min(len(self._loader), self._most)

    def __iter__(self) -> Iterator[Batch]:
        return itertools.islice(iter(self._loader), self._most)
