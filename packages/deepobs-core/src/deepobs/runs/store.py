"""Result files: their names, and how they are written, found and read."""

from __future__ import annotations

import contextlib
import functools
import re
import tempfile
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import ValidationError

from deepobs.errors import OutputError
from deepobs.files import UNFINISHED, open_atomic
from deepobs.records import RunRecord
from deepobs.run_specifications import EVERY_EPOCH, usual_recalibration
from deepobs.runs.optimizers import target_of_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from deepobs.run_specifications import RunSpecification

_UNSAFE = re.compile(r"[^A-Za-z0-9.+_-]")
_LONGEST_NAME = 200  # bytes; file systems take 255

RESULT = "json"
"""Suffix of result files."""

_ABANDONED_SECONDS = 3600
"""Age of an unfinished file that no writer works on any more: writing takes milliseconds."""


def configuration_directory(output_dir: Path, specification: RunSpecification) -> Path:
    """The directory of a configuration: `<output_dir>/<testproblem>/<optimizer>/<configuration>`.

    The last part is readable, as in the original: `num_epochs__10__batch_size__...`. What deviates
    from the defaults is added at the end. A name that would be too long, or that contains
    characters unsafe in file names, ends in a hash of the configuration.

    Args:
        output_dir: The directory of results.
        specification: A run of the configuration.
    """
    return output_dir / configuration_path(specification)


class PathFrame(NamedTuple):
    """What the directories of a family of runs have in common; see `RunSpecification.family`.

    Attributes:
        parent: The directory of all configurations, relative to that of all results.
        before: The name of the directory, up to the hyperparameters.
        after: Its end, after them.
    """

    parent: str
    before: str
    after: str


def configuration_path(specification: RunSpecification, frame: PathFrame | None = None) -> str:
    """The directory of a configuration, relative to that of all results.

    Args:
        specification: A run of the configuration.
        frame: The `path_frame` of its family, if it is known.
    """
    parent, before, after = frame or path_frame(specification)
    at_defaults = specification.at_defaults
    chosen = [pair for pair in specification.hyperparameters.items() if pair[0] not in at_defaults]
    name = f"{before}{_joined(sorted(chosen))}{after}"
    safe = _UNSAFE.sub("-", name) if _UNSAFE.search(name) else name
    if safe != name or len(safe) > _LONGEST_NAME:
        configuration_id = specification.model_copy(update={"random_seed": 0}).run_id
        safe = f"{safe[: _LONGEST_NAME - 18]}__{configuration_id}"
    return f"{parent}/{safe}"


def path_frame(specification: RunSpecification) -> PathFrame:
    """What the directory of a run has in common with those of its family."""
    # Pairs, not a dictionary: the problem and the optimizer may each have a weight decay.
    first: list[tuple[str, object]] = [("batch_size", specification.batch_size)]
    if specification.max_steps is not None:
        first.insert(0, ("max_steps", specification.max_steps))
    # By default as many as steps: an epoch has at least one.
    if specification.num_epochs != specification.max_steps:
        first.insert(0, ("num_epochs", specification.num_epochs))
    if specification.weight_decay is not None:
        first.append(("weight_decay", specification.weight_decay))
    parts: list[tuple[str, object]] = []
    if specification.lr_sched_epochs is not None:
        parts.append(("lr_sched_epochs", specification.lr_sched_epochs))
        parts.append(("lr_sched_factors", specification.lr_sched_factors))
    if specification.lr_scheduler is not None:
        parts.append(("lr_scheduler", specification.lr_scheduler.name))
        parts += sorted(specification.lr_scheduler.arguments.items())
        if specification.lr_scheduler.every != "epoch":
            parts.append(("every", specification.lr_scheduler.every))
    for role, hyperparameters in specification.parameter_groups.items():
        parts.append((role, [part for item in sorted(hyperparameters.items()) for part in item]))
    if specification.optimizer_needs:
        parts.append(("needs", specification.optimizer_needs))
    for field in ("validation_size", "full_evaluation", "bare_losses", "fake_data_fraction"):
        if getattr(specification, field):
            parts.append((field, getattr(specification, field)))
    if not specification.reshuffle:
        parts.append(("reshuffle", False))
    if specification.train_fraction != 1:
        parts.append(("train_fraction", specification.train_fraction))
    if specification.evaluate_every != EVERY_EPOCH:
        parts.append(("evaluate_every", specification.evaluate_every))
    if specification.bn_recalibration != usual_recalibration(specification.optimizer_needs):
        parts.append(("bn_recalibration", specification.bn_recalibration))
    parts += specification.step_options.items()
    if specification.dtype != "float32":
        parts.append(("dtype", specification.dtype))
    if specification.optimizer_source:
        parts.append(("source", specification.optimizer_source))
    parts += sorted(specification.code.items())
    # A problem or optimizer that only shares its name with another one must not share its
    # directory: analysis takes the files in a directory for seeds of one configuration.
    if ":" in specification.testproblem and "problem" not in specification.code:
        parts.append(("testproblem", specification.testproblem))
    if target_of_name(specification.optimizer) not in (None, specification.optimizer_target):
        parts.append(("optimizer", specification.optimizer_target))
    problem = specification.testproblem.rpartition(":")[2]
    before = _joined(first).removeprefix("__")
    return PathFrame(f"{problem}/{specification.optimizer}", before, _joined(parts))


def prepare(output_dir: Path) -> None:
    """Create the directory of results, and check that files can be written to it.

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
    """Find the result of a run.

    Args:
        output_dir: The directory of results.
        specification: The run.

    Returns:
        Its latest file and the record in it, or `None`. Files that are damaged or of another run
        are skipped.
    """
    for form, run_id in forms_of(specification):
        for path in files_of(output_dir, form):
            with contextlib.suppress(ValidationError, OSError):
                record = read(path)
                if record.run_id == run_id:
                    return path, record
    return None


def forms_of(specification: RunSpecification) -> Iterator[tuple[RunSpecification, str]]:
    """What names the directory of a run, and its identity: now, and in earlier releases."""
    yield specification, specification.run_id
    # Those of released optimizers without further arguments were always the same.
    spec = specification
    if spec.optimizer_source or spec.at_defaults or spec.defined_as:
        yield from specification.earlier_forms


def files_of(
    output_dir: Path, specification: RunSpecification, *, suffix: str = RESULT
) -> list[Path]:
    """The files of a run's configuration and seed, the latest first; some may be of another run.

    Args:
        output_dir: The directory of results.
        specification: The run.
        suffix: Suffix of the files.
    """
    directory = configuration_directory(output_dir, specification)
    pattern = f"random_seed__{specification.random_seed}__*.{suffix}"
    return sorted(directory.glob(pattern), reverse=True)


def read(path: Path) -> RunRecord:
    """Read a result file.

    Raises:
        OSError: It cannot be opened.
        ValidationError: It is not a result file of this version of DeepOBS.
    """
    return RunRecord.model_validate_json(path.read_bytes())


def write(
    output_dir: Path, specification: RunSpecification, text: str, *, suffix: str = RESULT
) -> Path:
    """Write a file about a run into the directory of its configuration, atomically.

    Args:
        output_dir: The directory of results.
        specification: The run.
        text: The content; of a result, `record.to_json()`.
        suffix: Suffix of the file, whose name holds the time.

    Returns:
        The file.

    Raises:
        OutputError: It cannot be written.
    """
    directory = configuration_directory(output_dir, specification)
    moment = datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S-%f")
    path = directory / f"random_seed__{specification.random_seed}__{moment}.{suffix}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with open_atomic(path) as stream:
            stream.write(text.encode())
        for unfinished in directory.glob(f".*{UNFINISHED}"):
            with contextlib.suppress(FileNotFoundError):  # another process may do the same
                if time.time() - unfinished.stat().st_mtime > _ABANDONED_SECONDS:
                    unfinished.unlink()
    except OSError as error:
        raise OutputError(
            f"The result {path} cannot be written: {error}. Choose another directory."
        ) from error
    return path


def _joined(parts: Iterable[tuple[str, object]]) -> str:
    return "".join([f"__{part}__{_formatted(value)}" for part, value in parts])


def _formatted(value: object) -> str:
    """Format a value as the original does in directory names: 1.e-02, True, 0.9_0.999."""
    if isinstance(value, float):
        return _of_float(value)
    if isinstance(value, (list, tuple)):
        return "_".join([_formatted(item) for item in value])
    return str(value)


@functools.lru_cache(maxsize=10_000)
def _of_float(value: float) -> str:
    return np.format_float_scientific(value)
