"""A small transformer that reads windows of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs_text.language_model import LanguageModel
from deepobs_text.models import transformer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from deepobs.protocols import Batch


class Transformer(LanguageModel):
    """A decoder-only transformer; windows of the text do not depend on each other."""

    def build_model(self) -> nn.Module:
        """Build the model for the symbols and the sequence length of the data set."""
        return transformer.Transformer(self.dataset.num_symbols, self.dataset.sequence_length)

    def parameter_roles(self) -> dict[str, str]:
        """The embedding serves as the head: the last matrix of its own is hidden."""
        roles = super().parameter_roles()
        return {name: "hidden" if role == "head" else role for name, role in roles.items()}

    def logits(self, batch: Batch) -> Tensor:
        """Predict every next character of a batch.

        Args:
            batch: Ids (B,T) and next ids (B,T).

        Returns:
            Shape (T, B, symbols).
        """
        logits_BTK: Tensor = self.model(batch[0])
        return logits_BTK.transpose(0, 1)
