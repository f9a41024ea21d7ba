"""Comparing tensors, up to rounding or bit for bit, and writing them in messages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs.protocols import Batch

# Relative; sums of a million float32 in another order differ by less.
TOLERANCE = 1e-4

ROUNDING_OF_GRADIENTS = 1e-3
"""Relative to the norm of a gradient that is computed in two ways."""

# So many may add up for types that are coarser than the tolerance, such as bfloat16.
_ROUNDINGS = 4


def close(first: Tensor, second: Tensor, *sources: Tensor, tolerance: float = TOLERANCE) -> bool:
    """Whether two tensors are equal up to rounding, relative to the largest entry.

    The tolerance is larger if a type is coarser, also that of `sources`, of which they are
    functions.
    """
    if first.shape != second.shape:
        return False
    coarseness = max(torch.finfo(tensor.dtype).eps for tensor in (first, second, *sources))
    tolerance = max(tolerance, _ROUNDINGS * coarseness)
    first, second = first.detach().double(), second.detach().double()
    scale = max(float(second.abs().max()), 1e-6) if second.numel() else 0.0
    return bool(torch.allclose(first, second, rtol=0.0, atol=tolerance * scale))


def relative_distance(found: Tensor, expected: Tensor) -> float:
    """The norm of the difference as a fraction of that of what is expected, infinite if it is 0."""
    distance, norm = (float(torch.linalg.vector_norm(one)) for one in (found - expected, expected))
    if norm == 0:
        return math.inf if distance else 0.0
    return distance / norm


def rounding_of(gradient: Tensor, tolerance: float = ROUNDING_OF_GRADIENTS) -> float:
    """How much of its norm rounding explains: ten units in the last place of coarser types."""
    return max(tolerance, 10 * torch.finfo(gradient.dtype).eps)


def same(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors hold the same numbers bit for bit; NaN equals NaN."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    first, second = first.detach(), second.detach()
    return bool(((first == second) | ((first != first) & (second != second))).all())


def different(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> list[str]:
    """The names of tensors that differ, or that only one of two mappings has."""
    common = [name for name in first if name in second]
    unmatched = first.keys() ^ second.keys()
    return [*unmatched, *(name for name in common if not same(first[name], second[name]))]


def same_numbers(first: list[float], second: list[float]) -> bool:
    """Whether two lists hold the same numbers; NaN equals NaN."""
    return same(torch.tensor(first), torch.tensor(second))


def listed(values: Tensor, most: int = 4) -> str:
    """The first values of a tensor in messages."""
    numbers = [f"{value:.6g}" for value in values.detach().flatten()[:most].double().tolist()]
    if values.ndim == 0:
        return numbers[0]
    more = ", ..." if values.numel() > most else ""
    return f"[{', '.join(numbers)}{more}]"


def in_double(batch: Batch) -> Batch:
    """A batch whose floating-point numbers are float64."""
    # Not a copy without need: a recurrent problem recognizes the first batch of a pass.
    if not any(tensor.is_floating_point() for tensor in batch):
        return batch
    return tuple(t.double() if t.is_floating_point() else t for t in batch)
