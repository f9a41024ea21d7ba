"""The ranks of a run: processes among which its batches are divided, as torchrun starts them."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.distributed as dist

from deepobs import __version__
from deepobs.errors import DeepOBSError, ProcessGroupError, message_of
from deepobs.resources import torchrun_rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from torch import Tensor, nn

    from deepobs.run_specifications import RunSpecification

T = TypeVar("T")

_OF_COMMUNICATION = ("gloo", "NCCL", "ProcessGroup", "Connection", "c10d", "store->")

_TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others: one that hangs must not hold all of them forever."""

_PATIENCE_SECONDS = 30
"""How long a rank that made a mistake before the run leaves it to the first one to report it."""

_messages: dist.ProcessGroup | None = None
"""The group of anything but gradients: as torch's own group, there is one in a process."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of a run, and which of them this is.

    Its methods are collective: every rank calls them, in the same order.

    Attributes:
        rank: The number of this process, from 0.
        count: The number of processes.
    """

    rank: int
    count: int

    @property
    def is_main(self) -> bool:
        """Whether this process writes results and checkpoints and shows the progress."""
        return self.rank == 0

    def rows(self, size: int) -> slice:
        """The rows of this process in a batch.

        Args:
            size: Rows of the whole batch; ranks may get one more than others, or none.
        """
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def add(self, values: Tensor) -> Tensor:
        """Add the values of all processes, in place."""
        if self.count > 1:
            dist.all_reduce(values, group=None if values.is_cuda else _messages)
        return values

    def any(self, *flags: bool) -> list[bool]:
        """Whether each flag is set in any process."""
        return [bool(count) for count in self.add(torch.tensor(flags, dtype=torch.int64))]

    def gathered(self, value: T) -> list[T]:
        """The values of all processes, in the order of their numbers."""
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value, group=_messages)
        return values

    def on_main(self, function: Callable[[], T]) -> T:
        """Call a function in the main process, and return in all of them what it returned there.

        Raises:
            Exception: What it raised there.
        """
        outcome: list[Any] = [None, None]
        if self.is_main:
            try:
                outcome[0] = function()
            except Exception as error:
                outcome[1] = error
        if self.count > 1:
            dist.broadcast_object_list(outcome, src=0, group=_messages)
        if outcome[1] is not None:
            raise outcome[1]
        value: T = outcome[0]
        return value


def ranks_of(specification: RunSpecification) -> Ranks | None:
    """The ranks of a run; `None` where this process executes it alone.

    Args:
        specification: The run, which must be the same in all of them.

    Raises:
        ProcessGroupError: The processes cannot communicate, were given different runs, or have
            different versions.
    """
    is_joined = dist.is_available() and dist.is_initialized()
    if not is_joined and torchrun_rank() is None:
        return None
    if not is_joined:
        _join(torch.device(specification.device))
    ranks = joined_ranks()
    with lost_processes_reported(ranks):
        _require_agreement(ranks, specification)
    return ranks


def joined_ranks() -> Ranks:
    """The ranks of torch's process group, whoever initialized it.

    Every process calls it, as the group of messages is new where there was none.
    """
    global _messages
    if not _has_messages():
        group = dist.new_group(timeout=_TIMEOUT, backend="gloo")
        _messages = cast("dist.ProcessGroup", group)  # this process is a member
        atexit.register(_leave)
    return Ranks(dist.get_rank(), dist.get_world_size())


def _has_messages() -> bool:
    try:
        return len(dist.get_process_group_ranks(_messages)) > 0 if _messages else False
    except KeyError:  # torch's process group has been destroyed, and all others with it
        return False


def _join(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT
        )
        joined_ranks()
    except (RuntimeError, ValueError) as error:
        raise ProcessGroupError(
            f"The processes that torchrun started cannot communicate: {message_of(error)}."
        ) from error
    # Not before: while a process waits for the others to join, Python handles no signals.
    if dist.get_world_size() > 1:
        _when_terminated(_raise)
        atexit.register(_when_terminated, signal.SIG_DFL)


def _when_terminated(do: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, do)


def _raise(_number: int, _frame: FrameType | None) -> None:
    # torchrun may notice the end of a process before the others do, and terminates them.
    raise _gone(dist.get_world_size(), "ended, or all were asked to terminate (SIGTERM)")


def local_device(device: str) -> str:
    """The device of this process: each of those on a machine has a GPU of its own."""
    if torch.device(device).type != "cuda":
        return device
    return f"cuda:{os.environ.get('LOCAL_RANK', torch.cuda.current_device())}"


def first_to_report() -> bool:
    """Whether this process is the first of those of torchrun to report an error, which ends all."""
    if torchrun_rank() is None:
        return True
    if not dist.is_initialized():  # before the run, all on a machine make the same mistake
        if os.environ["LOCAL_RANK"] != "0":
            time.sleep(_PATIENCE_SECONDS)  # the end of this process would end the first, too
        return True
    _when_terminated(signal.SIG_IGN)  # else torchrun might end it before it has reported
    try:
        store = dist.distributed_c10d._get_default_store()
        return bool(store.add("deepobs/errors", 1) == 1)
    except Exception:  # it was in a process that is gone
        return True


def on_main(ranks: Ranks | None, function: Callable[[], T]) -> T:
    """Call a function in the main process of a run, and return its value in all of them."""
    return function() if ranks is None else ranks.on_main(function)


def is_of_lost_process(error: Exception) -> bool:
    """Whether an error means that another process of the run is gone."""
    if isinstance(error, DeepOBSError) or not isinstance(error, RuntimeError):
        return isinstance(error, ProcessGroupError)
    return any(word in str(error) for word in _OF_COMMUNICATION)


@contextlib.contextmanager
def lost_processes_reported(ranks: Ranks | None) -> Iterator[None]:
    """Raise errors of communication in the block as what they mean.

    Args:
        ranks: The processes of the run; `None` for one, which has no such errors.

    Raises:
        ProcessGroupError: Another process of the run is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if ranks is None or not is_of_lost_process(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise _gone(ranks.count, f"ended or does not answer ({reason})") from error


def _gone(count: int, what: str) -> ProcessGroupError:
    return ProcessGroupError(
        f"Another of the {count} processes of this run {what}. Repeat the command; with --resume, "
        "it continues from the last checkpoint."
    )


class SameWeights:
    """An observer that notices when the weights of processes drift apart.

    Args:
        model: The model of this process.
        ranks: The processes of the run.
    """

    def __init__(self, model: nn.Module, ranks: Ranks) -> None:
        self._model = model
        self._ranks = ranks

    def epoch_ended(self, epoch: int, metrics: object) -> None:
        """Compare the weights of all processes.

        Raises:
            ProcessGroupError: They differ.
        """
        del metrics
        with torch.no_grad():
            sums = [one.double().sum() for one in self._model.parameters()]
        # As bytes: a NaN, of a run that diverges, is the same in all of them.
        sums_here = torch.stack(sums).cpu().numpy().tobytes()
        if len(set(self._ranks.gathered(sums_here))) > 1:
            raise ProcessGroupError(
                f"The weights in the processes of this run differ after epoch {epoch}: the "
                "optimizer does not do the same in all of them. Use one process."
            )


def _require_agreement(ranks: Ranks, specification: RunSpecification) -> None:
    here = {
        "DeepOBS": __version__,
        "torch": str(torch.__version__),
        "run": specification.run_id,
    }
    for number, there in enumerate(ranks.gathered(here)):
        for name, value in here.items():
            if there[name] != value:
                raise ProcessGroupError(
                    f"The processes of a run must agree, but rank {number} has {name} "
                    f"{there[name]} and rank {ranks.rank} {value}. Use the same command, code and "
                    "environment for all of them."
                )


def _leave() -> None:
    # A thread of gloo that releases the tensor of a message after the interpreter has ended aborts
    # the process. The last reference to a group ends its threads before; the default group, which
    # `DistributedDataParallel` never releases, has no messages.
    global _messages
    _messages = None
    gc.collect()
    if dist.is_initialized():
        dist.destroy_process_group()
