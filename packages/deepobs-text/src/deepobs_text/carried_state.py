"""The hidden state of a recurrent model between the batches of a pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from deepobs_text.sequences import Reading, SequenceBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from deepobs.protocols import Batch

State = tuple[tuple["Tensor", "Tensor"], ...]
"""Output and memory of each layer, each of shape (1, batch, features)."""


@dataclass(slots=True)
class _Progress:
    """The batch of a pass that was evaluated last, and the states before and after it.

    That after it is by the first sequence of each micro-batch: by 0 for a batch that is not split.
    """

    number: int
    before: State | None
    after: dict[int, State]

    def whole(self) -> State:
        """The state after the batch."""
        return joined([self.after[start] for start in sorted(self.after)])


def joined(parts: Sequence[State]) -> State:
    """The state of a batch, from those of consecutive parts of its sequences."""
    if len(parts) == 1:
        return parts[0]
    # By layer, and there by output and memory.
    layers = (zip(*layer, strict=True) for layer in zip(*parts, strict=True))
    return tuple(
        (torch.cat(outputs, dim=1), torch.cat(memories, dim=1)) for outputs, memories in layers
    )


def rows_of(state: State, rows: slice) -> State:
    """The state of some sequences of a batch."""
    return tuple((output[:, rows], memory[:, rows]) for output, memory in state)


class CarriedState:
    """Keeps the state of each pass as long as one of its batches is referenced.

    A batch that is evaluated again, as by optimizers with a closure, starts from the same state
    again. A batch from earlier in the pass starts from zeros, since the state before it is gone,
    and leaves the pass where it was. Batches of unknown passes, because they were rebuilt by the
    caller, are assumed to follow each other, in training and in evaluation separately, until
    `forget` is called.
    """

    def __init__(self) -> None:
        # Weak keys: a pass that was abandoned in its middle would keep its state forever.
        self._progress: WeakKeyDictionary[Reading, _Progress] = WeakKeyDictionary()
        self._unnamed = {True: Reading(), False: Reading()}
        self._in_training: _Progress | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as a new object, which belongs to no pass."""
        return CarriedState, ()

    def before(self, batch: Batch, *, is_training: bool) -> State | None:
        """Return the state from which to evaluate a batch, `None` for zeros."""
        reading, number = self._place(batch, is_training=is_training)
        progress = self._progress.get(reading)
        if progress is None or number < progress.number:
            return None
        state = progress.before if number == progress.number else progress.whole()
        lanes = batch.lanes if isinstance(batch, SequenceBatch) else None
        if state is not None and lanes is not None:
            state = rows_of(state, lanes)
        is_of_this_size = state is None or state[0][0].shape[1] == len(batch[0])
        return state if is_of_this_size else None

    def remember(
        self, batch: Batch, before: State | None, after: State, *, is_training: bool
    ) -> None:
        """Keep the state after a batch, detached from its computation.

        Args:
            batch: The batch that was evaluated.
            before: The state it started from.
            after: The state it ended with.
            is_training: Whether the model is in training mode.
        """
        reading, number = self._place(batch, is_training=is_training)
        progress = self._progress.get(reading)
        if progress is not None and number < progress.number:
            return
        # Detached: otherwise the graphs of all batches since the start of the pass would be kept.
        detached = tuple((output.detach(), memory.detach()) for output, memory in after)
        lanes = batch.lanes if isinstance(batch, SequenceBatch) else None
        if lanes is None:
            progress = _Progress(number, before, {0: detached})
        else:
            if progress is None or number > progress.number:
                progress = _Progress(number, None if progress is None else progress.whole(), {})
            progress.after[lanes.start] = detached
        self._progress[reading] = progress
        if is_training:
            self._in_training = progress

    def forget(self, *, is_training: bool) -> None:
        """Start a new pass for batches of unknown passes, in training or in evaluation."""
        self._unnamed[is_training] = Reading()

    def of_training(self) -> dict[str, Any] | None:
        """Return the state after the latest training batch, `None` before the first."""
        progress = self._in_training
        if progress is None:
            return None
        return {"number": progress.number, "state": progress.whole()}

    def restore(self, saved: dict[str, Any], batch: Batch) -> None:
        """Continue training from a state.

        Args:
            saved: Result of `of_training`.
            batch: The next training batch.
        """
        reading, _ = self._place(batch, is_training=True)
        # The state before the latest batch is not saved, since that batch is not evaluated again.
        progress = _Progress(saved["number"], before=None, after={0: saved["state"]})
        self._progress[reading] = self._in_training = progress

    def _place(self, batch: Batch, *, is_training: bool) -> tuple[Reading, int]:
        if isinstance(batch, SequenceBatch):
            return batch.reading, batch.number
        reading = self._unnamed[is_training]
        progress = self._progress.get(reading)
        return reading, 0 if progress is None else progress.number + 1
