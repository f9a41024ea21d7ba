"""Result files: where they lie, and how they appear whole or not at all."""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from deepobs.errors import OutputError
from deepobs.files import UNFINISHED, write_atomic
from deepobs.records import RunRecord
from deepobs.runs.optimizers import target_of_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deepobs.records import RunSpecification

_UNSAFE = re.compile(r"[^A-Za-z0-9.+_-]")
_LONGEST_NAME = 200  # bytes; file systems take 255

RESULT = "json"
"""How the names of result files end."""

_ABANDONED_SECONDS = 3600  # writing takes milliseconds


def setting_directory(output_dir: Path, specification: RunSpecification) -> Path:
    """Where the runs of a setting lie: `<output_dir>/<testproblem>/<optimizer>/<setting>`.

    Args:
        output_dir: Where results are kept.
        specification: A run of the setting.
    """
    problem = specification.testproblem.rpartition(":")[2]
    return output_dir / problem / specification.optimizer / setting_name(specification)


def setting_name(specification: RunSpecification) -> str:
    """A readable name for a setting, as the original makes it: `num_epochs__10__batch_size__...`.

    What deviates from the default is added at the end. A name that would be too long, or that
    cannot be written in a file's name as it is, ends in a hash of the setting.
    """
    parts = "__".join(f"{name}__{_written(value)}" for name, value in _parts(specification))
    safe = _UNSAFE.sub("-", parts)
    if safe == parts and len(safe) <= _LONGEST_NAME:
        return safe
    setting_id = specification.model_copy(update={"random_seed": 0}).run_id
    return f"{safe[: _LONGEST_NAME - 18]}__{setting_id}"


def _parts(specification: RunSpecification) -> Iterator[tuple[str, object]]:
    """Names and values that make up the name of a setting.

    A name may come twice: the problem and the optimizer may each have a weight decay.
    """
    yield "num_epochs", specification.num_epochs
    yield "batch_size", specification.batch_size
    if specification.weight_decay is not None:
        yield "weight_decay", specification.weight_decay
    yield from sorted(specification.hyperparameters.items())
    if specification.lr_sched_epochs is not None:
        yield "lr_sched_epochs", specification.lr_sched_epochs
        yield "lr_sched_factors", specification.lr_sched_factors
    if specification.lr_scheduler is not None:
        yield "lr_scheduler", specification.lr_scheduler.name
        yield from sorted(specification.lr_scheduler.arguments.items())
        if specification.lr_scheduler.every != "epoch":
            yield "every", specification.lr_scheduler.every
    for role, settings in specification.parameter_groups.items():
        yield role, [part for setting in sorted(settings.items()) for part in setting]
    if specification.optimizer_needs:
        yield "needs", specification.optimizer_needs
    for name in ("validation_size", "full_evaluation", "bare_losses", "fake_data_fraction"):
        if getattr(specification, name):
            yield name, getattr(specification, name)
    if not specification.reshuffle:
        yield "reshuffle", False
    if specification.dtype != "float32":
        yield "dtype", specification.dtype
    if specification.optimizer_source:
        yield "source", specification.optimizer_source
    # What only shares its name with another problem or optimizer does not share its directory.
    if ":" in specification.testproblem:
        yield "testproblem", specification.testproblem
    if target_of_name(specification.optimizer) not in (None, specification.optimizer_target):
        yield "optimizer", specification.optimizer_target


def prepare(output_dir: Path) -> None:
    """Make sure that results can be written, before there are any.

    Raises:
        OutputError: They cannot.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output_dir):
            pass
    except OSError as error:
        raise OutputError(
            f"Results cannot be written to {output_dir}: {error.strerror or error}. "
            "Choose another directory."
        ) from error


def find(output_dir: Path, specification: RunSpecification) -> tuple[Path, RunRecord] | None:
    """Look for the result of a run.

    Args:
        output_dir: Where results are kept.
        specification: The run.

    Returns:
        Its file and its record, the latest if it was done again, or `None`. Files that are broken
        or of another run do not count.
    """
    for path in kept(output_dir, specification):
        with contextlib.suppress(ValidationError, OSError):
            record = read(path)
            if record.run_id == specification.run_id:
                return path, record
    return None


def kept(
    output_dir: Path, specification: RunSpecification, *, suffix: str = RESULT
) -> Iterator[Path]:
    """The files of a run's setting and seed, the latest first; some may be of another run.

    Args:
        output_dir: Where results are kept.
        specification: The run.
        suffix: How the names of the files end.
    """
    directory = setting_directory(output_dir, specification)
    yield from sorted(directory.glob(f"{_stem(specification)}*.{suffix}"), reverse=True)


def read(path: Path) -> RunRecord:
    """Read a result file of ours.

    Raises:
        OSError: It cannot be opened.
        ValidationError: It is not a result file of ours.
    """
    return RunRecord.model_validate_json(path.read_bytes())


def write(output_dir: Path, specification: RunSpecification, record: RunRecord) -> Path:
    """Write a result file, which appears whole or not at all.

    Args:
        output_dir: Where results are kept.
        specification: The run.
        record: Its result.

    Returns:
        The file.

    Raises:
        OutputError: It cannot be written.
    """
    return keep(output_dir, specification, record.to_json())


def keep(
    output_dir: Path, specification: RunSpecification, text: str, *, suffix: str = RESULT
) -> Path:
    """Write a file about a run into the directory of its setting, whole or not at all.

    Args:
        output_dir: Where results are kept.
        specification: The run.
        text: What to write.
        suffix: How the file's name ends, after the moment.

    Returns:
        The file.

    Raises:
        OutputError: It cannot be written.
    """
    directory = setting_directory(output_dir, specification)
    moment = datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S-%f")
    path = directory / f"{_stem(specification)}{moment}.{suffix}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
        _remove_leftovers(directory)
    except OSError as error:
        raise OutputError(
            f"The result {path} cannot be written: {error}. Choose another directory."
        ) from error
    return path


def _stem(specification: RunSpecification) -> str:
    return f"random_seed__{specification.random_seed}__"


def _remove_leftovers(directory: Path) -> None:
    """Remove what killed writers left unfinished, so long ago that nobody can still be writing."""
    for path in directory.glob(f".*{UNFINISHED}"):
        with contextlib.suppress(FileNotFoundError):  # another process may do the same
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


def _written(value: object) -> str:
    """A value as the original writes it in a directory's name: 1.e-02, True, 0.9_0.999."""
    if isinstance(value, float):
        return np.format_float_scientific(value)
    if isinstance(value, (list, tuple)):
        return "_".join(_written(item) for item in value)
    return str(value)
