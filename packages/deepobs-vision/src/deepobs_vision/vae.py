"""A convolutional variational autoencoder of gray images with 28x28 pixels.

Axes in the names of tensors: B batch, C channels, H height, W width, Z latent.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from deepobs.problems import Problem, reduced
from deepobs.problems.initializers import glorot_uniform_
from deepobs.problems.tf_variables import in_scope
from deepobs_vision.dense import dense
from deepobs_vision.layers import conv2d, conv2d_transpose

if TYPE_CHECKING:
    from deepobs.problems import Reduction
    from deepobs.protocols import Batch

_NUM_LATENT = 8
_DROPPED = 0.2
_LEAK = 0.3

_conv2d = partial(conv2d, kernel_initializer=glorot_uniform_)
_conv2d_transpose = partial(conv2d_transpose, kernel_initializer=glorot_uniform_)
_dense = partial(dense, kernel_initializer=glorot_uniform_)


class VariationalAutoencoder(Problem):
    """Squared error of the decoded image plus the divergence of the latent variables."""

    def build_model(self) -> nn.Module:
        """Build encoder and decoder."""
        return AutoencoderNetwork()

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, None]:
        """Compute the losses; there is no accuracy.

        The loss of an image is the sum of squared errors over the pixels, plus the Kullback-Leibler
        divergence in nats of the latent normal distribution from the standard one.

        Args:
            batch: Images (B,1,28,28); the rest is ignored.
            reduction: "none" for one loss per image, "mean" or "sum".
        """
        images_BCHW = batch[0]
        decoded_BCHW, mean_BZ, log_deviation_BZ = self.model(images_BCHW)
        error_B = (images_BCHW - decoded_BCHW).square().flatten(1).sum(dim=1)
        variance_BZ = (2 * log_deviation_BZ).exp()
        terms_BZ = 1 + 2 * log_deviation_BZ - mean_BZ.square() - variance_BZ
        return reduced(error_B - 0.5 * terms_BZ.sum(dim=1), reduction), None


class AutoencoderNetwork(nn.Module):
    """Encoder, sampling of the latent variables, and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = in_scope("encoder", Encoder())
        self.decoder = in_scope("decoder", _decoder())

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode, sample and decode.

        Args:
            images_BCHW: Images in [0, 1], shape (batch, 1, 28, 28).

        Returns:
            The decoded images, same shape; mean and logarithm of the standard deviation of each
            latent variable, both of shape (batch, 8).
        """
        mean_BZ, log_deviation_BZ = self.encoder(images_BCHW)
        # In evaluation, too, as in the original: the loss is that of a sample, not of the mean.
        noise_BZ = torch.randn_like(mean_BZ)
        latent_BZ = mean_BZ + noise_BZ * log_deviation_BZ.exp()
        return self.decoder(latent_BZ), mean_BZ, log_deviation_BZ


class Encoder(nn.Module):
    """Three convolutions, and a dense layer for each of two statistics of the latent variables."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _conv2d(1, 64, 4, stride=2),
            nn.LeakyReLU(_LEAK),
            nn.Dropout(_DROPPED),
            _conv2d(64, 64, 4, stride=2),
            nn.LeakyReLU(_LEAK),
            nn.Dropout(_DROPPED),
            _conv2d(64, 64, 4),
            nn.LeakyReLU(_LEAK),
            nn.Dropout(_DROPPED),
            nn.Flatten(),
        )
        self.mean = _dense(7 * 7 * 64, _NUM_LATENT, channels=64)
        self.log_variance = _dense(7 * 7 * 64, _NUM_LATENT, channels=64)

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the standard deviation, both of shape (batch, 8)."""
        features_BD = self.features(images_BCHW)
        return self.mean(features_BD), 0.5 * self.log_variance(features_BD)


def _decoder() -> nn.Sequential:
    """Two dense layers, three transposed convolutions and a dense layer, to images in [0, 1]."""
    return nn.Sequential(
        _dense(_NUM_LATENT, 24),
        nn.LeakyReLU(_LEAK),
        _dense(24, 7 * 7),
        nn.LeakyReLU(_LEAK),
        nn.Unflatten(1, (1, 7, 7)),
        _conv2d_transpose(1, 64, 4, stride=2),
        nn.ReLU(),
        nn.Dropout(_DROPPED),
        _conv2d_transpose(64, 64, 4),
        nn.ReLU(),
        nn.Dropout(_DROPPED),
        # No dropout after the last transposed convolution, as in the original.
        _conv2d_transpose(64, 64, 4),
        nn.ReLU(),
        nn.Flatten(),
        _dense(14 * 14 * 64, 28 * 28, channels=64),
        nn.Sigmoid(),
        nn.Unflatten(1, (1, 28, 28)),
    )
