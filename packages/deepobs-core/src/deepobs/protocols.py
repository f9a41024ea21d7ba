"""The contracts between problems, data sets, runners and whoever uses them.

Anything with these attributes and methods takes part; deriving from our classes is a convenience.
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

    Yields one tuple of tensors a batch, already on the device: images `(images (B,C,H,W) float32,
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
    """A loader whose passes can be begun again, which an interrupted run does to go on.

    Other loaders can be resumed, too, if all that is random about them is drawn from torch's,
    NumPy's or Python's global generators.
    """

    def state_dict(self) -> dict[str, Any]:
        """What the next pass depends on: numbers, texts and tensors, in dictionaries or lists."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next pass be the one that followed when `state_dict` was called."""
        ...

    def batches_from(self, number: int) -> Iterator[Batch]:
        """Start a new pass, but leave out so many batches at its beginning."""
        ...


@runtime_checkable
class DataSet(Protocol):
    """The splits of a data set.

    Attributes:
        batch_size: Examples a batch.
        train_loader: The training examples, in a new order in every pass, augmented if at all.
        train_eval_loader: A fixed part of the training examples, not augmented.
        valid_loader: A fixed part that is held out from training, or `None`.
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


def loaders_of(dataset: DataSet) -> dict[str, Loader]:
    """The loaders of the splits that a data set has, by the name of the split."""
    loaders = {
        "train": dataset.train_loader,
        "train_eval": dataset.train_eval_loader,
        "valid": dataset.valid_loader,
        "test": dataset.test_loader,
    }
    return {name: loader for name, loader in loaders.items() if loader is not None}


PROBLEM_METHODS = (
    "set_up",
    "get_batch_loss_and_accuracy",
    "get_regularization_loss",
    "parameter_groups",
)
"""The methods of a test problem."""


class _NoTestClass(type(Protocol)):  # type: ignore[misc] # the metaclass has no public name
    """Keeps pytest from collecting what it takes for a test class.

    As an attribute of the protocol itself, `__test__` would be asked of every test problem.
    """

    __test__ = False


@runtime_checkable
class TestProblem(Protocol, metaclass=_NoTestClass):
    """A data set, a model and a loss; built as `(batch_size, weight_decay=None, device=None)`.

    `isinstance` asks for all of its attributes, so it takes a problem that was set up.

    Attributes:
        model: The model, once `set_up` was called.
        dataset: The data set, once `set_up` was called.
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
        """Load the data and build the model, with torch's global generator as it stands."""
        ...

    def get_batch_loss_and_accuracy(
        self, batch: Batch, reduction: str = "none"
    ) -> tuple[Tensor, Tensor | None]:
        """Evaluate the model on one batch.

        Args:
            batch: What a loader yields.
            reduction: "none" for one loss an example, "mean" or "sum".

        Returns:
            The losses without the regulariser, of shape `(batch_size,)` or a scalar; and the
            accuracy, a 0-dim tensor in [0, 1], or `None` where the problem has none.
        """
        ...

    def get_regularization_loss(self) -> Tensor:
        """The regulariser, a scalar: 0 where there is none."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters split into regularised ones and others."""
        ...


@runtime_checkable
class CarriesState(Protocol):
    """A test problem with a state that training carries from batch to batch, besides the model's.

    Without these methods, a run that goes on after an interruption has no such state to restore.
    """

    def carried_state(self) -> Any:
        """The state after the latest batch of training: numbers, tensors, tuples; or `None`."""
        ...

    def restore_carried_state(self, state: Any, batch: Batch) -> None:
        """Put a state back.

        Args:
            state: What `carried_state` returned.
            batch: The next batch of training, which goes on from there.
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
        """Carry out one run."""
        ...
