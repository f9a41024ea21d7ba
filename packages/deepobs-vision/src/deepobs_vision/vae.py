"""Variational autoencoding of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepobs.problems import Problem, reduced
from deepobs_vision.models import vae

if TYPE_CHECKING:
    from torch import Tensor, nn

    from deepobs.problems import Reduction
    from deepobs.protocols import Batch


class VariationalAutoencoder(Problem):
    """Squared error of the decoded image plus the divergence of the latent variables."""

    def build_model(self) -> nn.Module:
        """Build encoder and decoder."""
        return vae.VariationalAutoencoder()

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, None]:
        """The loss of every image; there is no accuracy.

        A loss is the sum over the pixels of the squared error, plus the Kullback-Leibler divergence
        in nats of the latent normal distribution from the standard one.

        Args:
            batch: Images (B,1,28,28); what follows them is not used.
            reduction: "none" for one loss an image, "mean" or "sum".
        """
        images_BCHW = batch[0]
        decoded_BCHW, mean_BZ, log_deviation_BZ = self.model(images_BCHW)
        error_B = (images_BCHW - decoded_BCHW).square().flatten(1).sum(dim=1)
        variance_BZ = (2 * log_deviation_BZ).exp()
        terms_BZ = 1 + 2 * log_deviation_BZ - mean_BZ.square() - variance_BZ
        return reduced(error_B - 0.5 * terms_BZ.sum(dim=1), reduction), None
