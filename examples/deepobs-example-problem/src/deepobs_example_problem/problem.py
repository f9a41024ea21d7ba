"""The test problem: a small perceptron on the spirals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from deepobs.problems import Problem
from torch import Tensor, nn

from deepobs_example_problem.spirals import Spirals

if TYPE_CHECKING:
    from deepobs.problems import Reduction
    from deepobs.protocols import Batch


class SpiralsMLP(Problem):
    """Cross-entropy of a perceptron with two hidden layers of 64 ReLUs.

    The base class loads the data set that the description names, moves the model to the device,
    and adds the regularizer `0.5 * weight_decay * sum(w^2)` over the kernels of dense layers.
    Override `regularized_parameters` for other tensors.

    In the names of tensors: B batch, D coordinates, K classes.
    """

    def build_model(self) -> nn.Module:
        """Build the model; the initial weights come from torch's global generator."""
        return nn.Sequential(
            nn.Linear(2, 64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, Spirals.num_classes),
        )

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, Tensor]:
        """The cross-entropy in nats, without the regularizer, and the logits.

        Args:
            batch: Points (B,D) and labels (B,).
            reduction: "none" for one loss per point, "mean" or "sum".
        """
        points_BD, labels_B = batch
        logits_BK = self.model(points_BD)
        return F.cross_entropy(logits_BK, labels_B, reduction=reduction), logits_BK

    def accuracy(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The fraction of the points that are assigned to the right spiral.

        Args:
            outputs: The logits (B,K) that `batch_losses` returned.
            batch: Points (B,D) and labels (B,).
        """
        is_correct_B = outputs.argmax(dim=1) == batch[1]
        # A tensor, not a float: a float would make the CPU wait for the GPU in every step.
        return is_correct_B.mean(dtype=torch.float32)
