"""The diagnostic problems: each has one difficulty, and a loss whose least value is 0."""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepobs.plugins.catalog import import_target
from deepobs.problems.problem import reduced
from deepobs.problems.roles import parameter_roles
from deepobs.problems.synthetic import SyntheticProblem, random_rotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from deepobs.problems.problem import Reduction
    from deepobs.protocols import Batch


class Diagnostic(SyntheticProblem):
    """A problem whose model, called with a batch of noise, returns the losses of its examples.

    The model is what the option `model` names: a class, called with the option `arguments`.
    """

    def build_model(self) -> nn.Module:
        """Build the model."""
        options = self.spec.options
        build = import_target(str(options["model"]), self.name)
        model: nn.Module = build(**options.get("arguments", {}))  # type: ignore[arg-type]
        return model

    def parameter_roles(self) -> dict[str, str]:
        """Those of layers; a point is a vector."""
        return parameter_roles(self.model)

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, None]:
        """The losses of a batch; there is no accuracy."""
        return reduced(self.model(*batch), reduction), None


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Half of the squared distance of each output, a number or a vector, from its target (B,)."""
    squares = (outputs - targets).square()
    return 0.5 * (squares.sum(dim=1) if squares.ndim > 1 else squares)


class HalfSquaredError(nn.Module):
    """Half of the squared distance of outputs from targets.

    Args:
        reduction: "none" for one loss per example, "mean" or "sum".
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The losses of outputs (batch,) or (batch, features)."""
        return reduced(half_squared_error(outputs, targets), self.reduction)


class LearnedMap(Diagnostic):
    """A problem whose model learns a map from pairs of an input and an output."""

    loss_function = HalfSquaredError()

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, None]:
        """The losses of a batch of inputs and targets; there is no accuracy."""
        inputs, targets = batch
        return reduced(half_squared_error(self.model(inputs), targets), reduction), None


class LinearNetwork(nn.Module):
    """Linear layers without biases and anything between them.

    Args:
        widths: Length of the input, of what is between the layers, and of the output.
        gain: Initial weights are normally distributed with standard deviation `gain / sqrt(n)`,
            where `n` is the number of inputs of their layer.
    """

    def __init__(self, widths: Sequence[int], gain: float = 1.0) -> None:
        super().__init__()
        layers = [nn.Linear(one, two, bias=False) for one, two in itertools.pairwise(widths)]
        for layer in layers:
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_features))
        self.layers = nn.Sequential(*layers)

    def forward(self, x_BD: Tensor) -> Tensor:
        """The outputs, shape (batch, last width)."""
        outputs_BD: Tensor = self.layers(x_BD)
        return outputs_BD


class SoftCommitteeMachine(nn.Module):
    """Three hidden units whose outputs are added up; only their weights are trained.

    Initial weights are almost 0, so that all units begin as the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(32, 3, bias=False)
        nn.init.normal_(self.hidden.weight, std=1e-3)

    def forward(self, x_BD: Tensor) -> Tensor:
        """The outputs, shape (batch,)."""
        return torch.erf(self.hidden(x_BD) / math.sqrt(2)).sum(dim=1)


class EmbeddingBag(nn.Module):
    """A table of 512 rows of length 8, which starts at 0, and sums of its rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Embedding(512, 8)
        nn.init.zeros_(self.rows.weight)

    def forward(self, ids_BK: Tensor) -> Tensor:
        """The sums of bags of rows, shape (batch, 8)."""
        sums_BD: Tensor = self.rows(ids_BK).sum(dim=1)
        return sums_BD


class RotatedRavine(nn.Module):
    """A quadratic function of 32 variables, which starts at 0: `0.5 (theta - m)^T H (theta - m)`.

    The eigenvalues of `H` go from 1 down to 1e-4 in equal ratios, along random directions. Along
    each of them, the distance to the minimum `m` is such that it contributes 0.5 to the first loss.
    """

    hessian: Tensor
    minimum: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(32))
        for name, value in zip(("hessian", "minimum"), ravine(), strict=True):
            self.register_buffer(name, torch.from_numpy(value).float().clone(), persistent=False)

    def forward(self, noise_BD: Tensor) -> Tensor:
        """The function plus noise that is linear in `theta`, shape (batch,)."""
        difference_D = self.theta - self.minimum
        return 0.5 * difference_D @ (self.hessian @ difference_D) + noise_BD @ difference_D


@functools.cache
def ravine() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The Hessian of `rotated_ravine`, shape (32, 32), and its minimum, shape (32,)."""
    random = np.random.RandomState(42)
    rotation = random_rotation(32, random)
    eigenvalues = np.logspace(0, -4, 32)
    return rotation.T * eigenvalues @ rotation, rotation.T @ (1 / np.sqrt(eigenvalues))


class SaddleChain(nn.Module):
    """A function of 16 variables with saddle points that are visited one after the other.

    While a variable is near 0, the next one is in a bowl around 0; as it gets to 1 or -1, the bowl
    becomes two wells at 1 and -1. The sum over all of them is 0 where all are in wells, and has
    saddle points where the first few are in wells and the others at 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.full((16,), 0.1))

    def forward(self, noise_BD: Tensor) -> Tensor:
        """The function plus noise that is linear in `theta`, shape (batch,)."""
        squares_D = self.theta.square()
        # From 0 to 1, with slope 0 at both ends: of the variable before each one.
        reached_D = F.pad(self.theta[:-1].abs().clamp(max=1.0), (1, 0), value=1.0)
        reached_D = reached_D.square() * (3 - 2 * reached_D)
        wells_D = 0.25 * (squares_D - 1).square()
        bowls_D = 0.25 + squares_D
        value = (bowls_D + reached_D * (wells_D - bowls_D)).sum()
        return value + noise_BD @ self.theta
