"""A recurrent network that reads a text from its beginning to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepobs_text.carried_state import CarriedState
from deepobs_text.language_model import LanguageModel
from deepobs_text.models import char_rnn

if TYPE_CHECKING:
    from torch import Tensor, nn

    from deepobs.protocols import Batch


class CharRNN(LanguageModel):
    """Two LSTM layers whose state is carried from batch to batch, and detached in between.

    The state is zero at the start of each pass over a loader, and each pass has a state of its own:
    an evaluation in the middle of an epoch leaves the training state as it was. A batch that is
    evaluated twice starts twice from the state that its predecessor left.
    """

    def set_up(self) -> None:
        """Load the data and build the model; the state begins anew."""
        super().set_up()
        self._state = CarriedState()
        self._passes_seen = {True: 0, False: 0}

    def build_model(self) -> nn.Module:
        """Build the model for the symbols of the data set."""
        return char_rnn.CharRNN(self.dataset.num_symbols)

    def logits(self, batch: Batch) -> Tensor:
        """Predict every next character of a batch, and carry the state.

        Args:
            batch: Ids (B,T) and next ids (B,T).

        Returns:
            Shape (T, B, symbols).
        """
        is_training = self.model.training
        self._notice_new_pass(is_training=is_training)
        before = self._state.before(batch, is_training=is_training)
        logits_TBK: Tensor
        logits_TBK, after = self.model(batch[0], before)
        self._state.remember(batch, before, after, is_training=is_training)
        return logits_TBK

    def carried_state(self) -> dict[str, Any] | None:
        """The state after the latest batch of training, for a checkpoint."""
        return self._state.of_training()

    def restore_carried_state(self, state: dict[str, Any], batch: Batch) -> None:
        """Let training go on from a state.

        Args:
            state: What `carried_state` returned.
            batch: The next batch of training.
        """
        self._notice_new_pass(is_training=True)
        self._state.restore(state, batch)

    def _notice_new_pass(self, *, is_training: bool) -> None:
        """Batches that do not know their pass begin a new one when a loader does."""
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
