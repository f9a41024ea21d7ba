"""Several optimizers of one model as one."""

from __future__ import annotations

from typing import Any

import torch


class JointOptimizer(torch.optim.Optimizer):
    """Several optimizers, each of some of the parameters, as one.

    Args:
        parts: The optimizers.
    """

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        self.parts = parts
        super().__init__([one for part in parts for one in _parameters(part)], {})
        self._share_groups()

    def step(self) -> None:  # type: ignore[override] # a closure could not serve all
        """Take a step of each."""
        for part in self.parts:
            part.step()

    def train(self) -> None:
        """Put those that have modes in the one for training."""
        for part in self.parts:
            getattr(part, "train", _nothing)()

    def eval(self) -> None:
        """Put those that have modes in the one for evaluation."""
        for part in self.parts:
            getattr(part, "eval", _nothing)()

    def state_dict(self) -> dict[str, Any]:
        """The states of all."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put all in the states that `state_dict` returned."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()

    def _share_groups(self) -> None:
        """Let a schedule that sets a learning rate here set it there."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _nothing() -> None:
    """What an optimizer without modes does."""
