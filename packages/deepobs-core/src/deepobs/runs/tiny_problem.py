"""A problem of a few numbers, on which optimizers are tried before any work starts."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from deepobs.protocols import Batch


class TinyProblem:
    """Eight words to sort into two classes, by a network that has parameters of all roles.

    Attributes:
        batch: All of the data.
    """

    def __init__(self) -> None:
        with torch.device("cpu"):  # even where torch.set_default_device chose another
            self.model = nn.Sequential(
                nn.Embedding(8, 4), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)
            )
            self.batch: Batch = (torch.arange(8), torch.arange(8) % 2)

    def get_batch_loss_and_accuracy(
        self, batch: Batch, reduction: str = "none"
    ) -> tuple[Tensor, None]:
        """The cross-entropy; there is no accuracy."""
        words_B, classes_B = batch
        return F.cross_entropy(self.model(words_B), classes_B, reduction=reduction), None

    def get_regularization_loss(self) -> Tensor:
        """None."""
        return torch.zeros((), device="cpu")

    def numbers(self) -> list[float]:
        """All parameters, for comparison."""
        return torch.cat([one.detach().flatten() for one in self.model.parameters()]).tolist()


class Point(nn.Module):
    """One number with a gradient, of two dimensions, since some optimizers take only matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.ones(1, 1, device="cpu"))
        self.number.grad = torch.ones_like(self.number)


@functools.cache
def network() -> nn.Module:
    """A network for constructors, which do not change it."""
    return TinyProblem().model


def point() -> Point:
    """A point at 1, the same object every time: that of another trial, put back."""
    found = _point()
    found.number.data.fill_(1.0)
    return found


@functools.cache
def _point() -> Point:
    return Point()
