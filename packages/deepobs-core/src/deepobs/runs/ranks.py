"""The ranks of a run: processes among which its batches are divided, as torchrun starts them."""

from __future__ import annotations

import atexit
import gc
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.distributed as dist

from deepobs import __version__
from deepobs.errors import DeepOBSError, ProcessGroupError, message_of
from deepobs.resources import torchrun_rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from deepobs.run_specifications import RunSpecification

T = TypeVar("T")

_OF_COMMUNICATION = ("gloo", "NCCL", "ProcessGroup", "Connection", "c10d", "store->")

_TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others: one that hangs must not hold all of them forever."""

_messages: dist.ProcessGroup | None = None
"""The group of messages, in processes that were joined here; `None` for the default group."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of a run, and which of them this is.

    Its methods are collective: every rank calls them, in the same order.

    Attributes:
        rank: The number of this process, from 0.
        count: The number of processes.
        messages: The group through which they talk of anything but gradients; `None` for the
            default group.
    """

    rank: int
    count: int
    messages: dist.ProcessGroup | None = None

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
            dist.all_reduce(values, group=None if values.is_cuda else self.messages)
        return values

    def any(self, *flags: bool) -> list[bool]:
        """Whether each flag is set in any process."""
        return [bool(count) for count in self.add(torch.tensor(flags, dtype=torch.int64))]

    def gathered(self, value: T) -> list[T]:
        """The values of all processes, in the order of their numbers."""
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value, group=self.messages)
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
            dist.broadcast_object_list(outcome, src=0, group=self.messages)
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
    ranks = Ranks(dist.get_rank(), dist.get_world_size(), _messages)
    _require_agreement(ranks, specification)
    return ranks


def _join(device: torch.device) -> None:
    global _messages  # as torch's own group, there is one in a process
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT
        )
        group = dist.new_group(timeout=_TIMEOUT, backend="gloo")
    except (RuntimeError, ValueError) as error:
        raise ProcessGroupError(
            f"The processes that torchrun started cannot communicate: {message_of(error)}."
        ) from error
    _messages = cast("dist.ProcessGroup", group)  # this process is a member
    atexit.register(_leave)


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
        return os.environ["LOCAL_RANK"] == "0"
    try:
        store = dist.distributed_c10d._get_default_store()
        return bool(store.add("deepobs/errors", 1) == 1)
    except Exception:  # it was in a process that is gone
        return True


def on_main(ranks: Ranks | None, function: Callable[[], T]) -> T:
    """Call a function in the main process of a run, and return its value in all of them."""
    return function() if ranks is None else ranks.on_main(function)


def lost_process(error: Exception, ranks: Ranks) -> ProcessGroupError | None:
    """What to raise for an error that means that another process of the run is gone."""
    if isinstance(error, DeepOBSError) or not isinstance(error, RuntimeError):
        return None
    if not any(word in str(error) for word in _OF_COMMUNICATION):
        return None
    return ProcessGroupError(
        f"Another of the {ranks.count} processes of this run ended or does not answer "
        f"({str(error).strip().splitlines()[0]}). Repeat the command; with --resume, it continues "
        "from the last checkpoint."
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
    global _messages
    if dist.is_initialized():
        # A thread of gloo that releases the tensor of a message after the interpreter has ended
        # aborts the process. The last reference to a group ends its threads before; the default
        # group, which `DistributedDataParallel` never releases, has no messages.
        _messages = None
        gc.collect()
        dist.destroy_process_group()
