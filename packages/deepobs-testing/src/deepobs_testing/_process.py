"""Isolating checks from each other: settings of the process, and the global RNGs."""

from __future__ import annotations

import contextlib
import os
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deepobs import config, rng
from deepobs_testing._report import skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEED = 1
"""The seed of the instance that checks share."""

OTHER_SEED = 2
"""The seed of the instance that they compare it with."""

# A seed that no other code uses: an RNG with a different one afterwards was seeded by the code.
UNUSUAL_SEED = 123456789

_PREFIX = "DEEPOBS_"


def _variables() -> dict[str, str]:
    # Only ours: libraries set environment variables of theirs when they are imported.
    return {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}


def _set_variables(variables: dict[str, str]) -> None:
    for name in _variables().keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def _cudnn(name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    cudnn = torch.backends.cudnn
    return lambda: getattr(cudnn, name), lambda value: setattr(cudnn, name, value)


_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's default type": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's deterministic algorithms": (
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    ),
    "torch's anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "torch's precision of matrix products": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "torch.backends.cudnn.deterministic": _cudnn("deterministic"),
    "torch.backends.cudnn.benchmark": _cudnn("benchmark"),
    "the current directory": (lambda: os.path.realpath("."), os.chdir),
    "environment variables of DeepOBS": (_variables, _set_variables),
}
"""How to read and write each setting, by its name in messages."""


def process_settings() -> dict[str, Any]:
    """The settings of the process, by their names in messages."""
    return {name: read() for name, (read, _) in _SETTINGS.items()}


def changed_settings(before: dict[str, Any]) -> list[str]:
    """The names of the settings that differ from what `process_settings` returned before."""
    return [name for name, value in process_settings().items() if value != before[name]]


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Restore `deepobs.config`, the settings of the process and every global RNG afterwards."""
    before = process_settings()
    # Worker processes of loaders would take longer to start than a few batches to read.
    with config.temporary(num_workers=0), rng.preserved():
        try:
            torch.set_grad_enabled(True)
            torch.set_default_dtype(torch.float32)  # another one would give other initial weights
            yield
        finally:
            # No others: even setting torch's default device to what it is slows down every call.
            for name in changed_settings(before):
                _SETTINGS[name][1](before[name])


def default_to_double() -> None:
    """Let tensors that a problem creates be float64, until the check ends."""
    torch.set_default_dtype(torch.float64)
    config.set_dtype(torch.float64)


def next_numbers() -> dict[str, float]:
    """The next number of each global RNG, by the function that draws it, without drawing it."""
    with rng.preserved():
        return {
            "torch.rand": float(torch.rand((), device="cpu")),
            "numpy.random.random": float(np.random.random()),
            "random.random": random.random(),  # noqa: S311
        }


def accelerator() -> torch.device:
    """The accelerator of this machine; skips the check if there is none."""
    # torch 2.6 raises an error if there is none.
    has_one = torch.accelerator.is_available()
    found = torch.accelerator.current_accelerator() if has_one else None
    if found is None:
        skip("This machine has no accelerator that torch can use")
    return found
