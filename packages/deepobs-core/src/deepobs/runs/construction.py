"""Building an optimizer of a model's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from deepobs.problems.roles import parameters_by_role
from deepobs.runs.optimizers import find_optimizer
from deepobs.runs.parameter_groups import OPTIMIZER, grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from torch import nn

    from deepobs.runs.parameter_groups import Groups


def construct(
    optimizer_class: type[torch.optim.Optimizer],
    model: nn.Module,
    hyperparameters: Mapping[str, Any],
    *,
    groups: Groups,
    needs: Collection[str],
    roles: Mapping[str, str] | None = None,
) -> torch.optim.Optimizer:
    """Build an optimizer; what its constructor raises passes as it is.

    Args:
        optimizer_class: Its class.
        model: What it trains.
        hyperparameters: Arguments of its constructor.
        groups: Further hyperparameters by the role of parameters. Where one is `optimizer`, the
            parameters of the role are trained by that.
        needs: What it needs, words of `NEEDS`.
        roles: The role of each parameter by its name; `None` to tell it from the model.
    """
    make: Callable[..., torch.optim.Optimizer] = optimizer_class
    if "model" in needs:
        return make(model, **hyperparameters)
    if not groups:
        return make(model.parameters(), **hyperparameters)
    own, parts = [], []
    for settings, parameters in grouped(parameters_by_role(model, roles), groups):
        if OPTIMIZER in settings:
            parts.append(_other_optimizer(settings, parameters))
        else:
            own.append({"params": parameters, **settings})
    if own:
        parts.insert(0, make(own, **hyperparameters))
    return parts[0] if len(parts) == 1 else JointOptimizer(parts)


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


def _other_optimizer(
    settings: Mapping[str, Any], parameters: list[nn.Parameter]
) -> torch.optim.Optimizer:
    choice = find_optimizer(settings[OPTIMIZER])
    own = {name: value for name, value in settings.items() if name != OPTIMIZER}
    make: Callable[..., torch.optim.Optimizer] = choice.optimizer_class
    return make(parameters, **{**choice.defaults, **own})


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _nothing() -> None:
    """What an optimizer without modes does."""
