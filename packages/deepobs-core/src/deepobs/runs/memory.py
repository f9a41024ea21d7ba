"""The peak of the memory that something takes, as far as the system tells."""

from __future__ import annotations

import contextlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

_OF_THIS_PROCESS = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """Peaks in bytes.

    Attributes:
        process: The largest resident set of this process: all that was in main memory at once,
            Python, torch and whatever else the process holds included. `None` where the system does
            not tell.
        device: The most memory that tensors took on an accelerator at once; `None` on a CPU, and
            where the accelerator does not tell.
    """

    process: int | None
    device: int | None


def forget_peaks(device: torch.device) -> None:
    """Let the peaks start from what is in use now.

    Only Linux forgets that of a process. Elsewhere it remains that since the process started.

    Args:
        device: Whose peak to forget besides that of the process.
    """
    with contextlib.suppress(OSError):
        (_OF_THIS_PROCESS / "clear_refs").write_text("5", encoding="ascii")
    if device.type != "cpu":
        reset = getattr(torch.get_device_module(device), "reset_peak_memory_stats", None)
        if reset is not None:
            reset(device)


def peaks(device: torch.device) -> PeakMemory:
    """Ask for the peaks since `forget_peaks`.

    Args:
        device: Where the work was done.
    """
    return PeakMemory(process=_peak_of_process(), device=_peak_of_device(device))


def _peak_of_process() -> int | None:
    # The kernel's own number first: that of `resource` cannot be reset, and a child that is started
    # by a larger process inherits it.
    with contextlib.suppress(OSError):
        status = (_OF_THIS_PROCESS / "status").read_text(encoding="utf-8")
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_of_device(device: torch.device) -> int | None:
    if device.type == "cpu":
        return None
    peak = getattr(torch.get_device_module(device), "max_memory_allocated", None)
    return None if peak is None else int(peak(device))
