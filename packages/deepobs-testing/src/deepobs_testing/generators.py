"""The global generators of a process: leaving them alone, and what they would give next."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepobs.runs.evaluation import undisturbed_random_state

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 1
"""What checks begin with."""

OTHER_SEED = 2
"""What they compare it with."""

UNUSUAL_SEED = 123456789
"""A seed that nothing else has: where generators have another one, somebody set it."""


@contextlib.contextmanager
def undisturbed_generators() -> Iterator[None]:
    """Let the generators of Python, NumPy and torch be afterwards as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with undisturbed_random_state():
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def next_numbers() -> dict[str, float]:
    """The next number of each global generator, by the function that gives it.

    The generators stay as they are.
    """
    with undisturbed_generators():
        return {
            "torch.rand": float(torch.rand((), device="cpu")),
            "numpy.random.random": float(np.random.random()),
            "random.random": random.random(),  # noqa: S311
        }
