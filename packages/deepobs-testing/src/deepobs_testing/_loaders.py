"""What holds for the loaders of every data set, whether a problem has it or it is checked alone."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from deepobs.errors import ArgumentError
from deepobs.protocols import Loader
from deepobs.runs.lengths import loaders_of
from deepobs_testing._report import CheckFailedError, require, skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepobs.protocols import Batch, DataSet


MOST_BATCHES = 300
"""Of longer passes only this much is looked at."""

FEW_BATCHES = 30
"""So many tell the order of a pass. With a problem, no more are looked at of a data set that is
registered, and so checked by itself."""

_NAMES = ("train_loader", "train_eval_loader", "valid_loader", "test_loader")
_OF_EVALUATION = _NAMES[1:]


Layout: TypeAlias = "tuple[tuple[tuple[int, ...], torch.dtype, torch.device], ...]"
"""Shape, type and device of each tensor of a batch."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a batch.

    Attributes:
        layout: Shape, type and device of each tensor.
        digest: A hash of their content.
    """

    layout: Layout
    digest: bytes


def require_loaders(data: DataSet) -> None:
    """Let the check fail unless a data set has the loaders of the protocol."""
    for name in _NAMES:
        loader = getattr(data, name)
        require(
            isinstance(loader, Loader) or (loader is None and name == "valid_loader"),
            f"{name} of the data set is {loader!r:.100}, which has no length or cannot be "
            "iterated.",
            "Give it __len__ and __iter__, as torch.utils.data.DataLoader has them.",
        )


def loaders_by_name(data: DataSet) -> dict[str, Loader]:
    """The loaders that there are."""
    return {f"{split}_loader": loader for split, loader in loaders_of(data).items()}


def two_passes(data: DataSet, most: int = MOST_BATCHES) -> dict[str, tuple[list[Seen], list[Seen]]]:
    """Two passes over every loader, or their first batches.

    Args:
        data: The data set.
        most: How many batches to look at.
    """
    return {
        name: (list(map(_seen, _pass(loader, most))), list(map(_seen, _pass(loader, most))))
        for name, loader in loaders_by_name(data).items()
    }


def require_sizes(
    data: DataSet, passes: dict[str, tuple[list[Seen], list[Seen]]], most: int = MOST_BATCHES
) -> None:
    """Let the check fail unless passes are as long as their loader says, the second one, too.

    Args:
        data: The data set.
        passes: What `two_passes` returned.
        most: How many batches were looked at.
    """
    for name, both in passes.items():
        said = len(getattr(data, name))
        for which, seen in zip(("first", "second"), both, strict=True):
            require(
                len(seen) == min(said, most) and said > 0,
                f"len({name}) is {said}, but the {which} pass has "
                f"{len(seen)}{' or more' if len(seen) == most else ''} batches; a pass "
                "must have as many as the length says, at least one, and every pass the same.",
                "Let __len__ count the batches, and __iter__ begin anew each time: a generator "
                "or iterator is used up after one pass.",
            )


def require_tuples_of_tensors(loader: Loader, name: str, device: torch.device) -> None:
    """Let the check fail unless a batch is a tuple of tensors with examples, on the device."""
    batch: Any = next(iter(loader))
    require(
        isinstance(batch, tuple) and bool(batch) and all(isinstance(t, Tensor) for t in batch),
        f"{name} yields a {type(batch).__name__}: {batch!r:.100}; expected is a tuple of tensors.",
        "Yield (inputs, labels) as a tuple, also where there is only one tensor: (inputs,). A "
        "torch DataLoader yields lists, unless its collate_fn returns a tuple.",
    )
    sizes = [len(tensor) if tensor.ndim else 0 for tensor in batch]
    require(
        len(set(sizes)) == 1 and sizes[0] > 0,
        f"The tensors of a batch of {name} have the lengths {sizes}; expected is one number of "
        "examples for all.",
        "Let the first dimension of every tensor count the examples.",
    )
    elsewhere = {str(tensor.device) for tensor in batch if tensor.device.type != device.type}
    require(
        not elsewhere,
        f"{name} yields tensors on {', '.join(elsewhere)}, but the device asked for is {device}.",
        "Move the data to the device: loaders yield batches that are there already.",
    )


def require_constant_layout(passes: dict[str, tuple[list[Seen], list[Seen]]]) -> None:
    """Let the check fail unless all batches have one layout, but for the last of evaluation."""
    first = passes["train_loader"][0][0].layout
    for name, (seen, _) in passes.items():
        for number, one in enumerate(seen, start=1):
            may_be_smaller = name in _OF_EVALUATION and number == len(seen)
            is_right = one.layout == first or (may_be_smaller and _is_smaller(one, first))
            require(
                is_right,
                f"Batch {number} of {name} has tensors of {written(one.layout)}, but the first "
                f"training batch has {written(first)}.",
                "Give all batches of all splits one shape and type; only the last batch of an "
                "evaluation may be smaller. A torch DataLoader leaves it out with "
                "drop_last=True.",
            )


def require_equal_passes(passes: dict[str, tuple[list[Seen], list[Seen]]]) -> None:
    """Let the check fail unless evaluation loaders yield the same in every pass."""
    for name in _OF_EVALUATION:
        if name not in passes:
            continue
        for number, (one, other) in enumerate(zip(*passes[name], strict=False), start=1):
            require(
                one.digest == other.digest,
                f"Batch {number} of {name} is another one in the second pass.",
                "Neither shuffle nor augment what is evaluated on: results would not compare.",
            )


def examples_of(loader: Loader, most: int = MOST_BATCHES) -> list[bytes]:
    """A hash of every example of a pass, or of its first batches."""
    return [
        _digest(tuple(tensor[row] for tensor in batch))
        for batch in _pass(loader, most)
        for row in range(len(batch[0]))
    ]


def last_tensors_of(loader: Loader) -> list[bytes]:
    """A hash of the last tensor of each of the first `FEW_BATCHES` of a pass."""
    return [_digest(batch[-1:]) for batch in _pass(loader, FEW_BATCHES)]


def layout_of(batch: Batch) -> Layout:
    """Shape, type and device of each tensor of a batch."""
    return tuple((tuple(t.shape), t.dtype, t.device) for t in batch)


def written(layout: Layout) -> str:
    """A layout as messages write it."""
    return ", ".join(f"{shape} {str(dtype).removeprefix('torch.')}" for shape, dtype, _ in layout)


def _pass(loader: Loader, most: int = MOST_BATCHES) -> Iterator[Batch]:
    return itertools.islice(iter(loader), most)


def _seen(batch: Batch) -> Seen:
    return Seen(layout_of(batch), _digest(batch))


def _digest(tensors: tuple[Tensor, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.digest()


def _is_smaller(one: Seen, full: Layout) -> bool:
    """Whether a last batch has fewer examples, or shorter ones."""
    return len(one.layout) == len(full) and all(
        mine[1:] == theirs[1:]
        and len(mine[0]) == len(theirs[0])
        and all(a <= b for a, b in zip(mine[0], theirs[0], strict=True))
        for mine, theirs in zip(one.layout, full, strict=True)
    )


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
