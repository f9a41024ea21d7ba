"""Seeds of checks, and the next numbers of the global RNGs."""

from __future__ import annotations

import random

import numpy as np
import torch

from deepobs import rng

SEED = 1
"""What checks begin with."""

OTHER_SEED = 2
"""What they compare it with."""

UNUSUAL_SEED = 123456789
"""A seed that nothing else has: where generators have another one, somebody set it."""


def next_numbers() -> dict[str, float]:
    """The next number of each global generator, by the function that gives it.

    The generators stay as they are.
    """
    with rng.preserved():
        return {
            "torch.rand": float(torch.rand((), device="cpu")),
            "numpy.random.random": float(np.random.random()),
            "random.random": random.random(),  # noqa: S311
        }
