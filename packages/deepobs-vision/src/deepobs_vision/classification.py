"""Image classification."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from deepobs.plugins.catalog import import_target
from deepobs.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from torch import Tensor

    from deepobs.problems import Reduction
    from deepobs.protocols import Batch, DataSet

    class LabeledImages(DataSet, Protocol):
        """What classification requires of its data set."""

        @property
        def image_shape(self) -> tuple[int, int, int]:
            """Channels, height and width of an image."""
            ...

        @property
        def num_classes(self) -> int:
            """Labels run from 0 to one less."""
            ...


class ImageClassification(Problem):
    """Cross-entropy of the model that `options["model"]` of the specification names.

    The model, `package.module:function`, is called with the `image_shape` and the `num_classes` of
    the data set. If `options["regularizes_dense"]` is `False`, the kernels of dense layers are not
    regularized, as for VGG and Inception in the original. Labels are smoothed by
    `options["label_smoothing"]`, in evaluation, too. The data set takes `options["preprocessing"]`.
    """

    dataset_options: ClassVar[tuple[str, ...]] = ("preprocessing",)
    dataset: LabeledImages

    def set_up(self) -> None:
        """Load the data, and build the model and the loss."""
        super().set_up()
        self.loss_function = nn.CrossEntropyLoss(label_smoothing=self._label_smoothing)

    def build_model(self) -> nn.Module:
        """Build the model for the images and classes of the data set."""
        build = import_target(str(self.spec.options["model"]), f"The model of {self.name}")
        model: nn.Module = build(self.dataset.image_shape, self.dataset.num_classes)
        return model

    def regularized_parameters(self) -> list[Tensor]:
        """The regularized tensors: kernels, with or without those of dense layers."""
        if self.spec.options.get("regularizes_dense", True):
            return super().regularized_parameters()
        return [module.weight for module in self.model.modules() if isinstance(module, nn.Conv2d)]

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, Tensor]:
        """Compute the cross-entropy in nats, and the logits.

        Args:
            batch: Images (B,C,H,W) and labels (B,).
            reduction: "none" for one loss per image, "mean" or "sum".
        """
        images_BCHW, labels_B = batch
        logits_BK = self.model(images_BCHW)
        return self._cross_entropy(logits_BK, labels_B, reduction=reduction), logits_BK

    def losses_of_batches(self, batches: Batch, batch_size: int) -> tuple[Tensor, Tensor]:
        """Evaluate several batches at once; the losses are those of `batch_losses` to the bit."""
        images_BCHW, labels_B = batches
        logits_BK = self.model(images_BCHW)
        scores_BK, loss = logits_BK, self._cross_entropy
        if not self._label_smoothing:
            # What a cross-entropy consists of. Its mean adds in another order than a tensor's.
            scores_BK, loss = logits_BK.log_softmax(dim=1), F.nll_loss
        parts = (torch.split(part, batch_size) for part in (scores_BK, labels_B))
        means = torch.stack([loss(*part) for part in zip(*parts, strict=True)])
        return means, self.accuracy(logits_BK, batches)

    @property
    def _label_smoothing(self) -> float:
        return float(self.spec.options.get("label_smoothing", 0.0))  # type: ignore[arg-type] # a number

    @property
    def _cross_entropy(self) -> Callable[..., Tensor]:
        return partial(F.cross_entropy, label_smoothing=self._label_smoothing)

    def accuracy(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Compute the fraction of correctly classified images.

        Args:
            outputs: Logits (B,K).
            batch: Images (B,C,H,W) and labels (B,).
        """
        is_correct_B = outputs.argmax(dim=1) == batch[1]
        return is_correct_B.mean(dtype=torch.float32)


class LogisticRegression(ImageClassification):
    """Classification by one dense layer, many of which are trained together in few operations."""

    def stacked_losses(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The mean losses of S models, shape (S,).

        Args:
            parameters: The kernels (S, K, pixels) and the biases (S, K).
            batch: Images (B,C,H,W) and labels (B,).
        """
        return self._mean_losses(_stacked_logits(parameters, batch[0]), batch[1])

    def stacked_metrics(
        self, parameters: Mapping[str, Tensor], batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """The mean losses and the accuracies of S models, both of shape (S,); see above."""
        logits_BSK, labels_B = _stacked_logits(parameters, batch[0]), batch[1]
        is_correct_BS = logits_BSK.argmax(dim=2) == labels_B.unsqueeze(1)
        accuracies = is_correct_BS.mean(dim=0, dtype=torch.float32)
        return self._mean_losses(logits_BSK, labels_B), accuracies

    def _mean_losses(self, logits_BSK: Tensor, labels_B: Tensor) -> Tensor:
        batch_size, models, _ = logits_BSK.shape
        labels = labels_B.repeat_interleave(models)
        losses = self._cross_entropy(logits_BSK.flatten(0, 1), labels, reduction="none")
        return losses.view(batch_size, models).mean(dim=0)


def _stacked_logits(parameters: Mapping[str, Tensor], images_BCHW: Tensor) -> Tensor:
    # One matrix product for all models, since all see the same images.
    kernels_SKP, biases_SK = parameters.values()
    logits = torch.addmm(biases_SK.flatten(), images_BCHW.flatten(1), kernels_SKP.flatten(0, 1).T)
    return logits.view(len(images_BCHW), *biases_SK.shape)
