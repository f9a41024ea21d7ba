"""Processors, accelerators and memory that runs can use."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs import config
from deepobs.cli.diagnosis.findings import Advice, Fact, Trouble, works
from deepobs.console.text import memory
from deepobs.cores import usable_cores
from deepobs.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 # nothing is written there
_ENOUGH_SHARED_MEMORY = 2**28  # bytes: a few batches of pictures for each worker process
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def cores() -> Iterator[Fact | Trouble]:
    """How many cores there are to work with."""
    usable, there = usable_cores(), os.cpu_count() or 1
    yield Fact("cores", usable, f"{usable}" if usable == there else f"{usable} of {there}")
    quota = _quota()
    if quota is not None and quota < usable:
        yield Fact("core quota", quota, f"{quota:g}, a limit of the container")
        yield Advice(
            f"The container may use {quota:g} cores at a time, but {usable} are to be seen: "
            "everything would start that many threads and wait for them.",
            f"Say so: OMP_NUM_THREADS={max(1, int(quota))} and --workers {max(1, int(quota))}.",
        )


def worker_processes() -> Iterator[Fact | Trouble]:
    """How many processes decode pictures."""
    try:
        number, usable = config.get_num_workers(), usable_cores()
    except ArgumentError:  # found among the variables
        return
    yield Fact("worker processes", number, f"{number}, for data that do not fit into memory")
    if number > usable:
        yield Advice(
            f"{number} worker processes are to share {usable} cores.",
            f"Set DEEPOBS_NUM_WORKERS or --workers to at most {usable}.",
        )


def shared_memory() -> Iterator[Fact | Trouble]:
    """How much memory worker processes can hand batches over in."""
    if not _SHARED_MEMORY.is_dir():
        return
    total = shutil.disk_usage(_SHARED_MEMORY).total
    yield Fact("shared memory", total, f"{memory(total)} in {_SHARED_MEMORY}")
    if total < _ENOUGH_SHARED_MEMORY:
        yield Advice(
            f"There are only {memory(total)} of shared memory in {_SHARED_MEMORY}, over which "
            "worker processes that load pictures may be killed.",
            "Give the container more (for Docker, --shm-size=1g), or load without such processes: "
            "--workers 0 or DEEPOBS_NUM_WORKERS=0.",
        )


def torch_and_numpy() -> Iterator[Fact | Trouble]:
    """Whether torch can be imported, and what it computes with."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it complains about is asked for below
            import torch
    except Exception as error:  # its libraries may be broken in any way
        if isinstance(error, ModuleNotFoundError) and error.name == "torch":
            yield Fact("torch", None, "not installed")  # who needs it is among the packages
            return
        yield Trouble(
            f"torch cannot be imported: {type(error).__name__}: {error}",
            "Install it anew: pip install --force-reinstall torch",
        )
        return
    yield Fact("torch", torch.__version__)
    threads, usable = torch.get_num_threads(), usable_cores()
    yield Fact("torch threads", threads)
    if threads > usable:
        yield Advice(
            f"torch computes with {threads} threads on {usable} cores.",
            f"Set OMP_NUM_THREADS to at most {usable}.",
        )
    try:
        torch.zeros(1).numpy()
    except RuntimeError as error:
        yield Trouble(
            f"torch {torch.__version__} cannot use NumPy: {error}",
            "Install releases that fit together: pip install --upgrade torch numpy",
        )


def accelerators() -> Iterator[Fact | Trouble]:
    """Which accelerators torch can use."""
    if not works("torch"):
        return
    import torch

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        has_cuda = torch.cuda.is_available()
    if has_cuda:
        for index in range(torch.cuda.device_count()):
            yield from _cuda_device(torch.cuda.get_device_properties(index), index)
    elif _NVIDIA_DRIVER.exists():
        reason = "; ".join(str(one.message) for one in told) or "torch was built without CUDA"
        yield Trouble(
            f"The machine has an NVIDIA driver, but torch {torch.__version__} finds no GPU: "
            f"{reason}.",
            "Install a torch that was built for the CUDA version of the driver; the selector on "
            "pytorch.org names the command. An empty CUDA_VISIBLE_DEVICES hides GPUs, too.",
        )
    else:
        yield Fact("CUDA", None, "no GPU")
    if torch.backends.mps.is_available():
        yield Fact("MPS", True, "the GPU of this Mac (--device mps)")


def settings() -> Iterator[Fact]:
    """What is set for runs in this process."""
    if works("torch"):
        yield Fact("default device", str(config.get_default_device()))
    is_deterministic = config.get_is_deterministic()
    yield Fact("deterministic", is_deterministic, "yes" if is_deterministic else "no")


def _cuda_device(properties: Any, index: int) -> Iterator[Fact]:
    total = properties.total_memory
    value = {"name": properties.name, "memory": total}
    yield Fact(f"cuda:{index}", value, f"{properties.name}, {memory(total)}")


def _quota() -> float | None:
    """How many cores a container may use at a time, `None` where there is no limit."""
    try:
        allowed, period = _QUOTA.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if allowed == "max" else int(allowed) / int(period)
