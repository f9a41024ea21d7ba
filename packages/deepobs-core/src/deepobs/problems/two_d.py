"""Classic test functions of two variables, with noise on their gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from deepobs.plugins.catalog import import_target
from deepobs.problems.problem import SyntheticProblem, reduced

if TYPE_CHECKING:
    from deepobs.problems.problem import Reduction
    from deepobs.protocols import Batch


class TwoDModel(nn.Module):
    """The point (u, v), held in two scalars named `weight` and `bias` as in the original.

    Args:
        start: Where it starts.
    """

    def __init__(self, start: tuple[float, float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start[0]))
        self.bias = nn.Parameter(torch.tensor(start[1]))


class TwoD(SyntheticProblem):
    """A function of two variables plus the noise `u * x + v * y`."""

    records_iterates: ClassVar[bool] = True

    model: TwoDModel

    def build_model(self) -> TwoDModel:
        """The point where the original starts."""
        start = self.spec.options["start"]
        return TwoDModel(start)  # type: ignore[arg-type]

    def set_up(self) -> None:
        """Load the data, build the model and find the function."""
        super().set_up()
        self._function = import_target(str(self.spec.options["function"]), self.name)

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, None]:
        """The losses of a batch `(x (B,), y (B,))`; there is no accuracy."""
        x_B, y_B = batch
        u, v = self.model.weight, self.model.bias
        return reduced(self._function(u, v) + u * x_B + v * y_B, reduction), None


def rosenbrock(u: Tensor, v: Tensor) -> Tensor:
    """The curved valley of Rosenbrock, with its minimum 0 at (1, 1)."""
    return (1 - u) ** 2 + 100 * (v - u**2) ** 2


def beale(u: Tensor, v: Tensor) -> Tensor:
    """The function of Beale, with its minimum 0 at (3, 0.5)."""
    return (1.5 - u + u * v) ** 2 + (2.25 - u + u * v**2) ** 2 + (2.625 - u + u * v**3) ** 2


def branin(u: Tensor, v: Tensor) -> Tensor:
    """The function of Branin, with three equal minima of 0.397887."""
    valley = v - 5.1 / (4 * math.pi**2) * u**2 + 5 / math.pi * u - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * torch.cos(u) + 10
