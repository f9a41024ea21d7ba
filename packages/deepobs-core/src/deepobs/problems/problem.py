"""The base class of our test problems."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from deepobs import checks, config
from deepobs.checks import check_call
from deepobs.errors import ArgumentError, DeepOBSError
from deepobs.plugins import registry
from deepobs.plugins.catalog import Registered
from deepobs.plugins.specs import OWN_DATASET
from deepobs.problems.roles import parameter_roles

if TYPE_CHECKING:
    from deepobs.plugins import ProblemSpec
    from deepobs.protocols import Batch, DataSet

Reduction = Literal["none", "mean", "sum"]

_REDUCTIONS = get_args(Reduction)
_KERNEL_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)


class Problem(Registered, ABC):
    """A test problem: a data set, a model and a loss.

    A subclass builds the model and computes the losses of a batch. One class can serve many
    registered problems: `bind` makes a subclass for each specification.

    Args:
        batch_size: Examples per batch, in training and in evaluation.
        weight_decay: Factor of the regularizer `0.5 * weight_decay * sum(w^2)` over the kernels;
            `None` for the problem's default.
        device: Device of data and model; `None` for `config.get_default_device()`.
        validation_size: Number of training examples held out as `dataset.valid_loader`.
        drop_remainder: Whether evaluation skips the last, smaller batch, as the original does.
        reshuffle: Whether every epoch has a new order of the training data. With `False`, all have
            that of the first, as in the runs of the paper.
        train_fraction: Part of the training examples to train on.

    Attributes:
        spec: The specification it is registered with.
        model: The model, after `set_up`.
        dataset: The data set, after `set_up`.
        loss_function: After `set_up`, a module with an attribute `reduction` that computes the
            losses from the outputs of the model and the targets, `model(batch[0])` and `batch[1]`,
            for libraries that need one; `None` where losses depend on something else.
        has_regularizer: Whether it takes a `weight_decay`.
        records_iterates: Whether result files hold the parameters at every evaluation.
        dataset_options: The names of those options of the specification that its data set takes.

    Raises:
        ArgumentError: An argument is out of range.
    """

    facade: ClassVar[str] = "deepobs.pytorch.testproblems"
    spec: ClassVar[ProblemSpec]
    model: nn.Module
    dataset: DataSet
    loss_function: nn.Module | None = None
    has_regularizer: ClassVar[bool] = True
    records_iterates: ClassVar[bool] = False
    dataset_options: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        batch_size: int,
        weight_decay: float | None = None,
        device: str | torch.device | None = None,
        *,
        validation_size: int = 0,
        drop_remainder: bool = True,
        reshuffle: bool = True,
        train_fraction: float = 1.0,
    ) -> None:
        self.batch_size = checks.integer("batch_size", batch_size, least=1)
        if weight_decay is None:
            self.weight_decay = self.spec.weight_decay or 0.0
        else:
            self.weight_decay = checks.non_negative("weight_decay", weight_decay)
        if self.weight_decay and not self.has_regularizer:
            raise ArgumentError(
                f"{self.name} has no regularizer: weight_decay must be None or 0, "
                f"got {self.weight_decay}."
            )
        self.device = config.resolve_device(device)
        self.validation_size = checks.integer("validation_size", validation_size, least=0)
        self.drop_remainder = drop_remainder
        self.reshuffle = reshuffle
        self.train_fraction = train_fraction

    # Type checkers would take this method to allow any attribute.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Explain what is missing before `set_up`."""
            reason = ": call set_up() first" if name in ("model", "dataset") else ""
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{reason}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_size={self.batch_size}, device='{self.device}')"

    def set_up(self) -> None:
        """Load the data and build the model.

        Initial weights and the order of training examples are drawn from torch's global RNG of the
        CPU, so that `torch.manual_seed` fixes them on every device.

        Raises:
            DataError: The data are missing or corrupt.
            ArgumentError: The batch size or the validation size does not fit the data.
        """
        # The data set first, since it draws the seed for the order of examples. If it were drawn
        # after the weights, both would differ, and with them all recorded results.
        self.dataset = self.build_dataset()
        # On the CPU even if torch.set_default_device chose another: the RNG of each device differs.
        with torch.device("cpu"):
            model = self.build_model()
        self.model = model.to(device=self.device, dtype=config.get_dtype()).train()

    def build_dataset(self) -> DataSet:
        """Load the data set that the specification names."""
        datasets = registry().datasets
        try:
            offer = datasets.offer(self.spec.dataset)
            dataset_class = datasets.load(offer)
        except DeepOBSError as error:
            from deepobs.plugins.provenance import described

            if self.spec.dataset == OWN_DATASET:
                raise ArgumentError(
                    f"{described(self)} names no data set. Add one to its description, such as "
                    "dataset='quadratic' or dataset=MyDataSet, or override build_dataset."
                ) from error
            raise type(error)(f"{described(self)} needs a data set. {error}") from error
        options: dict[str, Any] = {
            "device": self.device,
            "validation_size": self.validation_size,
            "drop_remainder": self.drop_remainder,
        }
        # Only if asked for: data sets of other packages need not support it.
        if not self.reshuffle:
            options["reshuffle"] = False
        if self.train_fraction != 1:
            options["train_fraction"] = self.train_fraction
        for name in self.dataset_options:
            if name in self.spec.options:
                options[name] = self.spec.options[name]
        check_call(dataset_class, offer, self.batch_size, **options)
        dataset: DataSet = dataset_class(self.batch_size, **options)
        return dataset

    @abstractmethod
    def build_model(self) -> nn.Module:
        """Build the freshly initialized model, on the CPU."""

    @abstractmethod
    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, Any]:
        """Evaluate the model on one batch; see `reduced` for models with a loss per example.

        Args:
            batch: What a loader yields.
            reduction: "none" for one loss per example, "mean" or "sum".

        Returns:
            The losses without the regularizer, of shape `(batch_size,)` or a scalar; and those
            outputs of the model that `accuracy` needs.
        """

    def accuracy(self, outputs: Any, batch: Batch) -> Tensor | None:
        """The accuracy on one batch, a 0-dim tensor in [0, 1]; `None` if the problem has none.

        Args:
            outputs: What `batch_losses` returned besides the losses.
            batch: What a loader yields.
        """
        del outputs, batch
        return None

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

        Raises:
            ArgumentError: `reduction` is none of these.
        """
        losses, outputs = self.batch_losses(batch, _checked(reduction))
        return losses, self.accuracy(outputs, batch)

    def get_batch_loss(self, batch: Batch, reduction: str = "none") -> Tensor:
        """The same losses without the accuracy, which training does not need."""
        return self.batch_losses(batch, _checked(reduction))[0]

    def losses_of_batches(self, batches: Batch, batch_size: int) -> tuple[Tensor, Tensor | None]:
        """Evaluate several batches at once, where the specification has `independent_examples`.

        Runs use it only if it gives the same bits as a batch at a time. A subclass whose mean loss
        of a batch is not the plain mean over its examples overrides it.

        Args:
            batches: Batches as one. The last of them may be smaller.
            batch_size: Examples of the others.

        Returns:
            The mean loss of each batch, of shape `(batches,)`; and the accuracy on all examples, a
            0-dim tensor, or `None` if the problem has none.
        """
        losses_B, accuracy = self.get_batch_loss_and_accuracy(batches)
        full = len(losses_B) - len(losses_B) % batch_size
        means = losses_B[:full].view(-1, batch_size).mean(dim=1)
        if full < len(losses_B):
            means = torch.cat([means, losses_B[full:].mean().view(1)])
        return means, accuracy

    def batch_weight(self, batch: Batch) -> int:
        """How many of what an evaluation averages over are in a batch: by default, examples."""
        return len(batch[0])

    def split_batch(self, batch: Batch, parts: int) -> list[Batch]:
        """Split a batch of training into micro-batches; see the function `split_batch`.

        Problems that carry a state from batch to batch override it, so that each micro-batch
        continues from the same examples of the batch before.

        Args:
            batch: The batch.
            parts: The number of micro-batches.
        """
        return split_batch(batch, parts)

    def regularized_parameters(self) -> list[Tensor]:
        """The tensors that the regularizer covers: every kernel, but no bias or normalization."""
        return [
            module.weight for module in self.model.modules() if isinstance(module, _KERNEL_LAYERS)
        ]

    def get_regularization_loss(self) -> Tensor:
        """The regularizer `0.5 * weight_decay * sum(w^2)`, a scalar: 0 without weight decay."""
        kernels = self.regularized_parameters() if self.weight_decay else []
        if not kernels:
            return torch.zeros((), device=self.device, dtype=config.get_dtype())
        return 0.5 * self.weight_decay * torch.stack([w.square().sum() for w in kernels]).sum()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters in groups for optimizers with a `weight_decay` of their own.

        Returns:
            The parameters that the regularizer covers, and the others with `weight_decay` 0. There
            is no empty group.
        """
        regularized = self.regularized_parameters()
        # By identity, since `==` of tensors compares elements.
        covered = {id(parameter) for parameter in regularized}
        others = [p for p in self.model.parameters() if id(p) not in covered]
        groups: list[dict[str, Any]] = []
        if regularized:
            groups.append({"params": regularized})
        if others:
            groups.append({"params": others, "weight_decay": 0.0})
        return groups

    def parameter_roles(self) -> dict[str, str]:
        """The role of each trained parameter, a key of `ROLES`, by its name in the model."""
        return parameter_roles(self.model)


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Split a batch into micro-batches of equal or almost equal numbers of examples.

    Args:
        batch: Tensors whose first dimension is that of the examples.
        parts: The number of micro-batches; fewer, if there are fewer examples.

    Raises:
        ArgumentError: The tensors have other first dimensions.
    """
    shapes = [tuple(tensor.shape) for tensor in batch]
    if not all(shape and shape[0] == shapes[0][0] for shape in shapes):
        raise ArgumentError(
            "A batch can be split into micro-batches only if the first dimension of all of its "
            f"tensors is that of the examples; got the shapes {shapes}. Leave accumulate out, or "
            "give the problem a method split_batch(batch, parts)."
        )
    parts = min(parts, shapes[0][0])
    return list(zip(*(tensor.tensor_split(parts) for tensor in batch), strict=True))


def _checked(reduction: str) -> Reduction:
    if reduction not in _REDUCTIONS:
        raise ArgumentError(f"reduction must be one of {_REDUCTIONS}, got {reduction!r}.")
    return reduction  # type: ignore[return-value] # just checked


def reduced(losses_B: Tensor, reduction: Reduction) -> Tensor:
    """Reduce losses of shape `(batch,)`: "none" to return them unchanged, "mean" or "sum"."""
    if reduction == "mean":
        return losses_B.mean()
    return losses_B.sum() if reduction == "sum" else losses_B
