"""A small decoder-only transformer that reads windows of a text.

Axes in the names of tensors: B batch, T time, D features, N heads, K symbols.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from deepobs import config
from deepobs_text.language_model import LanguageModel

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from deepobs.protocols import Batch

_FEATURES = 128
_HEADS = 4
_BLOCKS = 5
_SCALE = 0.02


class Transformer(LanguageModel):
    """A decoder-only transformer; windows of the text do not depend on each other."""

    def build_model(self) -> nn.Module:
        """Build the model for the symbols and the sequence length of the data set."""
        return TransformerNetwork(self.dataset.num_symbols, self.dataset.sequence_length)

    def parameter_roles(self) -> dict[str, str]:
        """Roles by name; none is the head."""
        # The embedding serves as the head, so that the last matrix in order is a hidden one.
        roles = super().parameter_roles()
        return {name: "hidden" if role == "head" else role for name, role in roles.items()}

    def logits(self, batch: Batch) -> Tensor:
        """Predict each next character of a batch."""
        logits_BTK: Tensor = self.model(batch[0])
        return logits_BTK.transpose(0, 1)


class TransformerNetwork(nn.Module):
    """Five blocks of attention and perceptron, normalized before each, with a tied head.

    Each position attends to itself and its predecessors. The logits are scalar products with the
    embedding of the ids. There is no dropout: a step is deterministic.

    Matrices start from a normal distribution of scale 0.02, divided by the square root of their
    number for those that write into the residual stream; biases from 0.

    Args:
        num_symbols: Ids run from 0 to one less.
        context: Maximum number of positions of a sequence.

    References:
        Radford et al.: Language Models are Unsupervised Multitask Learners, 2019 (GPT-2), for
        the order of operations and the initialization.
        Press, Wolf: Using the Output Embedding to Improve Language Models, arXiv:1608.05859.
    """

    def __init__(self, num_symbols: int, context: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_symbols, _FEATURES)
        self.positions = nn.Embedding(context, _FEATURES)
        self.blocks = nn.Sequential(*(Block(_FEATURES, _HEADS) for _ in range(_BLOCKS)))
        self.norm = nn.LayerNorm(_FEATURES)
        self._initialize()

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Predict each next id.

        Args:
            ids_BT: Shape (batch, time), at most as many positions as the context.

        Returns:
            Logits of shape (batch, time, symbols).
        """
        features_BTD = self.embedding(ids_BT) + self.positions.weight[: ids_BT.shape[1]]
        features_BTD = self.norm(self.blocks(features_BTD))
        return F.linear(features_BTD, self.embedding.weight)

    def _initialize(self) -> None:
        residual_scale = _SCALE / math.sqrt(2 * _BLOCKS)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                is_residual = name.endswith("to_residual.weight")
                nn.init.normal_(parameter, std=residual_scale if is_residual else _SCALE)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)


class Block(nn.Module):
    """Attention, then a perceptron on each position, each added to its input."""

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(features)
        self.attention = CausalAttention(features, heads)
        self.perceptron_norm = nn.LayerNorm(features)
        self.perceptron = Perceptron(features)

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Transform sequences."""
        features_BTD = features_BTD + self.attention(self.attention_norm(features_BTD))
        transformed: Tensor = self.perceptron(self.perceptron_norm(features_BTD))
        return features_BTD + transformed


class CausalAttention(nn.Module):
    """Scaled dot-product attention to a position and its predecessors."""

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(features, 3 * features)
        self.to_residual = nn.Linear(features, features)

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Transform sequences."""
        shape = features_BTD.shape
        query_BNTD, key_BNTD, value_BNTD = (
            part.view(*shape[:2], self.heads, -1).transpose(1, 2)
            for part in self.query_key_value(features_BTD).chunk(3, dim=2)
        )
        with _deterministic_kernels(features_BTD.device):
            mixed_BNTD = F.scaled_dot_product_attention(
                query_BNTD, key_BNTD, value_BNTD, is_causal=True
            )
        mixed: Tensor = self.to_residual(mixed_BNTD.transpose(1, 2).reshape(shape))
        return mixed


class Perceptron(nn.Module):
    """Two dense layers with a GELU between them, four times as wide inside."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.widening = nn.Linear(features, 4 * features)
        self.to_residual = nn.Linear(4 * features, features)

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Transform each position."""
        hidden = F.gelu(self.widening(features_BTD))
        transformed: Tensor = self.to_residual(hidden)
        return transformed


def _deterministic_kernels(device: torch.device) -> AbstractContextManager[None]:
    # The fast kernels of a GPU sum gradients in any order, so that two runs would differ.
    if device.type == "cpu" or not config.get_is_deterministic():
        return contextlib.nullcontext()
    kernel: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return kernel
