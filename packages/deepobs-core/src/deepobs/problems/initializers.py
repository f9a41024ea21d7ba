"""Initialisers with TensorFlow 1's distributions, which differ from torch's of the same names."""

from __future__ import annotations

import math

from torch import Tensor, nn

TRUNCATED_STANDARD_DEVIATION = 0.87962566103423978
"""Standard deviation of a standard normal variable after cutting it at -2 and 2."""


def truncated_normal_(tensor: Tensor, standard_deviation: float) -> Tensor:
    """Fill with a normal distribution cut at two standard deviations.

    torch's own function cuts at the absolute values -2 and 2 unless told otherwise.

    Args:
        tensor: What to fill, in place.
        standard_deviation: That of the distribution before it is cut; afterwards it is smaller by
            the factor 0.8796.
    """
    bound = 2 * standard_deviation
    return nn.init.trunc_normal_(tensor, std=standard_deviation, a=-bound, b=bound)


def glorot_normal_(tensor: Tensor, fan_in: int, fan_out: int) -> Tensor:
    """Fill with a truncated normal distribution whose variance is 2 / (fan_in + fan_out).

    Unlike `xavier_normal_` no value is farther from 0 than 2.27 standard deviations.

    Args:
        tensor: What to fill, in place.
        fan_in: Number of inputs that one output depends on.
        fan_out: Number of outputs that one input acts on.
    """
    wanted = math.sqrt(2 / (fan_in + fan_out))
    return truncated_normal_(tensor, wanted / TRUNCATED_STANDARD_DEVIATION)


def glorot_uniform_(tensor: Tensor, fan_in: int, fan_out: int) -> Tensor:
    """Fill with the uniform distribution on +-sqrt(6 / (fan_in + fan_out)).

    Args:
        tensor: What to fill, in place.
        fan_in: Number of inputs that one output depends on.
        fan_out: Number of outputs that one input acts on.
    """
    bound = math.sqrt(6 / (fan_in + fan_out))
    return nn.init.uniform_(tensor, -bound, bound)
