"""Prediction of the next character of a text.

Axes in the names of tensors: B batch, T time, K symbols.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import nn

from deepobs.problems import Problem, reduced
from deepobs.protocols import DataSet

if TYPE_CHECKING:
    from torch import Tensor

    from deepobs.problems import Reduction
    from deepobs.protocols import Batch


class Text(DataSet, Protocol):
    """What a language model requires of its data set."""

    @property
    def num_symbols(self) -> int:
        """Ids run from 0 to one less."""
        ...

    @property
    def sequence_length(self) -> int:
        """Characters per sequence."""
        ...


class SequenceCrossEntropy(nn.Module):
    """Cross-entropy in nats, averaged over the positions of each sequence.

    Args:
        reduction: "none" for one loss per sequence, "mean" or "sum".
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, logits_BTK: Tensor, targets_BT: Tensor) -> Tensor:
        """The losses of logits (B,T,symbols) and next ids (B,T)."""
        losses_BT = F.cross_entropy(logits_BTK.transpose(1, 2), targets_BT, reduction="none")
        return reduced(losses_BT.mean(dim=1), self.reduction)


class LanguageModel(Problem):
    """Cross-entropy of the next character, averaged over the positions of a sequence.

    `options["sequence_length"]` and `options["shuffles"]` of the specification are passed to the
    data set.
    """

    dataset_options: ClassVar[tuple[str, ...]] = ("sequence_length", "shuffles")
    dataset: Text

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """Predict each next character of a batch.

        Args:
            batch: Ids (B,T) and next ids (B,T).

        Returns:
            Shape (T, B, symbols).
        """

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, Tensor]:
        """Compute the cross-entropy in nats, and the logits.

        Args:
            batch: Ids (B,T) and next ids (B,T).
            reduction: "none" for one loss per sequence, "mean" or "sum".
        """
        logits_TBK = self.logits(batch)
        targets_TB = batch[1].t()
        # The mean is computed at once: from the losses of the sequences it would round differently.
        is_mean = reduction == "mean"
        losses = F.cross_entropy(
            logits_TBK.flatten(0, 1),
            targets_TB.flatten(),
            reduction="mean" if is_mean else "none",
        )
        if not is_mean:
            losses = reduced(losses.view(targets_TB.shape).mean(dim=0), reduction)
        return losses, logits_TBK

    def accuracy(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Compute the fraction of correctly predicted characters.

        Args:
            outputs: Logits (T,B,symbols).
            batch: Ids (B,T) and next ids (B,T).
        """
        is_correct_TB = outputs.argmax(dim=2) == batch[1].t()
        return is_correct_TB.mean(dtype=torch.float32)

    def batch_weight(self, batch: Batch) -> int:
        """The number of characters: the last sequences of a text can be shorter."""
        return batch[0].numel()

    def regularized_parameters(self) -> list[Tensor]:
        """The regularized tensors: matrices, including embeddings."""
        return [parameter for parameter in self.model.parameters() if parameter.ndim > 1]
