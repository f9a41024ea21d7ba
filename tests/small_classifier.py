"""A test problem that trains in no time, and an optimizer that evaluates other weights."""

from __future__ import annotations

from typing import Any

import broken_datasets
import torch
from torch import nn

from deepobs.plugins import ProblemSpec


class Classifier:
    """Sorts points into two classes, and passes its options on to the data set of its class."""

    spec = ProblemSpec(batch_size=10, epochs=1, metric="accuracy")
    data: Any = broken_datasets.Sound

    def __init__(
        self, batch_size: int, weight_decay: Any = None, device: Any = None, **options: Any
    ) -> None:
        self.batch_size = batch_size
        self.options = options

    def set_up(self) -> None:
        self.dataset = self.data(self.batch_size, device="cpu", **self.options)
        self.model = self.network()

    def network(self) -> nn.Module:
        return nn.Linear(2, 2)

    def get_batch_loss_and_accuracy(self, batch: Any, reduction: str = "none") -> Any:
        points, classes = batch
        outputs = self.model(points)
        accuracy = (outputs.argmax(dim=1) == classes).float().mean()
        return nn.functional.cross_entropy(outputs, classes, reduction=reduction), accuracy

    def get_regularization_loss(self) -> torch.Tensor:
        return torch.zeros(())

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters())}]


class Averages(torch.optim.SGD):
    """Has averages as weights in evaluation, from which those of training are computed back."""

    def train(self) -> None:
        self._exchange(is_training=True)

    def eval(self) -> None:
        self._exchange(is_training=False)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        super().step(closure)
        for weight in self.param_groups[0]["params"]:
            self.state[weight].setdefault("average", weight.clone()).lerp_(weight, 0.1)

    @torch.no_grad()
    def _exchange(self, *, is_training: bool) -> None:
        group = self.param_groups[0]
        if group.setdefault("is_training", True) == is_training:
            return
        group["is_training"] = is_training
        for weight in group["params"]:
            average = self.state[weight].get("average", weight)
            weight.lerp_(average, -1 if is_training else 0.5)
