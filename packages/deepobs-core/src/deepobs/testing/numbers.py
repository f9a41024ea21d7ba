"""Numbers that computers may get a little different, and how messages write them."""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCE = 1e-4
"""Relative; sums of a million float32 in another order differ by less."""


def close(first: Tensor, second: Tensor, tolerance: float = TOLERANCE) -> bool:
    """Whether two tensors are equal but for rounding; entries may differ by a part of the largest.

    Args:
        first: Any floating-point tensor.
        second: One of the same shape.
        tolerance: How much of the largest entry they may differ by.
    """
    if first.shape != second.shape:
        return False
    first, second = first.detach().double(), second.detach().double()
    scale = max(float(second.abs().max()), 1e-6) if second.numel() else 0.0
    return bool(torch.allclose(first, second, rtol=0.0, atol=tolerance * scale))


def listed(values: Tensor, most: int = 4) -> str:
    """The first values of a tensor, as a message writes them."""
    numbers = [f"{value:.6g}" for value in values.detach().flatten()[:most].double().tolist()]
    if values.ndim == 0:
        return numbers[0]
    more = ", ..." if values.numel() > most else ""
    return f"[{', '.join(numbers)}{more}]"
