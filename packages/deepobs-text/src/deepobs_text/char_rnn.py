"""A recurrent network that reads a text from its beginning to its end.

Axes in the names of tensors: B batch, T time, D features, K symbols, G gates times features.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepobs.errors import ArgumentError
from deepobs.problems.initializers import glorot_uniform_
from deepobs.problems.tf_variables import TFVariable, transposed
from deepobs_text.carried_state import CarriedState, joined, rows_of
from deepobs_text.language_model import LanguageModel
from deepobs_text.layers import Dropout
from deepobs_text.sequences import SequenceBatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepobs.protocols import Batch
    from deepobs_text.carried_state import State

_FEATURES = 128
_LAYERS = 2
_DROPPED = 0.2
_FORGET_BIAS = 1.0


class CharRNN(LanguageModel):
    """Two LSTM layers whose state is carried from batch to batch and detached in between.

    The state is zero at the start of each pass over a loader, and each pass has its own state: an
    evaluation in the middle of an epoch does not affect training. A batch that is evaluated twice
    starts twice from the state that its predecessor left.

    `options["dropout"]` of the specification is the part that is dropped, by default that of the
    original.
    """

    def set_up(self) -> None:
        """Load the data, build the model and reset the state."""
        super().set_up()
        self._state = CarriedState()
        self._passes_seen = {True: 0, False: 0}

    def build_model(self) -> nn.Module:
        """Build the model for the symbols of the data set."""
        options: Mapping[str, Any] = self.spec.options
        dropout = options.get("dropout", _DROPPED)
        return RecurrentNetwork(self.dataset.num_symbols, dropout=dropout)

    def logits(self, batch: Batch) -> Tensor:
        """Predict each next character of a batch, and carry the state."""
        is_training = self.model.training
        self._notice_new_pass(is_training=is_training)
        before = self._state.before(batch, is_training=is_training)
        logits_TBK: Tensor
        logits_TBK, after = self.model(batch[0], before)
        self._state.remember(batch, before, after, is_training=is_training)
        return logits_TBK

    def split_batch(self, batch: Batch, parts: int) -> list[Batch]:
        """Split a batch into micro-batches, each of which carries its part of the state.

        Args:
            batch: A batch of a loader, which knows its place in the text.
            parts: The number of micro-batches.
        """
        if not isinstance(batch, SequenceBatch):
            raise ArgumentError(
                "Batches that were rebuilt do not know their place in the text, by which "
                "micro-batches carry the state. Leave accumulate out, or yield the loader's own."
            )
        return list(batch.split(parts))

    def carried_state(self) -> dict[str, Any] | None:
        """Return the state after the latest training batch, for a checkpoint."""
        return self._state.of_training()

    def restore_carried_state(self, state: dict[str, Any], batch: Batch) -> None:
        """Continue training from a state.

        Args:
            state: Result of `carried_state`.
            batch: The next training batch.
        """
        self._notice_new_pass(is_training=True)
        self._state.restore(state, batch)

    def join_carried_states(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """The state of a batch whose rows were divided among processes.

        Args:
            states: Results of `carried_state`, in the order of the rows.
        """
        return {**states[0], "state": joined([each["state"] for each in states])}

    def split_carried_state(self, state: dict[str, Any], rows: slice) -> dict[str, Any]:
        """The state of some rows of a batch.

        Args:
            state: Result of `carried_state`.
            rows: The rows.
        """
        return {**state, "state": rows_of(state["state"], rows)}

    def _notice_new_pass(self, *, is_training: bool) -> None:
        # Batches rebuilt by the caller do not know their pass: it is new whenever a loader's is.
        data = self.dataset
        loaders = (
            [data.train_loader]
            if is_training
            else [data.train_eval_loader, data.valid_loader, data.test_loader]
        )
        started = sum(getattr(loader, "passes_started", 0) for loader in loaders)
        if started != self._passes_seen[is_training]:
            self._passes_seen[is_training] = started
            self._state.forget(is_training=is_training)


class RecurrentNetwork(nn.Module):
    """Two LSTM layers of 128 between an embedding and a dense layer.

    In training, a part of the input and of the output of each layer is dropped, independently at
    each position; the recurrent state is not. Between the layers, where output and input coincide,
    both are drawn at once: the original's fifth keeps 64 % there.

    Args:
        num_symbols: Ids run from 0 to one less.
        dropout: The part that is dropped.
    """

    def __init__(self, num_symbols: int, *, dropout: float = _DROPPED) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_symbols, _FEATURES)
        self.layers = nn.ModuleList(LSTM(_FEATURES) for _ in range(_LAYERS))
        self.dropout = Dropout(dropout)
        self.dropout_between = Dropout(1 - (1 - dropout) ** 2)
        self.output = nn.Linear(_FEATURES, num_symbols)
        for tensor in (self.embedding.weight, self.output.weight, self.output.bias):
            glorot_uniform_(tensor)

    def forward(self, ids_BT: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read sequences.

        Args:
            ids_BT: Shape (batch, time).
            state: State at the end of the previous sequences; `None` for zeros.

        Returns:
            The logits of each next id, shape (time, batch, symbols), and the state at the end.
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
        """The variables of the original, in order of creation."""
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


class LSTM(nn.LSTM):
    """One layer with one bias per gate, as in the original.

    torch adds two biases. Here, the second is a constant: the 1 that the original adds to the
    forget gate.

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
        # By assignment, which also updates torch's list of weights; register_buffer alone does not.
        self.bias_hh_l0 = constant_G
        fan_sum = 2 * features + 4 * features  # both kernels are a single one in the original
        glorot_uniform_(self.weight_ih_l0, fan_sum)
        glorot_uniform_(self.weight_hh_l0, fan_sum)
        nn.init.zeros_(self.bias_ih_l0)

    def tf_variables(self, scope: str) -> list[TFVariable]:
        """The variables of the original, whose names begin with `scope`."""
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
    """Swap torch's order of gates (input, forget, candidate, output) and the original's."""
    entry, second, third, output = gates_G.chunk(4)
    return torch.cat([entry, third, second, output])


def _alone(bias: Tensor) -> tuple[Tensor]:
    return (_reordered(bias),)
