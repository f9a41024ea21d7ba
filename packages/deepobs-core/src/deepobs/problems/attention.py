"""By which of torch's kernels attention is computed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from torch.nn.attention import SDPBackend, sdpa_kernel

from deepobs import config

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor

_FEW = 32


def suitable_kernels(tokens: Tensor) -> AbstractContextManager[None]:
    """Choose how `F.scaled_dot_product_attention` computes attention.

    Args:
        tokens: What attends to each other, shape (..., tokens, features).

    Returns:
        The context in which to call it.
    """
    device = tokens.device
    # The fast kernel of a CPU gains nothing with few tokens, and cannot be stacked in a pack; those
    # of a GPU sum gradients in any order, so that two runs would differ.
    is_plain = tokens.shape[-2] <= _FEW if device.type == "cpu" else config.get_is_deterministic()
    plain: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return plain if is_plain else contextlib.nullcontext()
