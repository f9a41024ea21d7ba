"""What a check, or the code that it tries, may change without anybody else noticing."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from deepobs import config, rng
from deepobs_testing.process import process_settings, put_back

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Put back afterwards our settings, those of the process and every global generator."""
    before = process_settings()
    settings = config.temporary(num_workers=0)  # processes cost more than a few batches
    with settings, rng.preserved():
        try:
            torch.set_grad_enabled(True)
            torch.set_default_dtype(torch.float32)  # in which initial weights are drawn
            yield
        finally:
            put_back(before)
