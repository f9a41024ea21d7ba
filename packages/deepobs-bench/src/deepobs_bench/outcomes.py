"""What becomes of a run in a sweep: its record, or why there is none."""

from __future__ import annotations

import contextlib
import os
import socket
import traceback
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from deepobs.errors import DeepOBSError, message_of
from deepobs.plugins.provenance import provenance_of
from deepobs.records import RunRecord, RunSpecification
from deepobs.runs import reproduction_command, store

if TYPE_CHECKING:
    from pathlib import Path

FailureKind: TypeAlias = Literal["error", "crash", "out_of_memory", "time_limit", "pruned"]

FAILURE = "failure"
"""How the name of the file of a failure ends."""

_LONGEST_LOG = 2**16  # characters
_OF_THE_CPU_ALLOCATOR = "DefaultCPUAllocator"  # torch raises a bare RuntimeError there


class RunStoppedError(DeepOBSError):
    """Raised by an observer to end the run that it observes, which is recorded as a failure.

    Args:
        kind: What kind of failure it is.
        message: Why it ends.
    """

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[1])


class RunCrashedError(DeepOBSError):
    """Raised by an executor whose worker ended while it carried out a run.

    Args:
        kind: What kind of failure it is.
        message: How the worker ended.
        log: What the run had printed.
        worker: Which worker it was.
    """

    def __init__(self, kind: FailureKind, message: str, *, log: str = "", worker: str = "") -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.log = log
        self.worker = worker

    def __str__(self) -> str:
        return str(self.args[1])


def _writable(text: object) -> object:
    """What strangers print may hold halves of characters, which no file takes."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_writable)]


class Failure(BaseModel):
    """Why a run has no result.

    Attributes:
        run_id: Hash of the specification.
        kind: An `error` was raised; the process ended (`crash`); it ran `out_of_memory` or into the
            `time_limit`; or the tuner stopped what was not promising (`pruned`).
        message: What happened, in a sentence or two.
        log: The end of what the run printed, and the traceback where there is one.
        specification: The run.
        command: The command that repeats it.
        started_at: When it began, or was handed out where that is not known.
        seconds: How long it took, from then on.
        worker: Where it ran, `host:process`.
    """

    model_config = ConfigDict(frozen=True)

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
    """Describe a run that ended without a result.

    Args:
        error: What was raised in it, or by its executor.
        specification: The run.
        started_at: When it began.
        printed: What it printed.
        worker: Where it ran; `None` for this process.
    """
    trace = "" if isinstance(error, (RunCrashedError, RunStoppedError)) else _traceback(error)
    return Failure(
        run_id=specification.run_id,
        kind=_kind_of(error),
        message=_message_of(error),
        log=(printed + trace)[-_LONGEST_LOG:],
        specification=specification,
        command=reproduction_command(specification),
        started_at=started_at.isoformat(timespec="seconds"),
        seconds=round((now() - started_at).total_seconds(), 3),
        worker=worker_name() if worker is None else worker,
    )


def now() -> datetime:
    """This moment, with the time zone."""
    return datetime.now().astimezone()


def worker_name(process: int | None = None) -> str:
    """A process of this machine, named so that it can be found; this one if it is left out."""
    return f"{socket.gethostname()}:{os.getpid() if process is None else process}"


def write_failure(output_dir: Path, failure: Failure) -> Path:
    """Keep a failure beside the results of its setting, in a file that no reader takes for one.

    Args:
        output_dir: Where results are kept.
        failure: What happened.

    Raises:
        OutputError: It cannot be written.
    """
    return store.keep(
        output_dir, failure.specification, failure.model_dump_json(indent=1), suffix=FAILURE
    )


def find_failure(
    output_dir: Path, specification: RunSpecification, *, since: datetime | None = None
) -> Failure | None:
    """The latest failure of a run.

    Args:
        output_dir: Where results are kept.
        specification: The run.
        since: Leave out failures of runs that began before.
    """
    for path in store.kept(output_dir, specification, suffix=FAILURE):
        # Not ours, of another version, or gone meanwhile.
        with contextlib.suppress(ValidationError, OSError):
            failure = Failure.model_validate_json(path.read_bytes())
            is_late = since is None or path.stat().st_mtime >= since.timestamp()
            if failure.run_id == specification.run_id and is_late:
                return failure
    return None


def _kind_of(error: BaseException) -> FailureKind:
    import torch

    if isinstance(error, (RunStoppedError, RunCrashedError)):
        return error.kind
    is_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    is_memory |= isinstance(error, RuntimeError) and _OF_THE_CPU_ALLOCATOR in str(error)
    return "out_of_memory" if is_memory else "error"


def _message_of(error: BaseException) -> str:
    owner = "" if isinstance(error, DeepOBSError) else provenance_of(error)
    return message_of(error) + (f" (in code of {owner})" if owner else "")


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
