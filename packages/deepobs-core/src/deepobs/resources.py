"""Resources of this process: processor cores, garbage collection (GC), its rank."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def usable_cores() -> int:
    """The number of cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def torchrun_rank() -> int | None:
    """The number of this process among those that torchrun started; `None` without torchrun."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else None


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Pause GC inside the block.

    For work that creates hundreds of thousands of objects and no cycles among them: every
    collection would visit all of them and free nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def importing_torch() -> Iterator[None]:
    """Pause GC while a command imports torch inside the block, and exempt its modules from GC.

    Collections would visit these thousands of modules again and again, and once more when the
    process ends, which takes a third of the time of a short run.
    """
    if "torch" in sys.modules:  # by then, there may be garbage that should not be exempt
        yield
        return
    with gc_paused():
        yield
        gc.freeze()
