"""The batches that a data set yields."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import torch

from deepobs_testing import fake_data, loaders
from deepobs_testing.generators import OTHER_SEED, SEED
from deepobs_testing.held_out import (
    require_disjoint,
    require_no_test_examples,
    require_same_evaluation,
    require_same_examples,
    validation_size_for,
)
from deepobs_testing.verdicts import require, skip

if TYPE_CHECKING:
    from deepobs.protocols import DataSet
    from deepobs_testing.datasets.subject import Subject
    from deepobs_testing.loaders import Seen


def its_batches_are_tuples_of_tensors_on_the_device(subject: Subject) -> None:
    """A loader yields one tuple of tensors a batch, on the device that was asked for."""
    for name, loader in loaders.loaders_by_name(subject.data).items():
        loaders.require_tuples_of_tensors(loader, name, torch.device("cpu"))


def its_batches_have_the_size_that_is_asked_for(subject: Subject) -> None:
    """A training batch has `batch_size` examples."""
    size = len(next(iter(subject.data.train_loader))[0])
    require(
        size == subject.data.batch_size == subject.batch_size,
        f"With batch_size={subject.batch_size}, a training batch has {size} examples, and the "
        f"attribute batch_size is {subject.data.batch_size}.",
        "Keep to the batch size, or refuse it with deepobs.errors.ArgumentError.",
    )


def its_loaders_are_sized_and_can_be_read_again(subject: Subject) -> None:
    """Every pass over a loader has as many batches as its length says."""
    loaders.require_sizes(subject.data, _passes(subject))


def its_batches_have_one_shape_and_type(subject: Subject) -> None:
    """All batches of all splits are alike, but for a last, smaller one of evaluation."""
    loaders.require_constant_layout(_passes(subject))


def its_evaluation_batches_are_the_same_in_every_pass(subject: Subject) -> None:
    """Evaluation neither shuffles nor augments."""
    loaders.require_equal_passes(_passes(subject))


def what_is_evaluated_is_the_same_for_every_seed(subject: Subject) -> None:
    """Neither the test set nor the fixed part of the training set depends on the seed of a run."""
    other = subject.build(seed=OTHER_SEED)
    require_same_evaluation(subject.data, other, (SEED, OTHER_SEED))


def a_remainder_is_dropped_or_kept_as_asked(subject: Subject) -> None:
    """With `drop_remainder`, evaluation has full batches only; without it, all examples."""
    subject.data  # noqa: B018 # what has no loaders has no remainder
    for size in (subject.batch_size, subject.batch_size + 1, subject.batch_size + 3):
        dropping, keeping = (
            subject.build(size, drop_remainder=drops).test_loader for drops in (True, False)
        )
        first = loaders.layout_of(next(iter(dropping)))
        if len(dropping) <= loaders.MOST_BATCHES:
            smaller = [b for b in dropping if loaders.layout_of(b) != first]
            require(
                not smaller,
                f"With batch_size={size} and drop_remainder=True, test_loader yields a batch of "
                f"{len(smaller[-1][0]) if smaller else 0} examples.",
                "Leave the last, smaller batch out.",
            )
        require(
            len(keeping) - len(dropping) in (0, 1),
            f"With batch_size={size}, test_loader has {len(dropping)} batches with "
            f"drop_remainder=True and {len(keeping)} with False; they may differ by one.",
            "Let drop_remainder decide about the last, smaller batch only.",
        )
        if len(keeping) > len(dropping):
            return
    require(
        False,
        f"With drop_remainder=False, the last, smaller batch of test_loader is left out for every "
        f"batch size from {subject.batch_size} to {subject.batch_size + 3} that was tried.",
        "Yield it: full_evaluation depends on it.",
    )


def test_examples_are_never_trained_on(subject: Subject) -> None:
    """Neither training batches nor those that the training loss is measured on hold them."""
    require_no_test_examples(subject.data)


def held_out_examples_are_never_trained_on(subject: Subject) -> None:
    """With a validation size, the held-out examples are no training examples."""
    size, divided = _divided(subject)
    require_disjoint(subject.data, divided, size)


def held_out_examples_are_the_same_for_every_seed(subject: Subject) -> None:
    """What is held out does not depend on the seed of a run."""
    size, divided = _divided(subject)
    other = subject.build(validation_size=size, seed=OTHER_SEED)
    require_same_examples(divided, other, (SEED, OTHER_SEED))


def the_order_of_training_follows_the_seed(subject: Subject) -> None:
    """The same seed gives the same batches, another seed another order."""
    first, again, other = (_order(subject, seed) for seed in (SEED, SEED, OTHER_SEED))
    require(
        first == again,
        f"Built twice with the seed {SEED}, the training batches differ.",
        "Seed the generator of the order from torch's global one, as "
        "deepobs.data.BaseDataSet.generator is.",
    )
    if first[0] == other[0] == first[1]:
        skip("It is read in the order in which it lies")
    require(
        first[0] != other[0],
        f"The seeds {SEED} and {OTHER_SEED} give the same order of training examples.",
        "Seed the generator of the order from torch's global one: runs with several seeds are to "
        "see the data in several orders.",
    )


def every_pass_has_a_new_order(subject: Subject) -> None:
    """Training examples are shuffled again for every pass."""
    first, other = (_order(subject, seed) for seed in (SEED, OTHER_SEED))
    if first[0] == other[0] == first[1]:
        skip("It is read in the order in which it lies")
    require(
        first[0] != first[1],
        "The second pass over train_loader has the order of the first.",
        "Draw a new order in __iter__, unless reshuffle=False was asked for.",
    )


def reshuffle_false_keeps_the_order(subject: Subject) -> None:
    """With `reshuffle=False`, where it is known, all passes have the order of the first."""
    if "reshuffle" not in inspect.signature(subject.factory).parameters:
        skip("Its constructor does not know reshuffle, which is optional")
    first, second = _order(subject, SEED, reshuffle=False)
    require(
        first == second,
        "With reshuffle=False, the second pass over train_loader has another order.",
        "Keep the order of the first pass: runs that repeat published curves ask for it.",
    )


def its_fake_twin_has_the_same_shapes(subject: Subject) -> None:
    """Synthetic data have the shapes and types of the real ones, where those are here."""
    if getattr(subject.data, "is_fake", subject.fraction is not None):
        skip("The real data are not here to compare with")
    with fake_data.in_force(fake_data.FRACTION):
        twin = subject.build()
    if not getattr(twin, "is_fake", False):
        skip("It has no synthetic twin, or does not say so in is_fake")
    real, fake = (loaders.layout_of(next(iter(one.train_loader))) for one in (subject.data, twin))
    require(
        real == fake,
        f"Real batches have tensors of {loaders.written(real)}, synthetic ones "
        f"{loaders.written(fake)}.",
        "Let make_fake return what load would, with other numbers.",
    )


def it_works_on_the_accelerator(subject: Subject) -> None:
    """With the device of the machine's accelerator, all batches are there."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        skip("This machine has no accelerator that torch can use")
    data = subject.build(device=str(accelerator))
    for name, loader in loaders.loaders_by_name(data).items():
        loaders.require_tuples_of_tensors(loader, name, accelerator)


def _passes(subject: Subject) -> dict[str, tuple[list[Seen], list[Seen]]]:
    return subject.memo(
        "its_batches_are_tuples_of_tensors_on_the_device",
        lambda: loaders.two_passes(subject.data),
        "passes",
    )


def _divided(subject: Subject) -> tuple[int, DataSet]:
    """A number of examples that can be held out, and the data set that does so."""

    def divide() -> tuple[int, DataSet]:
        size = validation_size_for(
            subject.batch_size, lambda size: subject.build(validation_size=size)
        )
        return size, subject.build(validation_size=size)

    return subject.memo("held_out_examples_are_never_trained_on", divide)


def _order(subject: Subject, seed: int, **further: bool) -> list[list[bytes]]:
    """What tells the order of two training passes: the labels, which augmentation leaves alone."""
    loader = subject.build(seed=seed, **further).train_loader
    return [loaders.last_tensors_of(loader) for _ in range(2)]
