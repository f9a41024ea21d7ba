"""What is held out for validation: never trained on, and the same for every seed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError
from deepobs_testing.loaders import MOST_BATCHES, examples_of
from deepobs_testing.verdicts import CheckFailedError, require, skip

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepobs.protocols import DataSet

_SHARE = 0.2
"""Of the test examples. Fewer may be there twice by chance, such as in tables of few values."""

_SIZES = (2, 20, 500)
"""Batches to hold out: a data set may count something smaller than examples, such as characters."""


def validation_size_for(batch_size: int, make: Callable[[int], Any]) -> int:
    """A number of examples that can be held out.

    Args:
        batch_size: Examples a batch.
        make: Makes a data set that holds out so many.
    """
    sizes = [batches * batch_size for batches in _SIZES]
    found = next((size for size in sizes if _can_be_made(make, size)), None)
    if found is None:
        skip(f"It cannot hold out any of {', '.join(map(str, sizes))} examples")
    return found


def require_no_test_examples(data: DataSet, most: int = MOST_BATCHES) -> None:
    """Let the check fail if examples of the test set are trained on.

    Args:
        data: A data set.
        most: How many batches of each loader to look at.
    """
    tests = examples_of(data.test_loader, most)
    for name in ("train_loader", "train_eval_loader"):
        loader = getattr(data, name)
        shared = _alone_in_both(examples_of(loader, most), tests)
        # Of what is shuffled and longer than looked at, only a part can have been seen.
        seen = len(tests) * min(1.0, most / len(loader))
        require(
            shared < data.batch_size or shared < _SHARE * seen,
            f"{shared} of {len(tests)} examples that test_loader yields come from {name}, too.",
            "Take the test examples out of the training set. Where test and training set are the "
            "same on purpose, leave this check out.",
        )


def _alone_in_both(some: list[bytes], others: list[bytes]) -> int:
    """How many examples are in both, leaving out those that are there several times anyway."""
    first, second = Counter(some), Counter(others)
    return sum(1 for one in first.keys() & second.keys() if first[one] == second[one] == 1)


def require_disjoint(
    whole: DataSet, divided: DataSet, validation_size: int, most: int = MOST_BATCHES
) -> None:
    """Let the check fail if examples are held out and trained on.

    Args:
        whole: A data set that holds out nothing.
        divided: The same, holding out some.
        validation_size: How many.
        most: How many batches of each loader to look at.
    """
    require(
        divided.valid_loader is not None,
        f"With validation_size={validation_size}, valid_loader is None.",
        "Let valid_loader yield the examples that are held out.",
    )
    held_out = examples_of(divided.valid_loader, most)  # type: ignore[arg-type] # just asked
    require(
        bool(held_out),
        f"With validation_size={validation_size}, valid_loader yields nothing.",
        "Let valid_loader yield the examples that are held out, in every pass.",
    )
    tests = _alone_in_both(held_out, examples_of(divided.test_loader, most))
    require(
        tests < whole.batch_size or tests < _SHARE * len(held_out),
        f"With validation_size={validation_size}, {tests} of {len(held_out)} examples that "
        "valid_loader yields are test examples.",
        "Hold out a part of the training set: what hyperparameters are chosen on must not be "
        "tested on.",
    )
    require(
        len(held_out) <= validation_size,
        f"With validation_size={validation_size}, valid_loader yields {len(held_out)} examples.",
        "Hold out as many examples as are asked for.",
    )
    shared = set(held_out) & {
        *examples_of(divided.train_loader, most),
        *examples_of(divided.train_eval_loader, most),
    }
    occurrences = Counter(examples_of(whole.train_loader, most)) if shared else Counter()
    # Examples that the data hold several times may be on both sides. A remainder is dropped.
    leaked = [one for one in shared if occurrences[one] <= 1]
    require(
        len(leaked) < whole.batch_size,
        f"With validation_size={validation_size}, {len(leaked)} of {len(held_out)} examples that "
        "valid_loader holds out are trained on, too.",
        "Take the held-out examples out of train_loader and train_eval_loader.",
    )


def require_same_evaluation(
    first: DataSet, second: DataSet, seeds: tuple[int, int], most: int = MOST_BATCHES
) -> None:
    """Let the check fail unless two seeds evaluate on the same examples.

    Args:
        first: A data set.
        second: The same from another seed.
        seeds: Both.
        most: How many batches of each loader to look at.
    """
    for name in ("train_eval_loader", "test_loader"):
        one, other = (set(examples_of(getattr(data, name), most)) for data in (first, second))
        require(
            one == other,
            f"With the seeds {seeds[0]} and {seeds[1]}, {len(one - other)} of {len(one)} examples "
            f"of {name} differ.",
            "Draw what is evaluated on by a fixed seed of its own: numbers of several seeds would "
            "not compare.",
        )


def require_same_examples(first: DataSet, second: DataSet, seeds: tuple[int, int]) -> None:
    """Let the check fail unless two seeds hold out the same examples.

    Args:
        first: A data set that holds out examples.
        second: The same from another seed.
        seeds: Both.
    """
    if first.valid_loader is None or second.valid_loader is None:
        raise CheckFailedError("valid_loader is None although examples are to be held out.")
    one, other = (set(examples_of(data.valid_loader)) for data in (first, second))  # type: ignore[arg-type]
    require(
        bool(one),
        "A pass over valid_loader yields nothing.",
        "Let valid_loader yield the examples that are held out, in every pass.",
    )
    require(
        one == other,
        f"With the seeds {seeds[0]} and {seeds[1]}, {len(one - other)} of {len(one)} held-out "
        "examples differ.",
        "Divide the data by a fixed seed of their own: what is held out while hyperparameters are "
        "tuned must never be trained on in a run of another seed.",
    )


def _can_be_made(make: Callable[[int], Any], size: int) -> bool:
    try:
        make(size)
    except ArgumentError:
        return False
    return True
