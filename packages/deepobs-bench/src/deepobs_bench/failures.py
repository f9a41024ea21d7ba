"""Why a run of a sweep has no result: failures, and the files that keep them.

It imports torch only for those of runs: processes are started before torch is imported.
"""

from __future__ import annotations

import contextlib
import os
import socket
import traceback
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from deepobs.errors import DeepOBSError, message_of, sentences
from deepobs.plugins.provenance import class_behind, foreign_traceback, provenance_of
from deepobs.records import RunRecord
from deepobs.run_specifications import STORED, RunSpecification

if TYPE_CHECKING:
    from pathlib import Path

FailureKind: TypeAlias = Literal["error", "crash", "out_of_memory", "time_limit", "pruned"]

FAILURE = "failure"
"""Suffix of the files of failures."""

_MAX_LOG = 2**16  # characters
_OF_THE_CPU_ALLOCATOR = "DefaultCPUAllocator"  # torch raises a bare RuntimeError there


class ExecutorError(DeepOBSError):
    """An executor cannot start or execute runs."""


class RunStoppedError(DeepOBSError):
    """A run ended without a result, which is recorded as its failure.

    Observers raise it to end the run that they observe; executors raise it for a run whose worker
    ended.

    Args:
        kind: What kind of failure it is.
        message: Why it ends.
        log: What the run had printed.
        worker: Where it ran.
    """

    def __init__(self, kind: FailureKind, message: str, *, log: str = "", worker: str = "") -> None:
        # Unpickling calls the class with these arguments, and restores the attributes afterwards.
        super().__init__(kind, message)
        self.kind = kind
        self.log = log
        self.worker = worker

    def __str__(self) -> str:
        return str(self.args[1])


def _encodable(text: object) -> object:
    """Replace lone surrogates, which other packages may print and no file can hold."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_encodable)]


class Failure(BaseModel):
    """Why a run has no result.

    Attributes:
        run_id: Hash of the specification.
        kind: An `error` was raised; the process ended (`crash`); it ran `out_of_memory` or into the
            `time_limit`; or the tuner stopped it since it fell behind (`pruned`).
        message: What happened, in a sentence or two.
        log: The end of what the run printed, and the traceback if there is one.
        specification: The run.
        command: The command that repeats it.
        started_at: When it began, or was submitted if that is not known.
        seconds: How long it took from then on.
        worker: Where it ran, `host:process`.
    """

    model_config = STORED | ConfigDict(frozen=True)

    run_id: str
    kind: FailureKind
    message: Text
    log: Text = ""
    specification: RunSpecification
    command: str
    started_at: str
    seconds: float
    worker: str = ""


Outcome: TypeAlias = RunRecord | Failure


def failure_from(
    error: BaseException,
    specification: RunSpecification,
    started_at: datetime,
    *,
    printed: str = "",
    worker: str | None = None,
) -> Failure:
    """Describe a run that ended without a result."""
    from deepobs.runs import reproduction_command

    # A run that was stopped has no traceback of interest: it ends in our observer or executor.
    is_stopped = isinstance(error, RunStoppedError)
    trace = "" if is_stopped else "".join(traceback.format_exception(error))
    origin = behind = ""
    if not isinstance(error, DeepOBSError):
        origin = provenance_of(error)
        # Where code of others is in the traceback, that names it.
        behind = class_behind(error) if foreign_traceback(error) is None else ""
    place = f" (in code of {origin})" if origin else f" (on behalf of {behind})" if behind else ""
    return Failure(
        run_id=specification.run_id,
        kind=_kind_of(error),
        message=sentences(message_of(error) + place, *getattr(error, "__notes__", [])),
        log=(printed + trace)[-_MAX_LOG:],
        specification=specification,
        command=reproduction_command(specification),
        started_at=started_at.isoformat(timespec="seconds"),
        seconds=round((datetime.now().astimezone() - started_at).total_seconds(), 3),
        worker=worker_name(os.getpid()) if worker is None else worker,
    )


def _kind_of(error: BaseException) -> FailureKind:
    import torch

    if isinstance(error, RunStoppedError):
        return error.kind
    is_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    is_memory |= isinstance(error, RuntimeError) and _OF_THE_CPU_ALLOCATOR in str(error)
    return "out_of_memory" if is_memory else "error"


def worker_name(process: int) -> str:
    """A process of this machine as `host:process`."""
    return f"{socket.gethostname()}:{process}"


def write_failure(output_dir: Path, failure: Failure) -> Path:
    """Write a failure beside the results of its configuration, with a suffix of its own."""
    from deepobs.runs import store

    return store.write(
        output_dir, failure.specification, failure.model_dump_json(indent=1), suffix=FAILURE
    )


def find_failure(
    output_dir: Path, specification: RunSpecification, *, since: datetime | None = None
) -> Failure | None:
    """Find the latest failure of a run.

    Args:
        output_dir: The directory of results.
        specification: The run.
        since: Ignore failures from before.
    """
    from deepobs.runs import store

    for path in store.files_of(output_dir, specification, suffix=FAILURE):
        # The file may be of another version, or deleted by another process meanwhile.
        with contextlib.suppress(ValidationError, OSError):
            failure = Failure.model_validate_json(path.read_bytes())
            is_late = since is None or path.stat().st_mtime >= since.timestamp()
            if failure.run_id == specification.run_id and is_late:
                return failure
    return None


def failure_file(output_dir: Path, failure: Failure) -> Path | None:
    """Where the latest failure of a run is kept, with its log."""
    from deepobs.runs import store

    return next(iter(store.files_of(output_dir, failure.specification, suffix=FAILURE)), None)
