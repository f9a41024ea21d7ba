"""State of the global random number generators (RNGs) of Python, NumPy and torch."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


def seed(value: int) -> None:
    """Seed the RNGs of Python, NumPy and torch, on all devices."""
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def get_state(device: torch.device) -> dict[str, Any]:
    """Return the state of the global RNGs, in types that `torch.load` reads with `weights_only`.

    Args:
        device: The device whose RNG is included besides that of the CPU.
    """
    name, keys, *rest = np.random.get_state(legacy=True)
    state = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if device.type != "cpu":
        state[device.type] = torch.get_device_module(device).get_rng_state(device)
    return state


def set_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore the state that `get_state` returned.

    Args:
        state: The state; that of another type of device is ignored.
        device: The device whose RNG is restored besides that of the CPU.
    """
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    name, numbers, *rest = state["numpy"]
    np.random.set_state((name, numbers.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device.type in state and device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state[device.type], device)


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Restore the global RNGs, on every device, at the end of the block."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    accelerator = None
    with contextlib.suppress(RuntimeError):  # of torch 2.6, if there is none
        accelerator = torch.accelerator.current_accelerator()
    count, device_type = 0, "cuda"
    if accelerator is not None:
        # Reading the RNG of an unused accelerator would initialize it, which is slow
        # and an error in a forked process.
        module = torch.get_device_module(accelerator)
        is_initialized = getattr(module, "is_initialized", lambda: True)()
        count = torch.accelerator.device_count() if is_initialized else 0
        device_type = accelerator.type
    with torch.random.fork_rng(devices=range(count), device_type=device_type):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
