"""Settings of the whole process: what code of others may have changed, and putting it back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


_PREFIX = "DEEPOBS_"
"""Of the variables that we go by. Others are set by libraries, when they are imported."""


def _variables() -> dict[str, str]:
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


def process_settings() -> dict[str, Any]:
    """The settings as they are, by what messages call them."""
    return {name: read() for name, (read, _) in _SETTINGS.items()}


def changed_settings(before: dict[str, Any]) -> list[str]:
    """What messages call the settings that are no longer as they were.

    Args:
        before: What `process_settings` returned.
    """
    return [name for name, value in process_settings().items() if value != before[name]]


def put_back(before: dict[str, Any]) -> None:
    """Let the settings be as they were.

    Args:
        before: What `process_settings` returned.
    """
    for name in changed_settings(before):
        _, write = _SETTINGS[name]
        write(before[name])
