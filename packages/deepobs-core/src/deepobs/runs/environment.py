"""The environment of a run: seeds and global options inside it, versions and hardware."""

from __future__ import annotations

import contextlib
import os
import platform
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deepobs import __version__, config, rng
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepobs.run_specifications import RunSpecification


@contextlib.contextmanager
def reproducible(specification: RunSpecification) -> Iterator[None]:
    """Seed all RNGs and set the options of a run, and restore the former ones at the end.

    Args:
        specification: The run; its `dtype` and `fake_data_fraction` apply inside, too.

    Raises:
        ArgumentError: This machine does not have the run's device.
    """
    # Initializes the device: the RNG of one that is not initialized cannot be preserved below.
    config.resolve_device(specification.device)
    default_dtype, num_threads = torch.get_default_dtype(), torch.get_num_threads()
    cudnn = torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    settings = config.temporary(
        dtype=getattr(torch, specification.dtype), fake_data=specification.fake_data_fraction
    )
    with rng.preserved(), torch.enable_grad(), settings, contextlib.ExitStack() as stack:
        if specification.step_options:
            from deepobs.runs.model_options import executing

            stack.enter_context(executing(specification))
        try:
            # Initial weights are drawn in single precision whatever the run's dtype: in another
            # one, the same seed would give other weights.
            torch.set_default_dtype(torch.float32)
            torch.set_num_threads(threads_of(specification))
            cudnn.deterministic = config.get_is_deterministic()
            cudnn.benchmark = not config.get_is_deterministic()
            rng.seed(specification.random_seed)
            yield
        finally:
            torch.set_default_dtype(default_dtype)
            torch.set_num_threads(num_threads)
            cudnn.deterministic, cudnn.benchmark = flags


def threads_of(specification: RunSpecification) -> int:
    """The CPU threads of torch in a run, however many runs there are at a time.

    Those that were set, else those of its problem, at most those that torch has here.
    """
    of_problem = registry().problems.offer(specification.testproblem).spec.threads
    available = torch.get_num_threads()
    return config.get_num_threads() or min(of_problem or available, available)


def versions(involved: Mapping[str, str]) -> dict[str, str]:
    """Versions of Python, torch, NumPy, deepobs-core and the distributions involved.

    Args:
        involved: Versions of distributions, such as those of problem, data set and optimizer.
    """
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "deepobs-core": __version__,
        **involved,
    }


def hardware(device: torch.device) -> dict[str, Any]:
    """What timings depend on."""
    processor = None
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
        names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        processor = next(names, None)
    described: dict[str, Any] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "processor": platform.processor() if processor is None else processor,
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
    }
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        described["processes"] = torch.distributed.get_world_size()
    if device.type == "cuda":
        described["accelerator"] = torch.cuda.get_device_name(device)
    return described
