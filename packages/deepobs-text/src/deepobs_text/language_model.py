"""Predicting the next character of a text."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F

from deepobs.problems import Problem, reduced
from deepobs.protocols import DataSet

if TYPE_CHECKING:
    from torch import Tensor

    from deepobs.problems import Reduction
    from deepobs.protocols import Batch


class Text(DataSet, Protocol):
    """What is asked of the data set."""

    @property
    def num_symbols(self) -> int:
        """Ids run from 0 to one less."""
        ...

    @property
    def sequence_length(self) -> int:
        """Characters of a sequence."""
        ...


class LanguageModel(Problem):
    """Cross-entropy of the next character, its mean over the positions of a sequence.

    `options["sequence_length"]` and `options["shuffles"]` of the description are passed on to the
    data set.
    """

    dataset: Text

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """Predict every next character of a batch.

        Args:
            batch: Ids (B,T) and next ids (B,T).

        Returns:
            Shape (T, B, symbols).
        """

    def dataset_options(self) -> dict[str, Any]:
        """What the data set is to do besides what every problem asks for."""
        known = ("sequence_length", "shuffles")
        chosen = {name: self.spec.options[name] for name in known if name in self.spec.options}
        return super().dataset_options() | chosen

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, Tensor]:
        """The cross-entropy in nats, and the logits.

        Args:
            batch: Ids (B,T) and next ids (B,T).
            reduction: "none" for one loss a sequence, "mean" or "sum".
        """
        logits_TBK = self.logits(batch)
        targets_TB = batch[1].t()
        is_mean = reduction == "mean"  # which needs no loss of each sequence
        losses = F.cross_entropy(
            logits_TBK.flatten(0, 1),
            targets_TB.flatten(),
            reduction="mean" if is_mean else "none",
        )
        if not is_mean:
            losses = reduced(losses.view(targets_TB.shape).mean(dim=0), reduction)
        return losses, logits_TBK

    def accuracy(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The fraction of all characters that are predicted.

        Args:
            outputs: Logits (T,B,symbols).
            batch: Ids (B,T) and next ids (B,T).
        """
        is_correct_TB = outputs.argmax(dim=2) == batch[1].t()
        return is_correct_TB.mean(dtype=torch.float32)

    def regularized_parameters(self) -> list[Tensor]:
        """The tensors that the regulariser covers: matrices, embeddings among them."""
        return [parameter for parameter in self.model.parameters() if parameter.ndim > 1]
