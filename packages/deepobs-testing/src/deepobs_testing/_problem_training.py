"""Whether a seed decides about everything, and nothing else does."""

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
from deepobs.runs.evaluation import evaluating
from deepobs.runs.execution import execute
from deepobs.runs.observers import Observers
from deepobs.runs.run_state import RunState
from deepobs_testing._loaders import loaders_by_name
from deepobs_testing._problem_losses import evaluated, losses_of, need_losses
from deepobs_testing._problem_subject import (
    BATCHES,
    first_batches,
    same_batches,
    tensors_of,
    trajectory,
)
from deepobs_testing._process import OTHER_SEED, SEED
from deepobs_testing._report import require, skip
from deepobs_testing._tensors import close, listed, same, same_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from deepobs.protocols import Batch, Loader, TestProblem
    from deepobs_testing._problem_subject import Subject


_LOOKS_DRAWN = 8
"""A tensor of more different values than this was not filled with a constant."""


def the_same_seed_gives_the_same_weights_and_batches(subject: Subject) -> None:
    """Building it twice in one process gives the same tensors."""
    problem, again = subject.at_start(), subject.again_at_start()
    weights, others = tensors_of(problem.model), tensors_of(again.model)
    different = [
        name
        for name in weights.keys() | others.keys()
        if name not in weights or name not in others or not same(weights[name], others[name])
    ]
    require(
        not different,
        f"Set up twice with the seed {SEED}, the models differ in {', '.join(sorted(different))}.",
        "Draw initial weights with torch's global generator, in an order that is always the same.",
    )
    batches = first_batches(subject.at_start()), first_batches(subject.again_at_start())
    for number, pair in enumerate(zip(*batches, strict=True), start=1):
        require(
            same_batches(*pair),
            f"Set up twice with the seed {SEED}, training batch {number} differs.",
            "Seed the order of the data from torch's global generator; "
            "deepobs.data.TensorLoader and deepobs.data.BaseDataSet.generator do that.",
        )


def the_same_seed_gives_the_same_training(subject: Subject) -> None:
    """Steps of SGD from the same seed have the same losses, to the bit on a CPU."""
    need_losses(subject)
    first, second = subject.trajectory, trajectory(subject.again_at_start())
    subject.again_was_trained()
    require(
        same_numbers(first, second),
        f"{BATCHES} steps of SGD have the losses {first}, and {second} after another set_up with "
        f"the seed {SEED}.",
        "Something random does not follow torch.manual_seed, or set_up leaves a trace in the "
        "class or the process.",
    )


def another_seed_gives_other_weights(subject: Subject) -> None:
    """Weights that look drawn differ from seed to seed."""
    weights, others = tensors_of(subject.at_start().model), tensors_of(subject.other.model)
    differ = any(not same(weights[name], others[name]) for name in weights if name in others)
    drawn = [n for n, t in subject.problem.model.named_parameters() if _looks_drawn(t)]
    if not (differ or drawn):
        skip("Its initial weights are the same for every seed and look like constants")
    require(
        differ,
        f"The seeds {SEED} and {OTHER_SEED} give the same weights, although those of "
        f"{', '.join(drawn[:1])} look random.",
        "Draw them with torch's global generator and do not call torch.manual_seed yourself: runs "
        "with several seeds would all be the same.",
    )


def set_up_leaves_the_seed_to_the_caller(subject: Subject) -> None:
    """What is drawn after `set_up` depends on the seed before it."""
    subject.problem, subject.other  # noqa: B018 # whose set_up leaves the numbers
    first, second = (subject.numbers_after_set_up[seed] for seed in (SEED, OTHER_SEED))
    for name, seeded in {
        "torch.rand": "torch.manual_seed",
        "numpy.random.random": "numpy.random.seed",
        "random.random": "random.seed",
    }.items():
        require(
            first[name] != second[name],
            f"After set_up, {name} gives {first[name]:.6f} whether {seeded} was called with {SEED} "
            f"or {OTHER_SEED} before.",
            f"Do not call {seeded} in a problem: it makes all that follows the same for every "
            "seed. Give what must be fixed a generator of its own.",
        )


def _looks_drawn(tensor: Tensor) -> bool:
    return len(set(tensor.detach().flatten()[:1000].tolist())) > _LOOKS_DRAWN


def evaluation_does_not_depend_on_the_batch_split(subject: Subject) -> None:
    """In evaluation mode, the losses of a batch are those of its halves."""
    whole = evaluated(subject)["none"].losses
    problem = subject.at_start()
    problem.model.eval()
    if not torch.equal(whole, losses_of(problem, subject.first_batch(problem), seed=1)):
        skip("Its evaluation draws random numbers, which differ from split to split")
    middle = len(whole) // 2
    halves = []
    for part in (slice(None, middle), slice(middle, None)):
        batch = subject.first_batch(problem)  # a new pass: what it remembers starts afresh
        halves.append(losses_of(problem, tuple(tensor[part] for tensor in batch)))
    joined = torch.cat(halves)
    require(
        close(joined, whole),
        f"In evaluation mode, a batch has the losses {listed(whole)}, but its halves, evaluated "
        f"alone, have {listed(joined)}.",
        "The loss of an example must not depend on the others of its batch: use running "
        "statistics in evaluation mode, and average within each example only.",
    )


def evaluating_within_an_epoch_disturbs_nothing(subject: Subject) -> None:
    """Training goes on after an evaluation as if there had been none."""
    need_losses(subject)
    undisturbed = subject.trajectory
    problem = subject.at_start()

    def evaluate() -> None:
        with evaluating(problem):
            for loader in (problem.dataset.train_eval_loader, problem.dataset.test_loader):
                for batch in itertools.islice(iter(loader), 1):
                    problem.get_batch_loss_and_accuracy(batch, reduction="mean")

    disturbed = trajectory(problem, steps=2, after_first=evaluate)
    undisturbed = undisturbed[: len(disturbed)]
    require(
        same_numbers(disturbed, undisturbed),
        f"Steps of SGD have the losses {undisturbed}, but {disturbed} where an evaluation comes "
        "after the first.",
        "Keep what is carried from batch to batch for training and evaluation apart, and let "
        "loaders draw only from a generator of their own.",
    )


def a_new_pass_starts_afresh(subject: Subject) -> None:
    """With the same weights, the first batch of a pass has the same losses whatever was before."""
    need_losses(subject)
    problem = subject.at_start()
    problem.model.eval()
    first = None
    for batch in itertools.islice(iter(problem.dataset.train_eval_loader), 2):
        losses = losses_of(problem, batch)
        first = losses if first is None else first
    again = losses_of(problem, subject.first_batch(problem))
    require(
        first is not None and torch.equal(first, again),
        f"The first batch of a pass has the losses {listed(first if first is not None else again)}"
        f", but {listed(again)} in a second pass with the same weights.",
        "Reset what is carried from batch to batch when a new pass over a loader begins.",
    )


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
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=_LEARNING_RATE)
    record = execute(RunState(specification, problem, optimizer), Observers([]))
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
