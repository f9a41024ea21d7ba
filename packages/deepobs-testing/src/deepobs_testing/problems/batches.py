"""The batches that the data set of a test problem yields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepobs.runs.assembly import unknown_options
from deepobs_testing import loaders
from deepobs_testing.generators import OTHER_SEED, SEED
from deepobs_testing.held_out import (
    require_disjoint,
    require_no_test_examples,
    require_same_evaluation,
    require_same_examples,
    validation_size_for,
)
from deepobs_testing.verdicts import skip

if TYPE_CHECKING:
    from deepobs.protocols import DataSet
    from deepobs_testing.loaders import Seen
    from deepobs_testing.problems.subject import Subject

_UNKNOWN = "Its constructor does not know validation_size, which is optional"


def its_loaders_are_sized_and_can_be_read_again(subject: Subject) -> None:
    """Every pass over a loader has as many batches as its length says."""
    loaders.require_sizes(subject.problem.dataset, _passes(subject), _most(subject))


def its_batches_are_tuples_of_tensors_on_the_device(subject: Subject) -> None:
    """A loader yields one tuple of tensors a batch, on the device that was asked for."""
    for name, loader in loaders.loaders_by_name(subject.at_start().dataset).items():
        loaders.require_tuples_of_tensors(loader, name, torch.device("cpu"))


def its_batches_have_one_shape_and_type(subject: Subject) -> None:
    """All batches of all splits are alike, but for a last, smaller one of evaluation."""
    loaders.require_constant_layout(_passes(subject))


def its_evaluation_batches_are_the_same_in_every_pass(subject: Subject) -> None:
    """Evaluation neither shuffles nor augments."""
    loaders.require_equal_passes(_passes(subject))


def what_is_evaluated_is_the_same_for_every_seed(subject: Subject) -> None:
    """Neither the test set nor the fixed part of the training set depends on the seed of a run."""
    first, other = subject.at_start().dataset, subject.other.dataset
    require_same_evaluation(first, other, (SEED, OTHER_SEED), _most(subject))


def test_examples_are_never_trained_on(subject: Subject) -> None:
    """Neither training batches nor those that the training loss is measured on hold them."""
    require_no_test_examples(subject.at_start().dataset, _most(subject))


def held_out_examples_are_never_trained_on(subject: Subject) -> None:
    """With a validation size, the held-out examples are no training examples."""
    size, divided = _divided(subject)
    require_disjoint(subject.at_start().dataset, divided, size, _most(subject))


def held_out_examples_are_the_same_for_every_seed(subject: Subject) -> None:
    """What is held out does not depend on the seed of a run."""
    size, divided = _divided(subject)
    other = _dataset(subject, size, seed=OTHER_SEED)
    require_same_examples(divided, other, (SEED, OTHER_SEED))


def _passes(subject: Subject) -> dict[str, tuple[list[Seen], list[Seen]]]:
    return subject.memo(
        "its_batches_are_tuples_of_tensors_on_the_device",
        lambda: loaders.two_passes(subject.at_start().dataset, _most(subject)),
        "passes",
    )


def _most(subject: Subject) -> int:
    """How many batches to look at."""
    is_checked_by_itself = subject.dataset_class is not None
    return loaders.FEW_BATCHES if is_checked_by_itself else loaders.MOST_BATCHES


def _divided(subject: Subject) -> tuple[int, DataSet]:
    """A number of examples that can be held out, and the data set that does so."""

    def divide() -> tuple[int, DataSet]:
        if unknown_options(subject.factory, ["validation_size"]):
            skip(_UNKNOWN)
        try:
            size = validation_size_for(subject.batch_size, lambda size: _dataset(subject, size))
        except TypeError as error:  # it hands any argument on to a constructor that refuses it
            if "validation_size" not in str(error):
                raise
            skip(_UNKNOWN)
        return size, _dataset(subject, size)

    return subject.memo("held_out_examples_are_never_trained_on", divide)


def _dataset(subject: Subject, validation_size: int, seed: int = SEED) -> DataSet:
    return subject.dataset_holding_out(validation_size, seed)
