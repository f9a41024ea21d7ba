"""The state of a problem right after `set_up`, to which checks return."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from deepobs import rng
from deepobs.runs.lengths import loaders_of
from deepobs.runs.passes import loader_state, set_loader_state

if TYPE_CHECKING:
    from deepobs.protocols import Batch, TestProblem

_CPU = torch.device("cpu")


class PassStart:
    """From where a training pass begins: the states of the loaders and of all generators.

    Args:
        problem: A problem that was just set up.
    """

    def __init__(self, problem: TestProblem) -> None:
        loaders = loaders_of(problem.dataset)
        self._loaders = {split: loader_state(loader) for split, loader in loaders.items()}
        self._random = rng.get_state(_CPU)

    def restore(self, problem: TestProblem) -> None:
        """Put them back.

        Args:
            problem: The same problem.
        """
        for split, loader in loaders_of(problem.dataset).items():
            set_loader_state(loader, self._loaders[split])
        rng.set_state(self._random, _CPU)


class Start:
    """Everything about a problem that checks change, as it was when it was set up.

    Args:
        problem: A problem that was just set up.
    """

    def __init__(self, problem: TestProblem) -> None:
        self._tensors = {name: t.detach().clone() for name, t in tensors_of(problem.model).items()}
        self._modes = {name: module.training for name, module in problem.model.named_modules()}
        self._pass = PassStart(problem)

    def restore(self, problem: TestProblem) -> None:
        """Put all of it back.

        Args:
            problem: The same problem.
        """
        for name, tensor in tensors_of(problem.model).items():
            start = self._tensors[name]
            if tensor.dtype != start.dtype:
                tensor.data = tensor.data.to(start.dtype)
            tensor.data.copy_(start)
            tensor.grad = None
        for name, module in problem.model.named_modules():
            module.training = self._modes[name]
        self._pass.restore(problem)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, those that are not saved, too."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def same_batches(first: Batch, second: Batch) -> bool:
    """Whether two batches hold the same numbers."""
    return len(first) == len(second) and all(map(torch.equal, first, second))
