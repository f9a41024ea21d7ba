"""What a stranger's module does to this process while it is imported, and how that is undone.

What cannot be undone is a module that ends the process itself, by `os._exit` or a fault in native
code: `DEEPOBS_PLUGINS` leaves such a plugin out.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Put back what belongs to the whole process, whatever a module does in its import.

    What it prints goes to standard error: standard output may be read by a program. For one thread
    at a time.
    """
    arguments, random_state = sys.argv[:], random.getstate()
    directory, torch_state = _directory(), _torch_state()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.argv[:] = arguments
        random.setstate(random_state)
        if directory is not None and _directory() != directory:
            os.chdir(directory)
        if _torch_state() != torch_state:
            _restore_torch(*torch_state)


def _directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 # as it is, a plain text
    except FileNotFoundError:  # it was removed
        return None


def _torch_state() -> tuple[Any, Any]:
    """The type and the device of new tensors, those of a fresh torch where it is not imported."""
    torch: Any = sys.modules.get("torch")
    if not hasattr(torch, "get_default_device"):  # not there, or broken in its import
        return "torch.float32", "cpu"
    return str(torch.get_default_dtype()), str(torch.get_default_device())


def _restore_torch(dtype: str, device: str) -> None:
    import torch

    torch.set_default_dtype(getattr(torch, dtype.removeprefix("torch.")))
    torch.set_default_device(None if device == "cpu" else device)
