"""The synthetic problems: a quadratic bowl, and classic test functions of two variables."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from deepobs.plugins.catalog import import_target
from deepobs.problems.problem import Problem, reduced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from deepobs.problems.problem import Reduction
    from deepobs.protocols import Batch

_DIMENSIONS = 100


class SyntheticProblem(Problem):
    """A problem without a network: its parameters are a point, and there is no regularizer."""

    has_regularizer: ClassVar[bool] = False

    def regularized_parameters(self) -> list[Tensor]:
        """None: the position of the minimum must not move."""
        return []

    def parameter_roles(self) -> dict[str, str]:
        """All are vectors, whatever their shape."""
        return {name: "vector" for name, _ in self.model.named_parameters()}


class QuadraticModel(nn.Module):
    """The point `theta`, shape (1, 100), which starts at 1, and the Hessian of the objective."""

    hessian: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.ones(1, _DIMENSIONS))
        # A copy in torch's own memory: matrix products may depend on the alignment in the last bit.
        hessian = torch.from_numpy(deep_hessian().astype(np.float32)).clone()
        self.register_buffer("hessian", hessian, persistent=False)

    def forward(self, x_BD: Tensor) -> Tensor:
        """The losses `0.5 (theta - x)^T Q (theta - x)` of noise (batch, 100), shape (batch,)."""
        difference_BD = self.theta - x_BD
        return 0.5 * (difference_BD * (difference_BD @ self.hessian)).sum(dim=1)


class QuadraticDeep(SyntheticProblem):
    """A noisy quadratic bowl, 90 % of whose curvatures are below 1 and 10 % between 30 and 60."""

    model: QuadraticModel

    def build_model(self) -> QuadraticModel:
        """The point and the Hessian, which is the same for every instance."""
        return QuadraticModel()

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, None]:
        """The losses of a batch `(x (B, 100),)`; there is no accuracy."""
        return reduced(self.model(batch[0]), reduction), None

    def stacked_losses(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The mean losses of K points, shape (K,).

        Multiplied out, so that the product with the noise is computed once for all of them.

        Args:
            parameters: The points as `theta`, shape (K, 1, 100).
            batch: Noise `(x (B, 100),)`.
        """
        x_BD, hessian_DD = batch[0], self.model.hessian
        theta_KD = parameters["theta"].squeeze(1)
        product_BD = x_BD @ hessian_DD
        noise = (product_BD * x_BD).sum(dim=1).mean()
        # Both products, since rounding may leave the Hessian a bit asymmetric.
        mixed_D = product_BD.mean(dim=0) + hessian_DD @ x_BD.mean(dim=0)
        means_K = 0.5 * (((theta_KD @ hessian_DD - mixed_D) * theta_KD).sum(dim=1) + noise)
        # Once as a sum: it overflows in the step in which the sum over a batch would.
        return (means_K * len(x_BD)) / len(x_BD)


@functools.cache
def deep_hessian() -> NDArray[np.float64]:
    """The Hessian of `quadratic_deep`, shape (100, 100), read-only: `R^T diag(e) R`."""
    # The original seeds its RNG once per process, so that only its first instance has this
    # Hessian. With an RNG of its own, every instance has it.
    random = np.random.RandomState(42)
    eigenvalues = np.concatenate(
        (random.uniform(0.0, 1.0, 90), random.uniform(30.0, 60.0, _DIMENSIONS - 90))
    )
    rotation = random_rotation(_DIMENSIONS, random)
    hessian: NDArray[np.float64] = rotation.T @ np.diag(eigenvalues) @ rotation
    hessian.setflags(write=False)
    return hessian


def random_rotation(dimensions: int, random: np.random.RandomState) -> NDArray[np.float64]:
    """A uniformly distributed rotation, built one dimension after the other.

    References:
        Diaconis, Shahshahani: The subgroup algorithm for generating uniform random variables, 1987.
    """
    angle = 2 * np.pi * random.uniform()
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for size in range(2, dimensions):
        direction = random.normal(size=size + 1)
        direction /= np.linalg.norm(direction)
        # The reflection that takes the first unit vector to the random direction.
        mirror = -direction
        mirror[0] += 1.0
        mirror /= np.linalg.norm(mirror)
        extended = np.eye(size + 1)
        extended[1:, 1:] = rotation
        rotation = extended - 2 * np.outer(mirror, mirror @ extended)
    return -rotation


class TwoDModel(nn.Module):
    """The point (u, v), held in two scalars named `weight` and `bias` as in the original.

    Args:
        start: Where it starts, two floats.
        function: The function of u and v.
    """

    def __init__(
        self, start: tuple[float, float], function: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.tensor(start[0]))
        self.bias = nn.Parameter(torch.tensor(start[1]))

    def forward(self, x_B: Tensor, y_B: Tensor) -> Tensor:
        """The losses: the function plus the noise `u * x + v * y`, shape (batch,)."""
        return self.function(self.weight, self.bias) + self.weight * x_B + self.bias * y_B


class TwoD(SyntheticProblem):
    """A function of two variables plus the noise `u * x + v * y`."""

    records_iterates: ClassVar[bool] = True

    model: TwoDModel

    def build_model(self) -> TwoDModel:
        """A model at the starting point of the function."""
        options = self.spec.options
        function = import_target(str(options["function"]), self.name)
        return TwoDModel(options["start"], function)  # type: ignore[arg-type]

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, None]:
        """The losses of a batch `(x (B,), y (B,))`; there is no accuracy."""
        return reduced(self.model(*batch), reduction), None

    def stacked_losses(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The mean losses of K points, shape (K,).

        Args:
            parameters: The points as `weight` and `bias`, shape (K,).
            batch: Noise `(x (B,), y (B,))`.
        """
        x_B, y_B = batch
        u_K1, v_K1 = (parameters[name].unsqueeze(1) for name in ("weight", "bias"))
        losses_KB: Tensor = self.model.function(u_K1, v_K1) + u_K1 * x_B + v_K1 * y_B
        return losses_KB.mean(dim=1)


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
