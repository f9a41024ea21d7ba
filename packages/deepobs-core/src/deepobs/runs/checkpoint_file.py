"""The file of a checkpoint: whole or not at all, and read without trusting it."""

from __future__ import annotations

import zipfile
from typing import IO, TYPE_CHECKING, Any

import torch
from torch.serialization import default_restore_location

from deepobs.files import open_atomic
from deepobs.runs import environment, store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepobs.records import RunSpecification

_VERSION = 1


class UnusableCheckpointError(Exception):
    """Why a checkpoint is of no use."""


def checkpoint_path(output_dir: Path, specification: RunSpecification) -> Path:
    """Where the checkpoint of a run lies: hidden beside its result.

    Args:
        output_dir: Where results are kept.
        specification: The run.
    """
    name = f".random_seed__{specification.random_seed}__{specification.run_id}.checkpoint"
    return store.setting_directory(output_dir, specification) / name


def write(
    path: Path, specification: RunSpecification, state: dict[str, Any], *, is_tried: bool
) -> None:
    """Write a checkpoint in place of the one before.

    Args:
        path: Its file.
        specification: The run.
        state: What `Course.state_dict` returned.
        is_tried: Whether to read it back before it takes its place.

    Raises:
        OSError: The file cannot be written.
        Exception: Something in the state cannot be saved, or not be loaded again.
    """
    content = {
        "version": _VERSION,
        "run_id": specification.run_id,
        "environment": environment_of(specification),
        "state": state,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomic(path) as stream:
        torch.save(content, stream)
        if is_tried:
            stream.seek(0)
            torch.load(stream, weights_only=True)


def read(path: Path, specification: RunSpecification) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a checkpoint.

    Args:
        path: Its file.
        specification: The run that is to go on.

    Returns:
        The state, with its tensors where the run takes place; and the environment it comes from.

    Raises:
        UnusableCheckpointError: It is damaged, or of another run or version.
    """
    try:
        with path.open("rb") as stream:
            damaged = zipfile.ZipFile(stream).testzip()
            content = None if damaged else _loaded(stream, specification)
    except Exception as error:  # damaged data lead to errors of all kinds
        raise UnusableCheckpointError(f"It cannot be read: {error}.") from error
    if content is None:
        raise UnusableCheckpointError(f"Its part {damaged} is damaged.")
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise UnusableCheckpointError("It is of another version of DeepOBS.")
    if content.get("run_id") != specification.run_id:
        raise UnusableCheckpointError("It is of another run.")
    state, before = content.get("state"), content.get("environment")
    if not (isinstance(state, dict) and isinstance(before, dict)):
        raise UnusableCheckpointError("It does not hold what a checkpoint holds.")
    return state, before


def environment_of(specification: RunSpecification) -> dict[str, Any]:
    """What the last bits of a run's numbers depend on.

    Args:
        specification: The run.
    """
    device = torch.device(specification.device)
    hardware = environment.hardware(device)
    return {
        "torch": str(torch.__version__),
        "threads": hardware["torch_threads"],
        "processor": hardware["processor"],
        "device": hardware.get("accelerator", device.type),
    }


def _loaded(stream: IO[bytes], specification: RunSpecification) -> Any:
    stream.seek(0)
    return torch.load(stream, map_location=_to(specification.device), weights_only=True)


def _to(device: str) -> Callable[[Any, str], Any]:
    """Tensors of the CPU stay there; those of an accelerator go where the run is now."""
    restored: Callable[[Any, str], Any] = default_restore_location
    return lambda storage, location: storage if location == "cpu" else restored(storage, device)
