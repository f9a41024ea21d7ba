"""Several optimizers, each of some of a model's parameters, as one."""

from __future__ import annotations

from typing import Any

import torch


class JointOptimizer(torch.optim.Optimizer):
    """Several optimizers, each of some of a model's parameters, as one.

    Args:
        parts: The optimizers.
    """

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        self.parts = parts
        groups = [group for part in parts for group in part.param_groups]
        super().__init__([one for group in groups for one in group["params"]], {})
        self._share_groups()

    def step(self) -> None:  # type: ignore[override] # a closure cannot serve all of them
        """Take a step of each."""
        for part in self.parts:
            part.step()

    def train(self) -> None:
        """Switch those that have modes to the training mode."""
        self._switch("train")

    def eval(self) -> None:
        """Switch those that have modes to the evaluation mode."""
        self._switch("eval")

    def state_dict(self) -> dict[str, Any]:
        """The states of all."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the states that `state_dict` returned."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()

    def _switch(self, mode: str) -> None:
        for part in self.parts:
            if hasattr(part, mode):
                getattr(part, mode)()

    def _share_groups(self) -> None:
        # The same dictionaries, not copies: a schedule that sets a learning rate in the groups here
        # must set it in the parts. Loading a state makes new ones.
        self.param_groups = [group for part in self.parts for group in part.param_groups]
