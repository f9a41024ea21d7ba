"""A test problem whose batches are divided among the processes of a run."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from deepobs.errors import ArgumentError, TrainingWarning
from deepobs.plugins.provenance import described
from deepobs.problems import Problem
from deepobs.protocols import CarriesState
from deepobs.runs.assembly import set_up_problem
from deepobs.runs.evaluation import weight_of
from deepobs.runs.ranks import Ranks, joined_ranks, local_device
from deepobs.runs.whole_batch_draws import WholeBatchDraws, draws_by_rank
from deepobs.runs.whole_batch_norm import normalize_whole_batches, require_known_normalizations

if TYPE_CHECKING:
    from deepobs.protocols import Batch, DataSet, TestProblem
    from deepobs.run_specifications import RunSpecification

__all__ = ["SharedCarryingProblem", "SharedProblem", "share"]

_WHY_NOT = {
    "backward": "computes gradients itself, which are not averaged over processes",
    "context": "changes the weights in its own way in each process",
    "create_graph": "needs graphs of gradients, which DistributedDataParallel does not build",
    "model": "observes the model, which sees a part of a batch in each process",
    "per_example_losses": "needs the losses of all examples in one process",
}

# Buffers are alike already, as every process sees whole batches. torch 2.14 renamed the argument.
_NAMES = inspect.signature(nn.parallel.DistributedDataParallel).parameters
_SYNCS_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers"


class SharedProblem:
    """A test problem as a process of a run sees it: whole batches in, losses of whole batches out.

    The rows of a batch are divided among the processes. Losses have the value for the whole batch;
    their gradients, once backward has ended, too, by `DistributedDataParallel`.

    Args:
        problem: The problem, after `set_up`, the same in all processes.
        ranks: The processes of the run.

    Attributes:
        problem: The problem itself.
        ranks: The processes of the run.
        model: Its model.
        dataset: Its data set, whose loaders yield whole batches.
    """

    def __init__(self, problem: TestProblem, ranks: Ranks) -> None:
        self.problem = problem
        self.ranks = ranks
        self.model = problem.model
        self.dataset: DataSet = problem.dataset
        self.batch_weight = weight_of(problem)
        device = next(self.model.parameters()).device
        options: dict[str, Any] = {_SYNCS_BUFFERS: False, "gradient_as_bucket_view": True}
        if device.type == "cuda":
            options["device_ids"] = [device]
        self._objective = nn.parallel.DistributedDataParallel(_Objective(problem), **options)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the problem has."""
        return getattr(self.problem, name)

    def get_batch_loss(self, batch: Batch, reduction: str = "mean") -> Tensor:
        """The mean loss of a whole batch, of shape ()."""
        return self._evaluated(batch, reduction, with_accuracy=False)[0]

    def get_batch_loss_and_accuracy(
        self, batch: Batch, reduction: str = "mean"
    ) -> tuple[Tensor, Tensor | None]:
        """The mean loss of a whole batch and its accuracy, of shape ()."""
        return self._evaluated(batch, reduction, with_accuracy=True)

    def get_regularization_loss(self) -> Tensor:
        """The regularizer, which every process computes alike."""
        return self.problem.get_regularization_loss()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The parameter groups of the problem."""
        return self.problem.parameter_groups()

    def set_up(self) -> None:
        """Nothing: the problem is set up."""

    def part_of(self, batch: Batch) -> Batch:
        """The rows of this process in a batch."""
        return rows_of(batch, self.ranks.rows(len(batch[0])))

    def _evaluated(
        self, batch: Batch, reduction: str, *, with_accuracy: bool
    ) -> tuple[Tensor, Tensor | None]:
        if reduction != "mean":
            raise ArgumentError(
                f"A run on several processes has no losses with reduction={reduction!r}."
            )
        total = len(batch[0])
        is_training = self.model.training
        if is_training and total < self.ranks.count:
            raise _indivisible(total, self.ranks)
        rows = self.ranks.rows(total)
        is_empty = rows.start == rows.stop
        # A process without rows evaluates one all the same, for its RNGs to stay like the others'.
        part = rows_of(batch, slice(0, 1) if is_empty else rows)
        share = 0.0 if is_empty else self.batch_weight(part) / self.batch_weight(batch)
        has_gradients = is_training and torch.is_grad_enabled()
        evaluate = self._objective if has_gradients else self._objective.module
        if self.ranks.count == 1:
            loss, accuracy = evaluate(part, with_accuracy=with_accuracy)
            return loss, accuracy
        with WholeBatchDraws(slice(0, 1) if is_empty else rows, total):
            loss, accuracy = evaluate(part, with_accuracy=with_accuracy)
        return self._combined(loss, accuracy, share)

    def _combined(
        self, loss: Tensor, accuracy: Tensor | None, share: float
    ) -> tuple[Tensor, Tensor | None]:
        """The values for a whole batch, from those of its parts."""
        values = [loss] if accuracy is None else [loss, accuracy]
        # In double precision, so that the accuracy is still recognized as a fraction of a count.
        sums = torch.stack([value.detach().double() * share for value in values])
        whole = self.ranks.add(sums).to(loss.dtype)
        value = whole[0]
        if loss.requires_grad:
            # The value is that of all processes, the gradient that of this one, whose mean over
            # the processes `DistributedDataParallel` computes.
            part = loss * (share * self.ranks.count)
            value = part + (value - part.detach())
        return value, None if accuracy is None else whole[1]


# So that training asks for the loss alone, without the accuracy.
Problem.register(SharedProblem)


class SharedCarryingProblem(SharedProblem):
    """A `SharedProblem` whose training carries a state: that of the rows of each process.

    The problem joins and splits such states by its methods `join_carried_states` and
    `split_carried_state`.
    """

    problem: Any

    def carried_state(self) -> Any:
        """The state of the whole batch."""
        state = self.problem.carried_state()
        states = self.ranks.gathered(state) if self.ranks.count > 1 else [state]
        return None if state is None else self.problem.join_carried_states(states)

    def restore_carried_state(self, state: Any, batch: Batch) -> None:
        """Restore the rows of this process in the state of a whole batch."""
        own = self.problem.split_carried_state(state, self.ranks.rows(len(batch[0])))
        self.problem.restore_carried_state(own, self.part_of(batch))


class _Objective(nn.Module):
    """The loss of a problem as a module, whatever methods of its model the problem calls."""

    def __init__(self, problem: TestProblem) -> None:
        super().__init__()
        self.model = problem.model
        self._evaluate = problem.get_batch_loss_and_accuracy
        self._loss = problem.get_batch_loss if isinstance(problem, Problem) else None

    def forward(self, batch: Batch, *, with_accuracy: bool) -> tuple[Tensor, Tensor | None]:
        """The mean loss of some examples, and the accuracy where it is asked for."""
        if self._loss is not None and not with_accuracy:
            return self._loss(batch, reduction="mean"), None
        return self._evaluate(batch, reduction="mean")


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch."""
    if hasattr(batch, "rows"):  # it knows more than its tensors
        part: Batch = batch.rows(rows)
        return part
    return tuple(tensor[rows] for tensor in batch)


def require_divisible(problem: TestProblem) -> None:
    """Refuse a problem whose batches cannot be divided among processes.

    Args:
        problem: The problem, after `set_up`.

    Raises:
        ArgumentError: Something in it needs whole batches in one process.
    """
    require_known_normalizations(problem.model)
    methods = ("join_carried_states", "split_carried_state")
    if isinstance(problem, CarriesState) and not all(hasattr(problem, name) for name in methods):
        raise ArgumentError(
            f"{described(problem)} carries a state from batch to batch, which cannot be divided "
            "among processes without its methods join_carried_states and split_carried_state. Use "
            "one process."
        )


def share(problem: TestProblem, ranks: Ranks | None = None) -> SharedProblem:
    """Divide the batches of a problem among processes, which train as one would.

    Every process calls it, with the same seed before `set_up`.

    Args:
        problem: The problem, after `set_up`. Its batch normalizations see whole batches from now
            on.
        ranks: The processes; `None` for all of torch's process group.

    Raises:
        ArgumentError: Something in the problem needs whole batches in one process.
    """
    if ranks is None:
        if not (dist.is_available() and dist.is_initialized()):
            raise ArgumentError(
                "There are no processes to share the batches: torch has no process group. Call "
                'torch.distributed.init_process_group("gloo") first, in a script that torchrun '
                "starts."
            )
        ranks = joined_ranks()
    carries = isinstance(problem, CarriesState)
    if carries or ranks.count > 1:
        require_divisible(problem)
    if ranks.count > 1:
        normalize_whole_batches(problem.model)
        if names := draws_by_rank(problem.model):
            warnings.warn(
                f"The random numbers of {', '.join(names)} depend on the number of processes: "
                f"this run is not the one that one process would execute.",
                TrainingWarning,
                stacklevel=2,
            )
    return (SharedCarryingProblem if carries else SharedProblem)(problem, ranks)


def _indivisible(size: int, ranks: Ranks) -> ArgumentError:
    return ArgumentError(
        f"A batch of {size} cannot be divided among {ranks.count} processes. Choose a larger "
        "batch_size or fewer processes."
    )


def set_up_shared_problem(specification: RunSpecification, ranks: Ranks) -> TestProblem:
    """Set up a problem whose batches are divided among the processes of a run.

    Args:
        specification: The run.
        ranks: The processes of the run.

    Raises:
        DeepOBSError: As of `set_up_problem`.
        ArgumentError: The optimizer or the model needs whole batches in one process, or there are
            more processes than examples in a batch.
    """
    smallest = specification.batch_size // specification.accumulate
    if smallest < ranks.count:
        raise _indivisible(smallest, ranks)
    for need in specification.optimizer_needs:
        if reason := _WHY_NOT.get(need.partition(":")[0]):
            raise ArgumentError(
                f"{specification.optimizer} cannot train on several processes: it {reason} "
                f"(needs {need}). Use one process."
            )
    here = specification.model_copy(update={"device": local_device(specification.device)})
    problem = share(set_up_problem(here), ranks)
    if (
        isinstance(problem, SharedCarryingProblem)
        and ranks.count > 1
        and specification.accumulate > 1
    ):
        raise ArgumentError(
            f"{specification.testproblem} carries a state from batch to batch, whose micro-batches "
            f"cannot be divided among processes; got accumulate={specification.accumulate}. Use "
            "one process, or leave accumulate out."
        )
    return problem
