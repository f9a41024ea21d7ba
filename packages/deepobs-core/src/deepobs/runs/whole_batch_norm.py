"""Batch normalization with the statistics of a batch that is divided among several processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepobs.errors import ArgumentError
from deepobs.runs.ranks import joined_ranks
from deepobs.runs.running_statistics import layers_with_statistics

_OF_TORCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes, each of which goes on with it."""

    @staticmethod
    def forward(_context: Any, tensor: Tensor) -> Tensor:
        """Add the tensors of all processes."""
        return joined_ranks().add(tensor.clone())

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        """Add their gradients: each process has a part of what depends on the sum."""
        return joined_ranks().add(gradients[0].clone())


class WholeBatchNorm(_BatchNorm):
    """Like `nn.SyncBatchNorm`, to the rounding of sums, on every device.

    `nn.SyncBatchNorm` refuses CPUs. It is not taken for GPUs either, although it exchanges less
    there: one way for all devices gives the same run on all of them, is tested without GPUs, and
    needs no new layers in place of those to which a model or an optimizer may refer.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 # torch's name
        """Normalize (B,C) or (B,C,...) by the whole batch in training, else as torch does."""
        if not self.training and self.running_mean is not None:
            return F.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                eps=self.eps,
            )
        axes = [0, *range(2, input.dim())]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        # Statistics in half precision would be too coarse, as they are for torch.
        values = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        count = values.new_tensor(values.numel() // values.shape[1])
        joined_ranks().add(count)
        mean_C = _sum(values.sum(axes)) / count
        centered = values - mean_C.view(shape)
        # Not from the sum of squares, which loses digits where the mean is large.
        variance_C = _sum(centered.square().sum(axes)) / count
        self._update(mean_C.detach(), variance_C.detach() * (count / (count - 1)))
        scale_C = (variance_C + self.eps).rsqrt()
        if self.weight is not None:
            scale_C = scale_C * self.weight
        normalized = centered * scale_C.view(shape)
        if self.bias is not None:
            normalized = normalized + self.bias.view(shape)
        return normalized.to(input.dtype)

    def _update(self, mean_C: Tensor, variance_C: Tensor) -> None:
        if not self.training or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None  # noqa: S101 # as there is a running mean
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # the mean over all batches
            share = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean_C, share)
        self.running_var.lerp_(variance_C, share)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 # torch's name
        del input


def _sum(tensor: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(tensor)
    return total


def normalize_whole_batches(model: nn.Module) -> None:
    """Let all batch normalizations of torch see whole batches instead of those of a process.

    Args:
        model: A model. Its parameters and buffers stay the same.
    """
    for layer in model.modules():
        if type(layer) in _OF_TORCH:
            # The layer itself stays, with all that refers to it; torch's own function replaces it.
            layer.__class__ = WholeBatchNorm


def require_known_normalizations(model: nn.Module) -> None:
    """Refuse a model with running statistics that would be those of a process.

    Raises:
        ArgumentError: A layer keeps them in another way than the batch normalizations of torch.
    """
    if others := [
        layer
        for layer in layers_with_statistics(model)
        if not isinstance(layer, (nn.SyncBatchNorm, WholeBatchNorm))
        and type(layer) not in _OF_TORCH
    ]:
        raise ArgumentError(
            f"A run on several processes needs the statistics of whole batches, but "
            f"{type(others[0]).__name__} has those of a process. Use a batch normalization of "
            "torch, or one process."
        )
