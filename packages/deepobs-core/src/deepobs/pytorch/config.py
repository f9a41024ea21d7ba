"""The settings of this process, where DeepOBS has always had them."""

from deepobs.config import (
    chosen,
    get_baseline_dir,
    get_cache_dir,
    get_data_dir,
    get_default_device,
    get_dtype,
    get_fake_data,
    get_fake_data_fraction,
    get_is_deterministic,
    get_num_threads,
    get_num_workers,
    resolve_device,
    set_baseline_dir,
    set_data_dir,
    set_default_device,
    set_dtype,
    set_fake_data,
    set_is_deterministic,
    set_num_threads,
    set_num_workers,
    temporary,
)
from deepobs.plugins import registry

__all__ = [
    "chosen",
    "get_baseline_dir",
    "get_cache_dir",
    "get_data_dir",
    "get_default_device",
    "get_dtype",
    "get_fake_data",
    "get_fake_data_fraction",
    "get_is_deterministic",
    "get_num_threads",
    "get_num_workers",
    "get_testproblem_default_setting",
    "resolve_device",
    "set_baseline_dir",
    "set_data_dir",
    "set_default_device",
    "set_dtype",
    "set_fake_data",
    "set_is_deterministic",
    "set_num_threads",
    "set_num_workers",
    "temporary",
]


def get_testproblem_default_setting(testproblem: str) -> dict[str, int | float | None]:
    """The default batch size, number of epochs and weight decay of a test problem.

    Raises:
        UnknownNameError: There is no such test problem.
    """
    spec = registry().problems.offer(testproblem).spec
    return {
        "batch_size": spec.batch_size,
        "num_epochs": spec.epochs,
        "weight_decay": spec.weight_decay,
    }
