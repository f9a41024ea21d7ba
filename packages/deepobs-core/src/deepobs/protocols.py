"""The protocols of problems, data sets and runners.

Anything with these attributes and methods is accepted; deriving from our classes is optional.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch
    from torch import Tensor, nn

    from deepobs.records import RunRecord

Batch: TypeAlias = "tuple[Tensor, ...]"


@runtime_checkable
class Loader(Protocol):
    """The batches of one split, sized and re-iterable.

    Yields one tuple of tensors per batch, already on the device: images `(images (B,C,H,W) float32,
    labels (B,) int64)`, text `(ids (B,T) int64, next ids (B,T) int64)`, quadratic `(x (B,100),)`,
    two_d `(x (B,), y (B,))`.
    """

    def __len__(self) -> int:
        """The number of batches in a pass."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """Start a new pass."""
        ...


@runtime_checkable
class ResumableLoader(Loader, Protocol):
    """A loader whose passes can be repeated from the middle, for runs that resume.

    Other loaders can be resumed, too, if they draw random numbers only from the global RNGs of
    torch, NumPy and Python, or from generators of torch that are attributes of the loader or of its
    samplers.
    """

    def state_dict(self) -> dict[str, Any]:
        """What the next pass depends on: numbers, strings and tensors, in dictionaries or lists."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next pass the one that followed the call of `state_dict`."""
        ...

    def batches_from(self, number: int) -> Iterator[Batch]:
        """Start a new pass without its first `number` batches."""
        ...


@runtime_checkable
class DataSet(Protocol):
    """The splits of a data set.

    Attributes:
        batch_size: Examples per batch.
        train_loader: The training examples, in a new order in every pass, augmented if at all.
        train_eval_loader: A fixed part of the training examples, not augmented.
        valid_loader: A fixed part held out of the training set, or `None`.
        test_loader: The test examples.
    """

    batch_size: int
    train_loader: Loader
    train_eval_loader: Loader
    valid_loader: Loader | None
    test_loader: Loader

    def __init__(
        self,
        batch_size: int,
        *,
        device: str | torch.device | None = None,
        validation_size: int = 0,
        drop_remainder: bool = True,
    ) -> None: ...

    @property
    def name(self) -> str:
        """The name it is registered under."""
        ...


class _NoTestClass(type(Protocol)):  # type: ignore[misc] # the metaclass has no public name
    """Keeps pytest from collecting the protocol as a test class.

    As an attribute of the protocol itself, `__test__` would be required of every test problem.
    """

    __test__ = False


@runtime_checkable
class TestProblem(Protocol, metaclass=_NoTestClass):
    """A data set, a model and a loss; built as `(batch_size, weight_decay=None, device=None)`.

    Evaluations average over the examples, `len(batch[0])`. A problem that averages over something
    else, such as characters, has a method `batch_weight(batch) -> int` that counts it.

    `isinstance` requires all of its attributes, so it is true after `set_up` only.

    Attributes:
        model: The model, after `set_up`.
        dataset: The data set, after `set_up`.
    """

    model: nn.Module
    dataset: DataSet

    def __init__(
        self,
        batch_size: int,
        weight_decay: float | None = None,
        device: str | torch.device | None = None,
    ) -> None: ...

    def set_up(self) -> None:
        """Load the data and build the model, drawing from torch's global RNG."""
        ...

    def get_batch_loss_and_accuracy(
        self, batch: Batch, reduction: str = "none"
    ) -> tuple[Tensor, Tensor | None]:
        """Evaluate the model on one batch.

        Args:
            batch: What a loader yields.
            reduction: "none" for one loss per example, "mean" or "sum".

        Returns:
            The losses without the regularizer, of shape `(batch_size,)` or a scalar; and the
            accuracy, a 0-dim tensor in [0, 1], or `None` if the problem has none.
        """
        ...

    def get_regularization_loss(self) -> Tensor:
        """The regularizer, a scalar; 0 without one."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters split into regularized ones and others."""
        ...


@runtime_checkable
class CarriesState(Protocol):
    """A test problem whose training carries a state from batch to batch, besides the model.

    Without these methods, a run that resumes has no such state to restore. Runs on several devices
    also need `join_carried_states(states)`, the state of a batch from those of its parts in their
    order, and `split_carried_state(state, rows)`, that of a slice of its rows.
    """

    def carried_state(self) -> Any:
        """The state after the latest batch of training: numbers, tensors, tuples; or `None`."""
        ...

    def restore_carried_state(self, state: Any, batch: Batch) -> None:
        """Restore a state.

        Args:
            state: What `carried_state` returned.
            batch: The next batch of training, which continues from it.
        """
        ...


@runtime_checkable
class Runner(Protocol):
    """Trains one optimizer on one test problem."""

    def __init__(
        self,
        optimizer_class: type[torch.optim.Optimizer],
        hyperparams: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]],
    ) -> None: ...

    def run(self, testproblem: str | None = None, **arguments: Any) -> RunRecord:
        """Execute one run."""
        ...
