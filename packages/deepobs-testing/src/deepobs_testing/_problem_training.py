"""Checks of seeds, passes over the data, and training of test problems."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import torch

from deepobs.errors import ArgumentError, TrainingWarning
from deepobs.runs import store
from deepobs.runs.evaluation import evaluating
from deepobs.runs.execution import execute
from deepobs.runs.run_state import Pass, RunState
from deepobs.runs.running_statistics import layers_with_statistics
from deepobs.runs.training import Trainer
from deepobs_testing._loaders import loaders_of
from deepobs_testing._problem_losses import evaluated, evaluation_losses, losses_of, need_losses
from deepobs_testing._problem_subject import (
    BATCHES,
    LEARNING_RATE,
    same_batches,
    specified,
    tensors_of,
    trajectory,
)
from deepobs_testing._process import OTHER_SEED, SEED
from deepobs_testing._report import require, skip
from deepobs_testing._tensors import (
    close,
    different,
    listed,
    relative_distance,
    rounding_of,
    same,
    same_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepobs.protocols import Batch, Loader, TestProblem
    from deepobs_testing._problem_subject import Subject

# A tensor with more distinct values than this was not filled with constants.
_CONSTANTS = 8

_STEPS = 2

_PARTS = 2


def the_same_seed_gives_the_same_weights_and_batches(subject: Subject) -> None:
    """Setting it up twice in one process gives the same tensors."""
    problem, again = subject.at_start(), subject.again_at_start()
    names = different(tensors_of(problem.model), tensors_of(again.model))
    require(
        not names,
        f"Set up twice with the seed {SEED}, the models differ in {', '.join(names)}.",
        "Draw initial weights from torch's global generator, always in the same order.",
    )
    # One after the other, since a training pass starts from the global RNG.
    batches = [
        list(itertools.islice(iter(start().dataset.train_loader), BATCHES))
        for start in (subject.at_start, subject.again_at_start)
    ]
    for number, pair in enumerate(zip(*batches, strict=True), start=1):
        require(
            same_batches(*pair),
            f"Set up twice with the seed {SEED}, training batch {number} differs.",
            "Seed the order of the data from torch's global generator, like "
            "deepobs.data.TensorLoader and deepobs.data.BaseDataSet.generator.",
        )


def the_same_seed_gives_the_same_training(subject: Subject) -> None:
    """Steps of SGD from the same seed have the same losses, bit for bit on a CPU."""
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
    """Weights that look random differ from seed to seed."""
    weights, others = tensors_of(subject.at_start().model), tensors_of(subject.other.model)
    differ = any(not same(weights[name], others[name]) for name in weights if name in others)
    parameters = subject.problem.model.named_parameters()
    drawn = [name for name, parameter in parameters if _looks_drawn(parameter)]
    if not (differ or drawn):
        skip("Its initial weights are the same for every seed and look like constants")
    require(
        differ,
        f"The seeds {SEED} and {OTHER_SEED} give the same weights, although those of "
        f"{', '.join(drawn[:1])} look random.",
        "Draw them from torch's global generator and do not call torch.manual_seed yourself: runs "
        "with several seeds would all be the same.",
    )


def _looks_drawn(tensor: torch.Tensor) -> bool:
    return len(set(tensor.detach().flatten()[:1000].tolist())) > _CONSTANTS


def set_up_leaves_the_seed_to_the_caller(subject: Subject) -> None:
    """What is drawn after `set_up` depends on the seed before it."""
    subject.problem, subject.other  # noqa: B018 # records the numbers after set_up
    first, second = (subject.numbers_after_set_up[seed] for seed in (SEED, OTHER_SEED))
    for name, seeded in {
        "torch.rand": "torch.manual_seed",
        "numpy.random.random": "numpy.random.seed",
        "random.random": "random.seed",
    }.items():
        require(
            first[name] != second[name],
            f"After set_up, {name} gives {first[name]:.6f} for both {seeded}({SEED}) and "
            f"{seeded}({OTHER_SEED}) before it.",
            f"Do not call {seeded} in a problem: everything after it would be the same for every "
            "seed. Use a separate generator for what must be fixed.",
        )


def evaluation_does_not_depend_on_the_batch_split(subject: Subject) -> None:
    """In evaluation mode, the losses of a batch are those of its halves."""
    whole = evaluated(subject)["none"][0]
    problem = subject.at_start()
    problem.model.eval()
    if not torch.equal(whole, losses_of(problem, subject.first_batch(problem), seed=1)):
        skip("Its evaluation draws random numbers, which depend on the split")
    middle = len(whole) // 2
    halves = []
    for part in (slice(None, middle), slice(middle, None)):
        # Of a new pass, since a recurrent problem would carry its state from half to half.
        batch = subject.first_batch(problem)
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
    """An evaluation does not change the training steps after it."""
    need_losses(subject)
    undisturbed = subject.trajectory
    problem = subject.at_start()

    def evaluate() -> None:
        with evaluating(problem):
            for loader in (problem.dataset.train_eval_loader, problem.dataset.test_loader):
                batch = next(iter(loader))
                problem.get_batch_loss_and_accuracy(batch, reduction="mean")

    disturbed = trajectory(problem, steps=2, after_first=evaluate)
    undisturbed = undisturbed[: len(disturbed)]
    require(
        same_numbers(disturbed, undisturbed),
        f"Steps of SGD have the losses {undisturbed}, but {disturbed} if an evaluation comes after "
        "the first.",
        "Keep the states that are carried from batch to batch for training and evaluation apart, "
        "and let loaders draw only from a generator of their own.",
    )


def recalibrating_within_an_epoch_disturbs_nothing(subject: Subject) -> None:
    """A second pass for batch normalization changes neither its statistics nor further steps."""
    need_losses(subject)
    if not layers_with_statistics(subject.problem.model):
        skip("Its model has no layers that keep running statistics")
    undisturbed, disturbed = (_steps(subject, recalibrates=each) for each in (False, True))
    require(
        same_numbers(disturbed, undisturbed),
        f"Steps of SGD have the losses {undisturbed}, but {disturbed} if batch normalization is "
        "recalibrated after the first.",
        "Let passes over the training set be independent of each other, and loaders draw from "
        "torch's global generator or have a state_dict (deepobs.protocols.ResumableLoader).",
    )


def _steps(subject: Subject, *, recalibrates: bool) -> list[float]:
    """The objectives of the first steps of a pass."""
    problem = subject.at_start()
    specification = specified(subject).model_copy(update={"bn_recalibration": 1})
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=LEARNING_RATE)
    state = RunState(specification, problem, optimizer)
    state.training_pass = Pass(iter(problem.dataset.train_loader))
    objectives: list[float] = []
    for steps in (1, BATCHES - 1):
        with state.trainer.training():
            batches = itertools.islice(state.training_pass.batches, steps)
            objectives += state.trainer.take_steps(batches)
        if recalibrates:
            with state.recalibrated():
                pass
    return objectives


def micro_batches_add_up_to_the_batch(subject: Subject) -> None:
    """In evaluation mode, the gradients of two parts of a batch add up to that of the batch."""
    need_losses(subject)
    if subject.batch_size < _PARTS:
        skip("Its batches have one example")
    whole, draws = _gradient(subject, parts=1)
    if draws:
        skip("Its evaluation draws random numbers, others for parts of a batch")
    try:
        added, _ = _gradient(subject, parts=_PARTS)
    except ArgumentError as error:
        skip(f"Its runs have no micro-batches: {error}")
    difference = relative_distance(added, whole)
    require(
        difference <= rounding_of(whole),
        f"The gradients of {_PARTS} parts of a batch add up to one that differs from that of the "
        f"batch by {difference:.3g} of its norm, so --accumulate would change numbers.",
        "Let the loss be a mean over what batch_weight counts, by default examples, and "
        "split_batch, if the problem has it, return every example once.",
    )


def _gradient(subject: Subject, *, parts: int) -> tuple[torch.Tensor, bool]:
    """The gradient of a batch from a number of parts, and whether random numbers were drawn."""
    problem = subject.at_start()
    specification = specified(subject).model_copy(update={"accumulate": parts})
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.0)
    trainer = Trainer(problem, optimizer, specification=specification)
    batch = next(iter(problem.dataset.train_loader))
    problem.model.eval()
    before = torch.get_rng_state()
    trainer.take_steps([batch])
    draws = not torch.equal(before, torch.get_rng_state())
    gradients = [one.grad for one in problem.model.parameters() if one.grad is not None]
    optimizer.zero_grad()
    return torch.cat([gradient.flatten() for gradient in gradients]), draws


def a_new_pass_starts_from_scratch(subject: Subject) -> None:
    """With the same weights, the first batch of every pass has the same losses."""
    need_losses(subject)
    problem = subject.at_start()
    batches = itertools.islice(iter(problem.dataset.train_eval_loader), 2)
    first, *_ = [evaluation_losses(problem, batch) for batch in batches]
    again = evaluation_losses(problem, subject.first_batch(problem))
    require(
        torch.equal(first, again),
        f"The first batch of a pass has the losses {listed(first)}, but {listed(again)} in a "
        "second pass with the same weights.",
        "Reset the state that is carried from batch to batch at the start of a new pass.",
    )


def the_run_loop_trains_it(subject: Subject) -> None:
    """Two steps and the evaluations around them give a result file that can be read back."""
    need_losses(subject)
    specification = specified(subject)
    # Not deepobs.runs.run, which would set up another problem by its name: a class that no plugin
    # offers has none, and the passes would have their full length.
    problem = _shortened(subject.at_start())
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=LEARNING_RATE)
    with warnings.catch_warnings():
        # Two steps at such a learning rate may be lost in rounding, which is no fault of a problem.
        warnings.simplefilter("ignore", TrainingWarning)
        record = execute(RunState(specification, problem, optimizer))
    require(
        record.status == "completed",
        f"Two steps of SGD with learning rate {LEARNING_RATE:g} diverge: training losses "
        f"{record.train_losses}, test losses {record.test_losses}.",
        "Scale the inputs, the initial weights or the loss so that training can start.",
    )
    with tempfile.TemporaryDirectory() as directory:
        store.prepare(Path(directory))
        store.write(Path(directory), specification, record.to_json())
        found = store.find(Path(directory), specification)
    require(
        found is not None and found[1].test_losses == record.test_losses,
        "The result file of a run cannot be found or read back.",
        "Let dataset.name, fingerprint and split_sizes be plain texts and numbers.",
    )


def _shortened(problem: TestProblem) -> TestProblem:
    """The problem with short passes, and with its own name in messages of the run loop."""
    names = {name: getattr(type(problem), name) for name in ("__module__", "__qualname__")}
    return cast("TestProblem", type(type(problem).__name__, (_Shortened,), names)(problem))


class _Shortened:
    """A problem whose passes are one batch long, those of training `_STEPS`."""

    def __init__(self, problem: TestProblem) -> None:
        self._problem = problem
        data = problem.dataset
        loaders = {
            name: _ShortLoader(loader, _STEPS if name == "train_loader" else 1)
            for name, loader in loaders_of(data).items()
        }
        optional = {name: getattr(data, name, {}) for name in ("split_sizes", "is_fake")}
        fingerprint = getattr(data, "fingerprint", None)
        self.dataset = SimpleNamespace(
            name=data.name, fingerprint=fingerprint, **{"valid_loader": None} | optional | loaders
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
