"""The base class of our test problems."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor, nn

from deepobs import checks, config
from deepobs.checks import check_call
from deepobs.errors import ArgumentError, DeepOBSError
from deepobs.plugins.catalog import bound
from deepobs.problems.roles import parameter_roles

if TYPE_CHECKING:
    from deepobs.plugins import ProblemSpec
    from deepobs.protocols import Batch, DataSet

Reduction = Literal["none", "mean", "sum"]

_REDUCTIONS = get_args(Reduction)
_KERNEL_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)


class Problem(ABC):
    """A test problem: a data set, a model and a loss.

    A subclass says how to build the model and how to compute the losses of a batch. One class can
    serve many registered problems: `bind` gives each its own subclass with its description.

    Args:
        batch_size: Examples a batch, in training and in evaluation.
        weight_decay: Factor of the regulariser `0.5 * weight_decay * sum(w^2)` over the kernels;
            `None` for the problem's default.
        device: Where data and model live; `None` for `config.get_default_device()`.
        validation_size: Number of training examples held out as `dataset.valid_loader`.
        drop_remainder: Whether evaluation leaves out the last, smaller batch, as the original does.
        reshuffle: Whether every epoch has a new order of the training data. With `False`, all have
            that of the first: this is how the published curves came about.

    Attributes:
        spec: The description it is registered with.
        model: The model, once `set_up` was called.
        dataset: The data set, once `set_up` was called.

    Raises:
        ArgumentError: An argument is out of range.
    """

    spec: ClassVar[ProblemSpec]
    model: nn.Module
    dataset: DataSet

    def __init__(
        self,
        batch_size: int,
        weight_decay: float | None = None,
        device: str | torch.device | None = None,
        *,
        validation_size: int = 0,
        drop_remainder: bool = True,
        reshuffle: bool = True,
    ) -> None:
        self.batch_size = checks.integer("batch_size", batch_size, least=1)
        self.weight_decay = self._checked_weight_decay(weight_decay)
        self.device = config.resolve_device(device)
        self.validation_size = checks.integer("validation_size", validation_size, least=0)
        self.drop_remainder = drop_remainder
        self.reshuffle = reshuffle

    @classmethod
    def bind(cls, spec: ProblemSpec) -> type[Self]:
        """Make the subclass that stands for one registered problem.

        Args:
            spec: The description of the problem.
        """
        return bound(cls, spec, "deepobs.pytorch.testproblems")

    if not TYPE_CHECKING:  # type checkers would take it to allow any attribute

        def __getattr__(self, name: str) -> Any:
            """Explain what is missing before `set_up`."""
            reason = ": call set_up() first" if name in ("model", "dataset") else ""
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{reason}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_size={self.batch_size}, device='{self.device}')"

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return self.spec.name

    def set_up(self) -> None:
        """Load the data and build the model.

        The initial weights and the order of the training examples are drawn from torch's global
        generator on the CPU, so that `torch.manual_seed` fixes them on every device.

        Raises:
            DataError: The data are missing or broken.
            ArgumentError: The batch size or the validation size does not fit the data.
        """
        self.dataset = self.build_dataset()
        with torch.device("cpu"):  # even where torch.set_default_device chose another
            model = self.build_model()
        self.model = model.to(device=self.device, dtype=config.get_dtype()).train()

    def build_dataset(self) -> DataSet:
        """Load the data set that the description names."""
        from deepobs.plugins import registry
        from deepobs.plugins.provenance import described

        datasets = registry().datasets
        try:
            dataset_class = datasets.load(self.spec.dataset)
        except DeepOBSError as error:
            raise type(error)(f"{described(self)} needs a data set. {error}") from error
        options = {
            "device": self.device,
            "validation_size": self.validation_size,
            "drop_remainder": self.drop_remainder,
            **self.dataset_options(),
        }
        check_call(dataset_class, datasets.described(self.spec.dataset), self.batch_size, **options)
        dataset: DataSet = dataset_class(self.batch_size, **options)
        return dataset

    def dataset_options(self) -> dict[str, Any]:
        """What the data set is to do besides what every problem asks for."""
        # Data sets of others need not know how to keep the order of the first epoch.
        return {} if self.reshuffle else {"reshuffle": False}

    @abstractmethod
    def build_model(self) -> nn.Module:
        """Build the freshly initialised model, on the CPU."""

    @abstractmethod
    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, Any]:
        """Evaluate the model on one batch; `reduced` serves those that have a loss an example.

        Args:
            batch: What a loader yields.
            reduction: "none" for one loss an example, "mean" or "sum".

        Returns:
            The losses without the regulariser, of shape `(batch_size,)` or a scalar; and what
            `accuracy` needs to know of the model's outputs.
        """

    def accuracy(self, outputs: Any, batch: Batch) -> Tensor | None:
        """The accuracy on one batch; `None`, unless a subclass says otherwise.

        Args:
            outputs: What `batch_losses` returned beside the losses.
            batch: What a loader yields.

        Returns:
            A 0-dim tensor in [0, 1], or `None` where the problem has none.
        """
        del outputs, batch
        return None

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

        Raises:
            ArgumentError: `reduction` is none of these.
        """
        losses, outputs = self.batch_losses(batch, _checked(reduction))
        return losses, self.accuracy(outputs, batch)

    def get_batch_loss(self, batch: Batch, reduction: str = "none") -> Tensor:
        """The same losses, for training, which has no use for the accuracy."""
        return self.batch_losses(batch, _checked(reduction))[0]

    def regularized_parameters(self) -> list[Tensor]:
        """The tensors that the regulariser covers: every kernel, but no bias or normalisation."""
        return [
            module.weight for module in self.model.modules() if isinstance(module, _KERNEL_LAYERS)
        ]

    def get_regularization_loss(self) -> Tensor:
        """The regulariser `0.5 * weight_decay * sum(w^2)`, a scalar: 0 without weight decay."""
        kernels = self.regularized_parameters() if self.weight_decay else []
        if not kernels:
            return torch.zeros((), device=self.device, dtype=config.get_dtype())
        return 0.5 * self.weight_decay * torch.stack([w.square().sum() for w in kernels]).sum()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters split in two groups, for optimizers that take their own `weight_decay`.

        Returns:
            The parameters that the regulariser covers, then the others with `weight_decay` 0; a
            group that would be empty is left out.
        """
        regularized = self.regularized_parameters()
        covered = {id(parameter) for parameter in regularized}
        others = [p for p in self.model.parameters() if id(p) not in covered]
        groups: list[dict[str, Any]] = []
        if regularized:
            groups.append({"params": regularized})
        if others:
            groups.append({"params": others, "weight_decay": 0.0})
        return groups

    def parameter_roles(self) -> dict[str, str]:
        """What each trained parameter does in the model, for optimizers that tell them apart.

        Returns:
            A word of `deepobs.problems.roles.ROLES` by the parameter's name in the model.
        """
        return parameter_roles(self.model)

    def _checked_weight_decay(self, weight_decay: float | None) -> float:
        if weight_decay is None:
            return self.spec.weight_decay or 0.0
        return checks.non_negative("weight_decay", weight_decay)


def _checked(reduction: str) -> Reduction:
    if reduction not in _REDUCTIONS:
        raise ArgumentError(f"reduction must be one of {_REDUCTIONS}, got {reduction!r}.")
    return reduction  # type: ignore[return-value] # just checked


def reduced(losses_B: Tensor, reduction: Reduction) -> Tensor:
    """Reduce one loss an example to what is asked for.

    Args:
        losses_B: Shape (batch,).
        reduction: "none" to leave them as they are, "mean" or "sum" for a scalar.
    """
    if reduction == "mean":
        return losses_B.mean()
    return losses_B.sum() if reduction == "sum" else losses_B
