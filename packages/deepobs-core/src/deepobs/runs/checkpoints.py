"""Checkpoints of a run: when they are written, and how they are written and read."""

from __future__ import annotations

import functools
import io
import re
import signal
import threading
import time
import warnings
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

import torch
from torch.serialization import default_restore_location

from deepobs import rng
from deepobs.errors import ArgumentError, CheckpointWarning, first_line_of
from deepobs.files import open_atomic
from deepobs.runs import environment, store
from deepobs.runs.object_graphs import UnrestorableError
from deepobs.runs.optimizer_state import (
    first_difference,
    has_others_code,
    not_stored,
    restore_shared,
)
from deepobs.runs.ranks import first_to_report, is_of_lost_process, local_device, on_main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from deepobs.run_specifications import RunSpecification
    from deepobs.runs.ranks import Ranks
    from deepobs.runs.run_state import RunState

__all__ = ["CheckpointPlan"]

_VERSION = 5


@dataclass(frozen=True)
class CheckpointPlan:
    """When a run saves what it needs to continue after an interruption.

    Attributes:
        every_seconds: Seconds from one checkpoint to the next, at least; `None` for no such rule.
            Training looks at the clock every 100 steps and after every epoch.
        every_epochs: Epochs from one checkpoint to the next; `None` for no such rule.
        resume: Whether to continue from a checkpoint, if there is one.

    Raises:
        ArgumentError: A number is out of range.
    """

    every_seconds: float | None = None
    every_epochs: int | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.every_seconds is not None and not self.every_seconds >= 0:
            raise ArgumentError(f"every_seconds must be 0 or more, got {self.every_seconds!r}.")
        if self.every_epochs is not None and self.every_epochs < 1:
            raise ArgumentError(f"every_epochs must be 1 or more, got {self.every_epochs!r}.")


def checkpoint_path(output_dir: Path, specification: RunSpecification) -> Path:
    """The checkpoint of a run: a hidden file beside its result.

    Args:
        output_dir: The directory of results.
        specification: The run.
    """
    name = f".random_seed__{specification.random_seed}__{specification.run_id}.checkpoint"
    return store.configuration_directory(output_dir, specification) / name


def place_in_checkpoint(output_dir: Path, specification: RunSpecification) -> str:
    """Where a run would continue, as in "in epoch 58 of 100"; empty without a usable checkpoint.

    Args:
        output_dir: The directory of results.
        specification: The run.
    """
    path = checkpoint_path(output_dir, specification)
    if not path.exists():
        return ""
    try:
        # Mapped: of gigabytes of parameters, nothing is read.
        content = torch.load(path, mmap=True, map_location="cpu", weights_only=True)
        _check(content, specification)
        epochs = int(content["state"]["history"]["epochs"])
    except Exception:  # damaged data lead to errors of all kinds; the run warns of them
        return ""
    epoch = min(epochs + 1, specification.num_epochs)
    # A run of so many steps ends somewhere in an epoch.
    total = "" if specification.max_steps is not None else f" of {specification.num_epochs}"
    return f"in epoch {epoch}{total}"


class Checkpointer:
    """Writes and reads the checkpoint of a run: one file, which a later one replaces.

    A context manager: inside, SIGTERM makes the run write a checkpoint at the next opportunity
    before the process ends. Failures are warned about and never end the run.

    Args:
        plan: When to write.
        output_dir: The directory of results.
        specification: The run.
        begin: Begins the run anew, in this process alone.
        ranks: The processes of the run, which agree on everything; `None` for one.
    """

    def __init__(
        self,
        plan: CheckpointPlan,
        output_dir: Path,
        specification: RunSpecification,
        begin: Callable[[], RunState],
        ranks: Ranks | None = None,
    ) -> None:
        self._path = checkpoint_path(output_dir, specification)
        self._plan = plan
        self._specification = specification
        self._is_possible = True
        self._was_read_back = False
        self._begin = begin
        self._ranks = ranks
        self._needs_trials = True
        self._tried: set[str] = set()
        self._latest = time.monotonic()
        self._termination = _DeferredSignal(signal.SIGTERM)

    def __enter__(self) -> None:
        self._termination.__enter__()

    def __exit__(self, *error: object) -> None:
        self._termination.__exit__(*error)

    def load(self) -> dict[str, Any] | None:
        """Read the state to continue from; `None` to start from the beginning."""
        if not on_main(self._ranks, self._path.exists):
            return None
        if not self._plan.resume:
            self._warn(
                "The run starts from the beginning. It was interrupted before, and could be "
                f"resumed from {self._path}, which the next checkpoint replaces."
            )
            return None
        try:
            content = self._read()
        except _UnusableCheckpointError as error:
            self.reject(error)
            return None
        before = content["environment"]
        changes = [
            f"{name} {now} instead of {before.get(name)}"
            for name, now in self._environment().items()
            if before.get(name) != now
        ]
        if changes:
            self._warn(
                f"The run continues with {', '.join(changes)}: its metrics may differ in the last "
                "bits from those of a run that was not interrupted."
            )
        state: dict[str, Any] = content["state"]
        return state

    def reject(self, error: Exception) -> None:
        """Warn that the checkpoint cannot be used."""
        self._warn(
            f"The run starts from the beginning: the checkpoint {self._path} cannot be used. "
            f"{error}"
        )

    def after_epoch(self, state: RunState) -> None:
        """Write a checkpoint if one is due after an evaluation."""
        every = self._plan.every_epochs
        if every is not None and state.history.epochs % every == 0:
            self._save(state)
        else:
            self.after_steps(state)

    def after_steps(self, state: RunState) -> None:
        """Write a checkpoint if one is due."""
        every = self._plan.every_seconds
        is_due = every is not None and time.monotonic() - self._latest >= every
        if self._ranks is not None:  # each has a clock and may get the signal earlier than others
            is_due, self._termination.has_arrived = self._ranks.any(
                is_due, self._termination.has_arrived
            )
        if is_due or self._termination.has_arrived:
            self._save(state)

    def remove(self) -> None:
        """Remove the checkpoint once the result exists."""
        on_main(self._ranks, functools.partial(self._path.unlink, missing_ok=True))

    def _save(self, state: RunState) -> None:
        if self._is_possible:
            # An interrupt inside `torch.save` would become a RuntimeError of its writer, like that
            # of an optimizer that cannot be saved, and the run would go on.
            with state.paused(), _DeferredSignal(signal.SIGINT):
                self._try_to_write(state)
        self._latest = time.monotonic()
        if self._termination.has_arrived:
            if on_main(self._ranks, self._path.exists):
                self._warn(f"The run was asked to terminate. It can be resumed from {self._path}.")
                on_main(self._ranks, first_to_report)  # nothing else has to be said
            self._termination.deliver()

    def _try_to_write(self, state: RunState) -> None:
        try:
            self._write(state)
        except Exception as error:  # optimizers may hold anything
            if is_of_lost_process(error):
                raise  # the file remains
            failure = _failure_of_the_disk(error)
            if failure is not None:  # a full disk may have space the next time
                reason = f"cannot be written: {failure}. The run continues."
                self._warn(f"The checkpoint {self._path} {reason}")
                return
            self._is_possible = False
            self.remove()
            self._warn(
                "The run cannot be resumed if it is interrupted, but would start from the "
                f"beginning: {_reason_of(error)}."
            )

    def _write(self, state: RunState) -> None:
        content: dict[str, Any] = {
            "version": _VERSION,
            "run_id": self._specification.run_id,
            "environment": self._environment(),
            "state": state.state_dict(),
        }
        left_out = content["state"]["optimizer"]["left_out"]
        if left_out:
            path, what = next(iter(left_out.items()))
            raise UnrestorableError(what, path)
        on_main(self._ranks, functools.partial(self._store, content, state))

    def _store(self, content: dict[str, Any], state: RunState) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(self._path) as stream:
            torch.save(content, stream)
            # Objects of other classes can be saved, but are refused when they are loaded. The first
            # checkpoint shows that, while the run can still be repeated at little cost.
            is_trial_due = self._is_trial_due(state, content["state"]["optimizer"])
            if is_trial_due or not self._was_read_back:
                loaded = self._load(stream)["state"]
                if is_trial_due:
                    self._try(state, loaded)
        self._was_read_back = True

    def _is_trial_due(self, state: RunState, optimizer: dict[str, Any]) -> bool:
        """Whether a checkpoint may hold another kind of state than was tried."""
        if not self._was_read_back:
            # Of torch's own optimizers, trials would show nothing: their states are known.
            self._needs_trials = has_others_code(*state.parts)
        before = self._tried
        self._tried = {*not_stored(optimizer), f"after an epoch: {state.history.epochs > 0}"}
        return self._needs_trials and self._tried != before

    def _try(self, state: RunState, loaded: dict[str, Any]) -> None:
        """Load what was stored into a second instance, and compare it with the first.

        Raises:
            UnrestorableError: They differ, so that the resumed run would go on differently.
        """
        with rng.preserved(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run itself showed them
            try:
                second = self._begin()
                second.load_weights(loaded, is_trial=True)
                different = first_difference(state.parts, second.parts)
            finally:
                restore_shared(loaded["optimizer"], *state.parts)
        if different is not None:
            raise UnrestorableError("which another instance does not restore", different)

    def _read(self) -> dict[str, Any]:
        """Read the file, its tensors to the device of the run."""
        try:
            with self._opened() as stream:
                damaged = zipfile.ZipFile(stream).testzip()
                content = None if damaged else self._load(stream)
        except Exception as error:  # damaged data lead to errors of all kinds
            if is_of_lost_process(error):
                raise
            raise _UnusableCheckpointError(f"It cannot be read: {error}.") from error
        if content is None:
            raise _UnusableCheckpointError(f"Its part {damaged} is damaged.")
        _check(content, self._specification)
        return content  # type: ignore[no-any-return]

    def _opened(self) -> IO[bytes]:
        if self._ranks is None:
            return self._path.open("rb")
        # Processes on other machines may not see the file.
        return io.BytesIO(self._ranks.on_main(self._path.read_bytes))

    def _warn(self, message: str) -> None:
        if self._ranks is None or self._ranks.is_main:
            warnings.warn(message, CheckpointWarning, stacklevel=2)

    def _load(self, stream: IO[bytes]) -> Any:
        device = self._specification.device
        if self._ranks is not None:
            device = local_device(device)
        move: Callable[[Any, str], Any] = default_restore_location

        def location(storage: Any, saved_on: str) -> Any:
            # What was on the CPU stays there: RNG states must, whatever the device of the run.
            return storage if saved_on == "cpu" else move(storage, device)

        stream.seek(0)
        return torch.load(stream, map_location=location, weights_only=True)

    def _environment(self) -> dict[str, Any]:
        """What the last bits of the run's numbers depend on."""
        device = torch.device(self._specification.device)
        hardware = environment.hardware(device)
        return {
            "torch": str(torch.__version__),
            "threads": hardware["torch_threads"],
            "processor": hardware["processor"],
            "device": hardware.get("accelerator", device.type),
        }


def _reason_of(error: Exception) -> str:
    if isinstance(error, UnrestorableError):
        return f"its optimizer holds what no checkpoint can hold, {error}"
    named = re.search(r"GLOBAL (\S+)", str(error))  # in a message of many lines
    if named:
        return f"its problem holds what no checkpoint can hold, a {named[1]}"
    return f"the trial of its checkpoint failed ({first_line_of(error)})"


class _UnusableCheckpointError(Exception):
    """Why a checkpoint cannot be used."""


def _check(content: Any, specification: RunSpecification) -> None:
    """Refuse what a file holds if it is no checkpoint of a run."""
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise _UnusableCheckpointError("It is of another version of DeepOBS.")
    if content.get("run_id") != specification.run_id:
        raise _UnusableCheckpointError("It is of another run.")
    if not all(isinstance(content.get(name), dict) for name in ("state", "environment")):
        raise _UnusableCheckpointError("It does not hold what a checkpoint holds.")


def _failure_of_the_disk(error: BaseException | None) -> OSError | None:
    """The `OSError` behind an error, which the writer of `torch.save` hides behind its own."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


class _DeferredSignal:
    """Defers a signal until the end of a block, or until `deliver`.

    Schedulers of clusters send SIGTERM before they kill, people SIGINT.

    A context manager; the earlier handler is restored at the end. Outside the main thread, where
    Python handles no signals, nothing is deferred.

    Attributes:
        has_arrived: Whether the signal arrived.
    """

    def __init__(self, number: signal.Signals) -> None:
        self.has_arrived = False
        self._number = number
        self._is_active = False

    def __enter__(self) -> Self:
        self._is_active = threading.current_thread() is threading.main_thread()
        if self._is_active:
            self._before = signal.signal(self._number, self._notice)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._is_active:
            # The earlier handler is `None` where it was not installed from Python.
            signal.signal(self._number, self._before or signal.SIG_DFL)
            self._is_active = False
            # Raised again rather than ended by `sys.exit`: the process then ends by the signal, as
            # the scheduler that sent it expects, and a handler of the caller's gets its turn.
            if self.has_arrived:
                signal.raise_signal(self._number)

    def deliver(self) -> None:
        """Do what the signal would have done."""
        self.__exit__()

    def _notice(self, _number: int, _frame: FrameType | None) -> None:
        self.has_arrived = True
