"""Reading loaders: their batches, layouts, and hashes of examples."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from deepobs.protocols import Loader
from deepobs_testing._report import require

if TYPE_CHECKING:
    from deepobs.protocols import Batch, DataSet

MOST_BATCHES = 300
"""Checks read at most this many batches of a pass."""

# Enough to tell the order of a pass. Checks of a problem read no more of a registered data set,
# which is checked separately.
FEW_BATCHES = 30

LOADERS = ("train_loader", "train_eval_loader", "valid_loader", "test_loader")

Layout: TypeAlias = "tuple[tuple[tuple[int, ...], torch.dtype, torch.device], ...]"
"""Shape, type and device of each tensor of a batch."""

Batches: TypeAlias = "list[tuple[Layout, bytes]]"
"""The layout and a hash of the content of each batch."""


def require_loaders(data: DataSet) -> None:
    """Fail the check unless a data set has the loaders of the protocol."""
    for name in LOADERS:
        loader = getattr(data, name)
        require(
            isinstance(loader, Loader) or (loader is None and name == "valid_loader"),
            f"{name} of the data set is {loader!r:.100}, which has no length or cannot be "
            "iterated.",
            "Give it __len__ and __iter__, like torch.utils.data.DataLoader.",
        )


def loaders_of(data: DataSet) -> dict[str, Loader]:
    """The loaders that a data set has, by name."""
    loaders = {name: getattr(data, name) for name in LOADERS}
    return {name: loader for name, loader in loaders.items() if loader is not None}


def require_tuples_of_tensors(data: DataSet, device: torch.device) -> None:
    """Fail the check unless loaders yield tuples of tensors of equal length on the device."""
    for name, loader in loaders_of(data).items():
        batch: Any = next(iter(loader))
        require(
            isinstance(batch, tuple) and bool(batch) and all(isinstance(t, Tensor) for t in batch),
            f"{name} yields a {type(batch).__name__}: {batch!r:.100}; expected is a tuple of "
            "tensors.",
            "Yield (inputs, labels) as a tuple, also for a single tensor: (inputs,). A torch "
            "DataLoader yields lists, unless its collate_fn returns a tuple.",
        )
        sizes = [len(tensor) if tensor.ndim else 0 for tensor in batch]
        require(
            len(set(sizes)) == 1 and sizes[0] > 0,
            f"The tensors of a batch of {name} have the lengths {sizes}; expected is the same "
            "number of examples for all.",
            "Let the first dimension of every tensor be that of the examples.",
        )
        elsewhere = {str(tensor.device) for tensor in batch if tensor.device.type != device.type}
        require(
            not elsewhere,
            f"{name} yields tensors on {', '.join(elsewhere)}, but the requested device is "
            f"{device}.",
            "Let loaders move batches to the device.",
        )


def read(loader: Loader, most: int) -> Batches:
    """Read a pass, or its first `most` batches."""
    return [(layout_of(batch), _digest(batch)) for batch in islice(loader, most)]


def examples_of(loader: Loader, most: int = MOST_BATCHES) -> list[bytes]:
    """A hash of every example of the first `most` batches of a pass."""
    return [
        _digest(tuple(tensor[row] for tensor in batch))
        for batch in islice(loader, most)
        for row in range(len(batch[0]))
    ]


def last_tensors_of(loader: Loader) -> list[bytes]:
    """A hash of the last tensor of each of the first `FEW_BATCHES` of a pass."""
    return [_digest(batch[-1:]) for batch in islice(loader, FEW_BATCHES)]


def layout_of(batch: Batch) -> Layout:
    """Shape, type and device of each tensor of a batch."""
    return tuple((tuple(t.shape), t.dtype, t.device) for t in batch)


def written(layout: Layout) -> str:
    """A layout in messages."""
    return ", ".join(f"{shape} {str(dtype).removeprefix('torch.')}" for shape, dtype, _ in layout)


def is_smaller(layout: Layout, full: Layout) -> bool:
    """Whether a batch differs from a full one only in having fewer or shorter examples."""
    return len(layout) == len(full) and all(
        mine[1:] == theirs[1:]
        and len(mine[0]) == len(theirs[0])
        and all(a <= b for a, b in zip(mine[0], theirs[0], strict=True))
        for mine, theirs in zip(layout, full, strict=True)
    )


def _digest(tensors: tuple[Tensor, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous().flatten()
        # As bytes, since NumPy has no bfloat16.
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.digest()
