"""What a check, or the code that it tries, may change without anybody else noticing."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepobs import config
from deepobs.runs.evaluation import undisturbed_random_state

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Put back afterwards our settings, torch's and the state of every global generator."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    default_dtype = torch.get_default_dtype()
    default_device = torch.get_default_device()
    threads = torch.get_num_threads()
    cudnn = torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    algorithms = torch.are_deterministic_algorithms_enabled()
    settings = config.temporary(num_workers=0)  # processes cost more than a few batches
    with settings, undisturbed_random_state(), torch.enable_grad():
        try:
            torch.set_default_dtype(torch.float32)  # in which initial weights are drawn
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
            torch.set_default_dtype(default_dtype)
            if torch.get_default_device() != default_device:
                torch.set_default_device(default_device)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            cudnn.deterministic, cudnn.benchmark = flags
            torch.use_deterministic_algorithms(algorithms)
