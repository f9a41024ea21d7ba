"""What the global generators would give next."""

from __future__ import annotations

import random

import numpy as np
import torch


def next_numbers() -> dict[str, float]:
    """The next number of each global generator, by the function that gives it.

    The generators stay as they are.
    """
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=()):
        found = {
            "torch.rand": float(torch.rand((), device="cpu")),
            "numpy.random.random": float(np.random.random()),
            "random.random": random.random(),  # noqa: S311
        }
    random.setstate(states[0])
    np.random.set_state(states[1])
    return found
