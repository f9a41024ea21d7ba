"""Recurrent networks that read characters.

Axes in the names of tensors: B batch, T time, D features, K symbols, G gates times features.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from deepobs.problems.initializers import glorot_uniform_
from deepobs.problems.tf_variables import TFVariable, transposed

if TYPE_CHECKING:
    from deepobs_text.carried_state import State

_FEATURES = 128
_LAYERS = 2
_DROPPED = 0.2
_DROPPED_BETWEEN = 1 - (1 - _DROPPED) ** 2
_FORGET_BIAS = 1.0


class CharRNN(nn.Module):
    """Two LSTM layers of 128 between an embedding and a dense layer.

    In training a fifth of the input and of the output of each layer is dropped, independently at
    each position; the recurrent state is left alone. Between the layers, where output and input are
    the same, this keeps 64 %, which is drawn at once.

    Args:
        num_symbols: Ids run from 0 to one less.
    """

    def __init__(self, num_symbols: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_symbols, _FEATURES)
        self.layers = nn.ModuleList(LSTM(_FEATURES) for _ in range(_LAYERS))
        self.dropout = Dropout(_DROPPED)
        self.dropout_between = Dropout(_DROPPED_BETWEEN)
        self.output = nn.Linear(_FEATURES, num_symbols)
        for tensor in (self.embedding.weight, self.output.weight, self.output.bias):
            glorot_uniform_(tensor)

    def forward(self, ids_BT: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read sequences.

        Args:
            ids_BT: Shape (batch, time).
            state: Where the sequences before these ended; `None` for zeros.

        Returns:
            The logits of every next id, shape (time, batch, symbols), and the state at the end.
        """
        features_TBD = self.dropout(self.embedding(ids_BT.t()))
        ends = []
        for number, layer in enumerate(self.layers):
            if number > 0:
                features_TBD = self.dropout_between(features_TBD)
            features_TBD, end = layer(features_TBD, None if state is None else state[number])
            ends.append(end)
        return self.output(self.dropout(features_TBD)), tuple(ends)

    def tf_variables(self) -> list[TFVariable]:
        """The variables of the original, in the order of their creation."""
        layers = (
            layer.tf_variables(f"rnn/multi_rnn_cell/cell_{number}/lstm_cell")
            for number, layer in enumerate(self.layers)
            if isinstance(layer, LSTM)
        )
        return [
            transposed("embedding:0", self.embedding.weight, (0, 1)),
            *itertools.chain.from_iterable(layers),
            transposed("rnnlm/softmax_w:0", self.output.weight, (1, 0)),
            transposed("rnnlm/softmax_b:0", self.output.bias, (0,)),
        ]


class Dropout(nn.Dropout):
    """Dropout that takes half as long on a CPU, where drawing the mask is most of the work."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 # torch's name
        """Set some values to 0 and scale the others up, in training mode."""
        if not self.training or self.p in (0, 1) or input.device.type != "cpu":
            return super().forward(input)
        # In half precision, random numbers would be too coarse to compare with.
        mask = torch.rand_like(input, dtype=torch.float32).ge_(self.p).div_(1 - self.p)
        return input * mask.to(input.dtype)


class LSTM(nn.LSTM):
    """One layer with one bias a gate, as the original has it.

    torch adds two biases. The second one is a constant here, and holds what the original adds to
    the forget gate in each step: 1.

    Args:
        features: Size of the input and of the output.
    """

    weight_ih_l0: nn.Parameter
    weight_hh_l0: nn.Parameter
    bias_ih_l0: nn.Parameter
    bias_hh_l0: Tensor

    def __init__(self, features: int) -> None:
        super().__init__(features, features)
        constant_G = torch.zeros(4 * features)
        constant_G[features : 2 * features] = _FORGET_BIAS
        del self.bias_hh_l0
        self.register_buffer("bias_hh_l0", None, persistent=False)
        # By assignment, which tells torch's list of weights, too.
        self.bias_hh_l0 = constant_G
        fan_sum = 2 * features + 4 * features  # both kernels are one in the original
        glorot_uniform_(self.weight_ih_l0, fan_sum)
        glorot_uniform_(self.weight_hh_l0, fan_sum)
        nn.init.zeros_(self.bias_ih_l0)

    def tf_variables(self, scope: str) -> list[TFVariable]:
        """The variables of the original.

        Args:
            scope: What their names begin with.
        """
        kernels = (self.weight_ih_l0, self.weight_hh_l0)
        return [
            TFVariable(f"{scope}/kernel:0", kernels, _joined, _split),
            TFVariable(f"{scope}/bias:0", (self.bias_ih_l0,), _reordered, _alone),
        ]


def _joined(input_kernel_GD: Tensor, hidden_kernel_GD: Tensor) -> Tensor:
    """The original's kernel (input and hidden features, gates)."""
    return _reordered(torch.cat([input_kernel_GD, hidden_kernel_GD], dim=1)).t()


def _split(kernel: Tensor) -> tuple[Tensor, ...]:
    """The inverse of `_joined`."""
    kernel_GD = _reordered(kernel.t())
    return kernel_GD.chunk(2, dim=1)


def _reordered(gates_G: Tensor) -> Tensor:
    """From torch's order of gates (input, forget, candidate, output) to the original's, or back."""
    entry, second, third, output = gates_G.chunk(4)
    return torch.cat([entry, third, second, output])


def _alone(bias: Tensor) -> tuple[Tensor]:
    return (_reordered(bias),)
