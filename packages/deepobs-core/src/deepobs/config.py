"""Settings of this process: directories, device and type of tensors, synthetic data.

A setting is read when it is used, so that a change takes effect at once. A call of `set_...` takes
precedence over the environment, which takes precedence over the default. Importing this module does
not import torch.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs import checks
from deepobs.errors import ArgumentError
from deepobs.resources import usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


@dataclass
class _Settings:
    """What was set in this process; `None` if nothing was."""

    data_dir: Path | None = None
    baseline_dir: Path | None = None
    dtype: torch.dtype | None = None
    default_device: torch.device | None = None
    num_workers: int | None = None
    num_threads: int | None = None
    is_deterministic: bool = True
    fake_data_fraction: float | None = None


_settings = _Settings()

# Worker processes get these with the specification of each run, which may differ from the settings.
_PART_OF_SPECIFICATIONS = ("dtype", "default_device", "fake_data_fraction")


def get_cache_dir() -> Path:
    """The directory of caches (`DEEPOBS_CACHE_DIR`, else the user's cache).

    Data sets and published results are kept in it, too, unless another directory was set.
    """
    from platformdirs import user_cache_path

    return _from_environment("DEEPOBS_CACHE_DIR") or user_cache_path("deepobs", appauthor=False)


def _from_environment(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return _path(variable, value) if value else None


def _path(name: str, value: str | os.PathLike[str]) -> Path:
    try:
        return Path(value).expanduser()
    except (RuntimeError, TypeError) as error:
        raise ArgumentError(f"{name} must be the path of a directory, got {value!r}.") from error


def get_data_dir() -> Path:
    """The directory that holds the data sets (`DEEPOBS_DATA_DIR`, else in the user's cache)."""
    chosen = _settings.data_dir or _from_environment("DEEPOBS_DATA_DIR")
    return chosen or get_cache_dir() / "data"


def set_data_dir(data_dir: str | os.PathLike[str] | None) -> None:
    """Choose the directory that holds the data sets; `None` for the default."""
    _settings.data_dir = None if data_dir is None else _path("data_dir", data_dir)


def get_baseline_dir() -> Path:
    """The directory of published results (`DEEPOBS_BASELINE_DIR`, else in the user's cache)."""
    chosen = _settings.baseline_dir or _from_environment("DEEPOBS_BASELINE_DIR")
    return chosen or get_cache_dir() / "baselines"


def set_baseline_dir(baseline_dir: str | os.PathLike[str] | None) -> None:
    """Choose the directory of published results; `None` for the default."""
    _settings.baseline_dir = None if baseline_dir is None else _path("baseline_dir", baseline_dir)


def get_dtype() -> torch.dtype:
    """The floating-point type of data and models, float32 unless set."""
    import torch

    return torch.float32 if _settings.dtype is None else _settings.dtype


def set_dtype(dtype: torch.dtype | None) -> None:
    """Choose the floating-point type of data and models; `None` for the default."""
    if dtype is not None and not getattr(dtype, "is_floating_point", False):
        raise ArgumentError(f"dtype must be a floating-point torch.dtype, got {dtype!r}.")
    _settings.dtype = dtype


def get_default_device() -> torch.device:
    """The device of problems that name none: what was set, else CUDA if available, else the CPU."""
    return resolve_device(None)


def set_default_device(device: str | torch.device | None) -> None:
    """Choose the device of problems that name none; `None` for the default.

    Raises:
        ArgumentError: There is no such device.
    """
    _settings.default_device = None if device is None else resolve_device(device)


def resolve_device(device: str | torch.device | None) -> torch.device:
    """Convert the name of a device to a device of this machine.

    Args:
        device: A name such as "cpu" or "cuda:0", a device, or `None` for the default.

    Raises:
        ArgumentError: There is no such device.
    """
    import torch

    if device is None:
        cuda_or_cpu = "cuda" if torch.cuda.is_available() else "cpu"
        return _settings.default_device or torch.device(cuda_or_cpu)
    try:
        resolved = torch.device(device)
        # A name can be valid without such a device, and "meta" tensors hold no values: only
        # reading a value back shows that the device can be used.
        torch.zeros(1, dtype=torch.uint8, device=resolved).tolist()
    except Exception as error:  # torch raises RuntimeError, AssertionError or NotImplementedError
        available = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        if torch.backends.mps.is_available():
            available.append("mps")
        raise ArgumentError(
            f"The device {str(device)!r} cannot be used here. Available: {', '.join(available)}."
        ) from error
    return resolved


def get_num_workers() -> int:
    """The number of worker processes that decode data which do not fit into memory.

    The default is `DEEPOBS_NUM_WORKERS`, else the number of cores this process may use.

    Raises:
        ArgumentError: The environment variable is no integer of 0 or more.
    """
    if _settings.num_workers is not None:
        return _settings.num_workers
    value = os.environ.get("DEEPOBS_NUM_WORKERS")
    if not value:
        return usable_cores()
    try:
        return checks.integer("DEEPOBS_NUM_WORKERS", int(value), least=0)
    except ValueError:
        raise ArgumentError(
            f"DEEPOBS_NUM_WORKERS must be an integer of 0 or more, got {value!r}."
        ) from None


def set_num_workers(num_workers: int | None) -> None:
    """Choose the number of worker processes, 0 for none; `None` for the default."""
    checked = None if num_workers is None else checks.integer("num_workers", num_workers, least=0)
    _settings.num_workers = checked


def get_num_threads() -> int | None:
    """The number of CPU threads of torch in each run; `None` for that of its test problem."""
    return _settings.num_threads


def set_num_threads(num_threads: int | None) -> None:
    """Choose the number of CPU threads of torch in each run; `None` for that of its test problem.

    The last bits of a result depend on it.
    """
    checked = None if num_threads is None else checks.integer("num_threads", num_threads, least=1)
    _settings.num_threads = checked


def get_is_deterministic() -> bool:
    """Whether runs ask cuDNN for deterministic algorithms (default: yes)."""
    return _settings.is_deterministic


def set_is_deterministic(is_deterministic: bool) -> None:
    """Choose whether runs ask cuDNN for deterministic algorithms."""
    _settings.is_deterministic = bool(is_deterministic)


def get_fake_data() -> bool:
    """Whether synthetic data replace the real ones (`DEEPOBS_FAKE_DATA=1`)."""
    return get_fake_data_fraction() > 0


def get_fake_data_fraction() -> float:
    """The size of synthetic splits as a fraction of the real ones, 0 for real data.

    The environment variable `DEEPOBS_FAKE_DATA` takes the same values.

    Raises:
        ArgumentError: The environment variable is not a number from 0 to 1.
    """
    if _settings.fake_data_fraction is not None:
        return _settings.fake_data_fraction
    value = os.environ.get("DEEPOBS_FAKE_DATA")
    if not value:
        return 0.0
    try:
        fraction = float(value)
    except ValueError:
        fraction = math.nan
    if not 0 <= fraction <= 1:
        raise ArgumentError(
            f"DEEPOBS_FAKE_DATA must be 1, 0 or a fraction of the split sizes, got {value!r}."
        )
    return fraction


def set_fake_data(fake_data: bool | float | None) -> None:
    """Replace real data by synthetic data of the same shapes.

    Args:
        fake_data: `True` for splits of full size, a fraction such as 0.01 for smaller ones,
            `False` for real data, `None` for the value of the environment variable.
    """
    fraction = None if fake_data is None else float(fake_data)
    if fraction is not None and not 0 <= fraction <= 1:
        raise ArgumentError(f"fake_data must be from 0 to 1, got {fraction!r}.")
    _settings.fake_data_fraction = fraction


@contextlib.contextmanager
def temporary(**settings: Any) -> Iterator[None]:
    """Change settings within a block.

    Args:
        settings: New values by name: `data_dir`, `dtype`, `fake_data`, ...
    """
    before = replace(_settings)
    try:
        for name, value in settings.items():
            # By the public functions, which check the values.
            globals()[f"set_{name}"](value)
        yield
    finally:
        for setting in fields(_settings):
            setattr(_settings, setting.name, getattr(before, setting.name))


def chosen() -> dict[str, Any]:
    """The settings to pass to worker processes, by the names that `temporary` takes.

    Those that are part of every specification are excluded.
    """
    differing = {
        setting.name: getattr(_settings, setting.name)
        for setting in fields(_settings)
        if getattr(_settings, setting.name) != setting.default
    }
    for name in _PART_OF_SPECIFICATIONS:
        differing.pop(name, None)
    return {
        name: value.resolve() if isinstance(value, Path) else value
        for name, value in differing.items()
    }
