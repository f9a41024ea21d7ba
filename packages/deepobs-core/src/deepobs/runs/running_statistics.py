"""Running statistics of a model, as batch normalization keeps them for evaluation."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import nn

    from deepobs.protocols import Batch, TestProblem


def layers_with_statistics(model: nn.Module) -> list[Any]:
    """The layers of a model that keep running statistics as batch normalization of torch does.

    Args:
        model: Any model. Layers of other packages are recognized by their attributes.
    """
    return [
        layer
        for layer in model.modules()
        if getattr(layer, "track_running_stats", False)
        and getattr(layer, "running_mean", None) is not None
        and hasattr(layer, "momentum")
        and callable(getattr(layer, "reset_running_stats", None))
    ]


@contextlib.contextmanager
def buffers_kept(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Restore the buffers of modules at the end of the block.

    Args:
        modules: The modules; those in them are not included.
    """
    kept = [
        (module, name, buffer, buffer.detach().clone())
        for module in modules
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        yield
    finally:
        for module, name, buffer, values in kept:
            # As layers themselves do it, unseen by autograd: graphs of the block may be
            # differentiated after it.
            buffer.data.copy_(values)
            if getattr(module, name) is not buffer:
                setattr(module, name, buffer)


def recalibrate(problem: TestProblem, batches: Iterable[Batch]) -> None:
    """Replace the running statistics of a model by those of its present weights.

    They are means over batches that count alike, as those of `torch.optim.swa_utils.update_bn`.
    Other buffers stay as they are.

    Args:
        problem: The problem; its model has layers with statistics.
        batches: Batches of training.
    """
    model = problem.model
    was_training = model.training
    model.train()
    # Those that stay in evaluation mode are frozen on purpose.
    layers = [layer for layer in layers_with_statistics(model) if layer.training]
    momenta = [layer.momentum for layer in layers]
    others = [module for module in model.modules() if module not in layers]
    try:
        with torch.no_grad(), buffers_kept(others):
            for layer in layers:
                layer.reset_running_stats()
            for number, batch in enumerate(batches, start=1):
                for layer in layers:
                    # Instance normalization takes None for 0, and does not count batches.
                    layer.momentum = None if isinstance(layer, _BatchNorm) else 1 / number
                problem.get_batch_loss_and_accuracy(batch, reduction="mean")
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(was_training)
