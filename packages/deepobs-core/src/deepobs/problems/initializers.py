"""Initializers with TensorFlow 1's distributions, which differ from torch's of the same names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

Initializer: TypeAlias = Callable[[Tensor], Tensor]
"""Fills a tensor in place with random numbers from torch's global RNG."""

_CUT = 2.0
"""Where a truncated normal distribution is cut, in standard deviations before the cut."""

TRUNCATED_STANDARD_DEVIATION = 0.87962566103423978
"""Standard deviation of a standard normal variable after cutting it at -2 and 2."""


@torch.no_grad()
def truncated_normal_(tensor: Tensor, standard_deviation: float) -> Tensor:
    """Fill with a normal distribution cut at two standard deviations.

    Args:
        tensor: The tensor to fill, in place.
        standard_deviation: That of the distribution before the cut, which reduces it by the factor
            0.8796.
    """
    # The inverse distribution function takes one random number per element. torch's own
    # trunc_normal_ has drawn a number of them that depends on the release, and with it all
    # weights that are initialized later.
    probability = math.erf(_CUT / math.sqrt(2))
    bound = _CUT * standard_deviation
    tensor.uniform_(-probability, probability).erfinv_().mul_(math.sqrt(2) * standard_deviation)
    return tensor.clamp_(-bound, bound)


def glorot_normal_(tensor: Tensor, fan_sum: int | None = None) -> Tensor:
    """Fill with a truncated normal distribution whose variance is 2 / (fan in + fan out).

    Unlike with `xavier_normal_`, no value exceeds 2.27 standard deviations.

    Args:
        tensor: The tensor to fill, in place.
        fan_sum: Fan in plus fan out; `None` to compute it from the shape.
    """
    wanted = math.sqrt(2 / (fan_sum or glorot_fan_sum(tensor)))
    return truncated_normal_(tensor, wanted / TRUNCATED_STANDARD_DEVIATION)


@torch.no_grad()
def glorot_uniform_(tensor: Tensor, fan_sum: int | None = None) -> Tensor:
    """Fill with the uniform distribution on +-sqrt(6 / (fan in + fan out)).

    Args:
        tensor: The tensor to fill, in place.
        fan_sum: Fan in plus fan out; `None` to compute it from the shape.
    """
    bound = math.sqrt(6 / (fan_sum or glorot_fan_sum(tensor)))
    return tensor.uniform_(-bound, bound)


def glorot_fan_sum(tensor: Tensor) -> int:
    """Fan in plus fan out of a kernel as TensorFlow counts them.

    Args:
        tensor: A dense kernel (2 axes), a convolution or transposed convolution (3 or more axes),
            both in torch's layout; or a vector, whose length counts twice.
    """
    if tensor.ndim == 1:
        return 2 * len(tensor)
    receptive_field = math.prod(tensor.shape[2:])
    return receptive_field * (tensor.shape[0] + tensor.shape[1])
