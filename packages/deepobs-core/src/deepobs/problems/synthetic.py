"""What the problems without a network have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.errors import ArgumentError
from deepobs.problems.problem import Problem

if TYPE_CHECKING:
    from torch import Tensor


class SyntheticProblem(Problem):
    """A problem whose parameters are the point itself: there are no kernels to regularise."""

    def regularized_parameters(self) -> list[Tensor]:
        """None: the position of the minimum must not move."""
        return []

    def parameter_roles(self) -> dict[str, str]:
        """All are vectors, whatever their shape."""
        return {name: "vector" for name, _ in self.model.named_parameters()}

    def _checked_weight_decay(self, weight_decay: float | None) -> float:
        checked = super()._checked_weight_decay(weight_decay)
        if checked:
            raise ArgumentError(
                f"{self.name} has no regulariser: weight_decay must be None or 0, got {checked}."
            )
        return checked
