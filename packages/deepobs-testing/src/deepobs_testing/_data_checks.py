"""Checks of batches, for data sets and for the data sets of test problems alike."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

import torch

from deepobs.errors import ArgumentError
from deepobs_testing._loaders import (
    Batches,
    examples_of,
    is_smaller,
    loaders_of,
    read,
    require_tuples_of_tensors,
    written,
)
from deepobs_testing._process import OTHER_SEED, SEED
from deepobs_testing._report import CheckSkippedError, require

if TYPE_CHECKING:
    from deepobs.protocols import DataSet
    from deepobs_testing._execution import Memo

_SEEDS = f"With the seeds {SEED} and {OTHER_SEED}"
# Of the test examples. Fewer may be duplicates by chance, as in tables of few values.
_SHARE = 0.2

# Some data sets count units smaller than examples, such as characters: they cannot hold out few.
_BATCHES_HELD_OUT = (2, 20, 500)


class Subject(Protocol):
    """What the subjects of data sets and of test problems have in common."""

    memo: Memo
    batch_size: int

    @property
    def most_batches(self) -> int:
        """How many batches of a pass to read."""

    @property
    def data(self) -> DataSet:
        """The data set, at the start of a training pass."""

    @property
    def other_data(self) -> DataSet:
        """The data set of another seed."""

    def holding_out(self, size: int, seed: int = SEED) -> DataSet:
        """A new data set that holds out some examples for validation."""


def its_batches_are_tuples_of_tensors_on_the_device(subject: Subject) -> None:
    """A batch is a tuple of tensors on the requested device."""
    require_tuples_of_tensors(subject.data, torch.device("cpu"))


def its_batches_have_the_requested_size(subject: Subject) -> None:
    """A training batch has `batch_size` examples."""
    data = subject.data
    size = len(next(iter(data.train_loader))[0])
    require(
        size == data.batch_size == subject.batch_size,
        f"With batch_size={subject.batch_size}, the first training batch has {size} examples, and "
        f"dataset.batch_size is {data.batch_size}.",
        "Use the batch_size that the constructor is given; if it is too large for the data, raise "
        "deepobs.errors.ArgumentError.",
    )


def its_loaders_are_sized_and_can_be_read_again(subject: Subject) -> None:
    """Every pass over a loader has as many batches as its length says."""
    most = subject.most_batches
    for name, passes in _two_passes(subject).items():
        length = len(getattr(subject.data, name))
        for which, seen in zip(("first", "second"), passes, strict=True):
            require(
                len(seen) == min(length, most) and length > 0,
                f"len({name}) is {length}, but the {which} pass has "
                f"{len(seen)}{' or more' if len(seen) == most else ''} batches; every pass must "
                "have as many as the length says, at least one.",
                "Let __len__ count the batches, and __iter__ start over each time: a generator "
                "or iterator is used up after one pass.",
            )


def its_batches_have_one_shape_and_type(subject: Subject) -> None:
    """All batches of all splits are alike, except for a last, smaller one of an evaluation."""
    passes = _two_passes(subject)
    first, _ = passes["train_loader"][0][0]
    for name, (seen, _) in passes.items():
        for number, (layout, _) in enumerate(seen, start=1):
            may_be_smaller = name != "train_loader" and number == len(seen)
            require(
                layout == first or (may_be_smaller and is_smaller(layout, first)),
                f"Batch {number} of {name} has tensors of {written(layout)}, but the first "
                f"training batch has {written(first)}.",
                "Give all batches of all splits one shape and type; only the last batch of an "
                "evaluation may be smaller. A torch DataLoader drops it with drop_last=True.",
            )


def its_evaluation_batches_are_the_same_in_every_pass(subject: Subject) -> None:
    """Evaluation neither shuffles nor augments."""
    for name, passes in _two_passes(subject).items():
        if name == "train_loader":
            continue
        for number, (first, second) in enumerate(zip(*passes, strict=False), start=1):
            require(
                first[1] == second[1],
                f"Batch {number} of {name} is different in the second pass.",
                "Neither shuffle nor augment evaluation data: results could not be compared.",
            )


def what_is_evaluated_is_the_same_for_every_seed(subject: Subject) -> None:
    """Neither the test set nor the fixed part of the training set depends on the seed of a run."""
    first, second = subject.data, subject.other_data
    for name in ("train_eval_loader", "test_loader"):
        ours, theirs = (
            set(examples_of(getattr(data, name), subject.most_batches)) for data in (first, second)
        )
        require(
            ours == theirs,
            f"{_SEEDS}, {len(ours - theirs)} of {len(ours)} examples of {name} differ.",
            "Draw evaluation data with a fixed seed: results of several seeds could not be "
            "compared.",
        )


def test_examples_are_never_trained_on(subject: Subject) -> None:
    """Neither training batches nor those that measure the training loss have test examples."""
    data, most = subject.data, subject.most_batches
    tests = examples_of(data.test_loader, most)
    for name in ("train_loader", "train_eval_loader"):
        loader = getattr(data, name)
        shared = _shared(examples_of(loader, most), tests)
        # Of a shuffled pass that is longer than what is read, only this part can have been seen.
        seen = len(tests) * min(1.0, most / len(loader))
        require(
            shared < data.batch_size or shared < _SHARE * seen,
            f"{shared} of {len(tests)} examples that test_loader yields also come from {name}.",
            "Take the test examples out of the training set. If test and training set are the same "
            "on purpose, skip this check.",
        )


def held_out_examples_are_never_trained_on(subject: Subject) -> None:
    """With a validation size, no held-out example is a training or a test example."""
    size, divided = _divided(subject)
    whole, most = subject.data, subject.most_batches
    require(
        divided.valid_loader is not None,
        f"With validation_size={size}, valid_loader is None.",
        "Let valid_loader yield the held-out examples.",
    )
    held_out = examples_of(divided.valid_loader, most)  # type: ignore[arg-type] # checked above
    _require_any(held_out, size)
    tests = _shared(held_out, examples_of(divided.test_loader, most))
    require(
        tests < whole.batch_size or tests < _SHARE * len(held_out),
        f"With validation_size={size}, {tests} of {len(held_out)} examples that valid_loader "
        "yields are test examples.",
        "Hold out a part of the training set: hyperparameters must not be selected on test data.",
    )
    require(
        len(held_out) <= size,
        f"With validation_size={size}, valid_loader yields {len(held_out)} examples.",
        "Hold out at most validation_size examples.",
    )
    shared = set(held_out) & {
        *examples_of(divided.train_loader, most),
        *examples_of(divided.train_eval_loader, most),
    }
    occurrences = Counter(examples_of(whole.train_loader, most)) if shared else Counter()
    # Examples that the data contain several times may be on both sides, and up to a batch may be
    # missing from the occurrences, since the remainder of a training pass is dropped.
    leaked = [example for example in shared if occurrences[example] <= 1]
    require(
        len(leaked) < whole.batch_size,
        f"With validation_size={size}, {len(leaked)} of {len(held_out)} examples that valid_loader "
        "yields are also trained on.",
        "Take the held-out examples out of train_loader and train_eval_loader.",
    )


def held_out_examples_are_the_same_for_every_seed(subject: Subject) -> None:
    """What is held out does not depend on the seed of a run."""
    size, divided = _divided(subject)
    other = subject.holding_out(size, OTHER_SEED)
    ours, theirs = (
        set(() if data.valid_loader is None else examples_of(data.valid_loader))
        for data in (divided, other)
    )
    _require_any(ours, size)
    require(
        ours == theirs,
        f"{_SEEDS}, {len(ours - theirs)} of {len(ours)} held-out examples differ.",
        "Divide the data with a fixed seed: examples that select hyperparameters must not "
        "be trained on in a run of another seed.",
    )


def _require_any(held_out: list[bytes] | set[bytes], size: int) -> None:
    require(
        bool(held_out),
        f"With validation_size={size}, valid_loader yields nothing.",
        "Let valid_loader yield the held-out examples in every pass.",
    )


def _shared(first: list[bytes], second: list[bytes]) -> int:
    """How many examples are in both, not counting duplicates within one of them."""
    ours, theirs = Counter(first), Counter(second)
    return sum(1 for one in ours.keys() & theirs.keys() if ours[one] == theirs[one] == 1)


def _two_passes(subject: Subject) -> dict[str, tuple[Batches, Batches]]:
    most = subject.most_batches
    return subject.memo(
        "its_batches_are_tuples_of_tensors_on_the_device",
        lambda: {
            name: (read(loader, most), read(loader, most))
            for name, loader in loaders_of(subject.data).items()
        },
        "passes",
    )


def _divided(subject: Subject) -> tuple[int, DataSet]:
    """A number of examples that can be held out, and the data set without them."""

    def divide() -> tuple[int, DataSet]:
        sizes = [batches * subject.batch_size for batches in _BATCHES_HELD_OUT]
        for size in sizes:
            try:
                return size, subject.holding_out(size)
            except ArgumentError:
                continue
        raise CheckSkippedError(f"It cannot hold out {' or '.join(map(str, sizes))} examples")

    return subject.memo("held_out_examples_are_never_trained_on", divide)
