"""The hidden state of a recurrent model between the batches of a pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from deepobs_text.sequences import Reading, SequenceBatch

if TYPE_CHECKING:
    from torch import Tensor

    from deepobs.protocols import Batch

State = tuple[tuple["Tensor", "Tensor"], ...]
"""Of every layer, its output and its memory, each of shape (1, batch, features)."""


@dataclass(slots=True)
class _Progress:
    """How far a pass has come.

    Attributes:
        number: The batch that was evaluated last.
        before: The state before that batch, `None` for zeros.
        after: The state after it.
    """

    number: int
    before: State | None
    after: State


class CarriedState:
    """Remembers the state of each pass for as long as somebody holds one of its batches.

    A batch that is evaluated again, as optimizers with a closure do, starts again from the state
    before it. One from earlier in the pass starts from zeros, as the state before it is gone, and
    the pass goes on where it was. Batches that do not know their pass, since somebody made others
    of them, are taken to follow each other, in training and in evaluation separately, until
    `forget` is called.
    """

    def __init__(self) -> None:
        self._progress: WeakKeyDictionary[Reading, _Progress] = WeakKeyDictionary()
        self._unnamed = {True: Reading(), False: Reading()}
        self._in_training: _Progress | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy begins anew: it belongs to no pass."""
        return CarriedState, ()

    def before(self, batch: Batch, *, is_training: bool) -> State | None:
        """The state to start from, `None` for zeros.

        Args:
            batch: What is to be evaluated.
            is_training: Whether the model is in training mode.
        """
        reading, number = self._place(batch, is_training=is_training)
        progress = self._progress.get(reading)
        if progress is None or number < progress.number:
            return None
        state = progress.before if number == progress.number else progress.after
        is_of_this_size = state is None or state[0][0].shape[1] == len(batch[0])
        return state if is_of_this_size else None

    def remember(
        self, batch: Batch, before: State | None, after: State, *, is_training: bool
    ) -> None:
        """Keep the state after a batch, cut off from how it was computed.

        Args:
            batch: What was evaluated.
            before: The state it started from.
            after: The state it ended with.
            is_training: Whether the model is in training mode.
        """
        reading, number = self._place(batch, is_training=is_training)
        progress = self._progress.get(reading)
        if progress is not None and number < progress.number:
            return
        detached = tuple((output.detach(), memory.detach()) for output, memory in after)
        self._progress[reading] = progress = _Progress(number, before, detached)
        if is_training:
            self._in_training = progress

    def forget(self, *, is_training: bool) -> None:
        """Let batches that do not know their pass begin a new one.

        Args:
            is_training: Whether it is about training or about evaluation.
        """
        self._unnamed[is_training] = Reading()

    def of_training(self) -> dict[str, Any] | None:
        """Where the latest batch of training left off, `None` before any."""
        progress = self._in_training
        if progress is None:
            return None
        return {"number": progress.number, "state": progress.after}

    def restore(self, saved: dict[str, Any], batch: Batch) -> None:
        """Let a batch of training go on from a state.

        Args:
            saved: What `of_training` returned.
            batch: The batch that follows.
        """
        reading, _ = self._place(batch, is_training=True)
        # The batch before is not evaluated again: nobody asks for the state that it started from.
        progress = _Progress(saved["number"], before=None, after=saved["state"])
        self._progress[reading] = self._in_training = progress

    def _place(self, batch: Batch, *, is_training: bool) -> tuple[Reading, int]:
        if isinstance(batch, SequenceBatch):
            return batch.reading, batch.number
        reading = self._unnamed[is_training]
        progress = self._progress.get(reading)
        return reading, 0 if progress is None else progress.number + 1
