"""Decoder-only transformers that read windows of a text, as GPT-2 does.

Axes in the names of tensors: B batch, T time, D features, N heads, K symbols.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepobs.problems.attention import suitable_kernels
from deepobs_text.language_model import LanguageModel, SequenceCrossEntropy
from deepobs_text.layers import Dropout

if TYPE_CHECKING:
    from deepobs.protocols import Batch

_SCALE = 0.02

_NETWORK_OPTIONS = ("features", "heads", "blocks", "dropout", "bias")


class Transformer(LanguageModel):
    """A decoder-only transformer; windows of the text do not depend on each other.

    The arguments of `TransformerNetwork` are options of the specification.
    """

    loss_function = SequenceCrossEntropy()

    def build_model(self) -> nn.Module:
        """Build the model for the symbols and the sequence length of the data set."""
        options: dict[str, Any] = {
            name: value for name, value in self.spec.options.items() if name in _NETWORK_OPTIONS
        }
        data = self.dataset
        return TransformerNetwork(data.num_symbols, data.sequence_length, **options)

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
    """Blocks of attention and perceptron, normalized before each, with a tied head.

    Each position attends to itself and its predecessors. The logits are scalar products with the
    embedding of the ids. Without dropout, which is the default, a step is deterministic.

    Matrices start from a normal distribution of scale 0.02, divided by the square root of their
    number for those that write into the residual stream; biases from 0.

    Args:
        num_symbols: Ids run from 0 to one less.
        context: Maximum number of positions of a sequence.
        features: Width of the residual stream, a multiple of `heads`.
        heads: Heads of each attention.
        blocks: Number of blocks.
        dropout: Part of the embeddings, of the weights of attention, and of what is added to the
            residual stream that is dropped in training.
        bias: Whether linear layers and normalizations have biases.

    References:
        Radford et al.: Language Models are Unsupervised Multitask Learners, 2019 (GPT-2), for
        the order of operations and the initialization.
        Press, Wolf: Using the Output Embedding to Improve Language Models, arXiv:1608.05859.
        Karpathy: nanoGPT, https://github.com/karpathy/nanoGPT, for dropout and missing biases.
    """

    def __init__(
        self,
        num_symbols: int,
        context: int,
        *,
        features: int = 128,
        heads: int = 4,
        blocks: int = 5,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_symbols, features)
        self.positions = nn.Embedding(context, features)
        self.dropout = Dropout(dropout)
        self.blocks = nn.Sequential(
            *(Block(features, heads, dropout=dropout, bias=bias) for _ in range(blocks))
        )
        self.norm = nn.LayerNorm(features, bias=bias)
        self._initialize()

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Predict each next id.

        Args:
            ids_BT: Shape (batch, time), at most as many positions as the context.

        Returns:
            Logits of shape (batch, time, symbols).
        """
        features_BTD = self.embedding(ids_BT) + self.positions.weight[: ids_BT.shape[1]]
        features_BTD = self.norm(self.blocks(self.dropout(features_BTD)))
        return F.linear(features_BTD, self.embedding.weight)

    def _initialize(self) -> None:
        residual_scale = _SCALE / math.sqrt(2 * len(self.blocks))
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                is_residual = name.endswith("to_residual.weight")
                nn.init.normal_(parameter, std=residual_scale if is_residual else _SCALE)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)


class Block(nn.Module):
    """Attention, then a perceptron on each position, each added to its input."""

    def __init__(self, features: int, heads: int, *, dropout: float, bias: bool) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(features, bias=bias)
        self.attention = CausalAttention(features, heads, dropout=dropout, bias=bias)
        self.perceptron_norm = nn.LayerNorm(features, bias=bias)
        self.perceptron = Perceptron(features, bias=bias)
        self.dropout = Dropout(dropout)

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Transform sequences."""
        attended = self.attention(self.attention_norm(features_BTD))
        features_BTD = features_BTD + self.dropout(attended)
        transformed = self.perceptron(self.perceptron_norm(features_BTD))
        mixed: Tensor = features_BTD + self.dropout(transformed)
        return mixed


class CausalAttention(nn.Module):
    """Scaled dot-product attention to a position and its predecessors."""

    def __init__(self, features: int, heads: int, *, dropout: float, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(features, 3 * features, bias=bias)
        self.dropout = Dropout(dropout)
        self.to_residual = nn.Linear(features, features, bias=bias)

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Transform sequences."""
        shape = features_BTD.shape
        query_BNTD, key_BNTD, value_BNTD = (
            part.view(*shape[:2], self.heads, -1).transpose(1, 2)
            for part in self.query_key_value(features_BTD).chunk(3, dim=2)
        )
        if self.training and self.dropout.p:
            mixed_BNTD = self._mixed_with_dropout(query_BNTD, key_BNTD, value_BNTD)
        else:
            with suitable_kernels(features_BTD):
                mixed_BNTD = F.scaled_dot_product_attention(
                    query_BNTD, key_BNTD, value_BNTD, is_causal=True
                )
        mixed: Tensor = self.to_residual(mixed_BNTD.transpose(1, 2).reshape(shape))
        return mixed

    def _mixed_with_dropout(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        # Torch's kernels draw the masks inside: several processes, and packs of runs, could not
        # have those of a run on its own.
        scores_BNTT = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        is_later_TT = torch.ones_like(scores_BNTT[0, 0], dtype=torch.bool).triu(1)
        weights_BNTT = scores_BNTT.masked_fill(is_later_TT, -math.inf).softmax(dim=3)
        mixed: Tensor = self.dropout(weights_BNTT) @ value
        return mixed


class Perceptron(nn.Module):
    """Two dense layers with a GELU between them, four times as wide inside."""

    def __init__(self, features: int, *, bias: bool) -> None:
        super().__init__()
        self.widening = nn.Linear(features, 4 * features, bias=bias)
        self.to_residual = nn.Linear(4 * features, features, bias=bias)

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Transform each position."""
        hidden = F.gelu(self.widening(features_BTD))
        transformed: Tensor = self.to_residual(hidden)
        return transformed
