"""Denoising diffusion: a network predicts the noise that was added to an image.

Axes in the names of tensors: B batch, C channels, H height, W width, T pixels, D features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn

from deepobs.problems import Problem, reduced
from deepobs_vision.u_net import UNet, UNetSize

if TYPE_CHECKING:
    from typing import Protocol

    from deepobs.problems import Reduction
    from deepobs.protocols import Batch, DataSet
    from deepobs_vision.dense import Shape

    class Images(DataSet, Protocol):
        """What diffusion requires of its data set."""

        @property
        def image_shape(self) -> tuple[int, int, int]:
            """Channels, height and width of an image."""
            ...


_SIZE = UNetSize(channels=16, multipliers=(1, 2, 4), blocks=1, attention_sides=(7,), groups=8)
_FIRST_VARIANCE, _LAST_VARIANCE = 1e-4, 0.02


class DenoisingDiffusion(Problem):
    """Squared error of the predicted noise, averaged over the pixels of an image.

    Noise and its level come with the images, as `options["noise_levels"]` asks the data set for
    them: new ones for training, and those of each image for evaluation, which therefore depends on
    the weights alone.
    """

    dataset_options: ClassVar[tuple[str, ...]] = ("noise_levels",)
    dataset: Images

    def build_model(self) -> nn.Module:
        """Build the network for the images of the data set and the levels of noise."""
        num_levels = cast("int", self.spec.options["noise_levels"])
        return DiffusionNetwork(self.dataset.image_shape, num_levels)

    def batch_losses(self, batch: Batch, reduction: Reduction) -> tuple[Tensor, None]:
        """Compute the losses; there is no accuracy.

        Args:
            batch: Images (B,C,H,W) in [0, 1], labels (B,), which are ignored, noise (B,C,H,W) and
                levels (B,).
            reduction: "none" for one loss per image, "mean" or "sum".
        """
        images_BCHW, _, noise_BCHW, levels_B = batch
        predicted_BCHW = self.model(images_BCHW, noise_BCHW, levels_B)
        error_B = (predicted_BCHW - noise_BCHW).square().flatten(1).mean(dim=1)
        return reduced(error_B, reduction), None


class DiffusionNetwork(nn.Module):
    """Mixes images with noise, and predicts the noise from the mixture and its level.

    At a level, the variance of the noise is one minus the product of `1 - b` over the levels up to
    it, where `b` grows linearly from 0.0001 to 0.02.

    Args:
        image_shape: Channels, height and width of an image.
        num_levels: The number of levels.

    References:
        Ho, Jain, Abbeel: Denoising Diffusion Probabilistic Models, NeurIPS 2020, arXiv:2006.11239.
    """

    def __init__(self, image_shape: Shape, num_levels: int) -> None:
        super().__init__()
        self.predictor = UNet(image_shape, _SIZE)
        added = torch.linspace(_FIRST_VARIANCE, _LAST_VARIANCE, num_levels, dtype=torch.float64)
        kept = (1 - added).cumprod(dim=0)
        for name, values in (("signal", kept.sqrt()), ("noise", (1 - kept).sqrt())):
            # Known from the number of levels, so that they are no part of the state.
            self.register_buffer(name, values.float(), persistent=False)

    def forward(self, images_BCHW: Tensor, noise_BCHW: Tensor, levels_B: Tensor) -> Tensor:
        """Predict the noise.

        Args:
            images_BCHW: Images in [0, 1].
            noise_BCHW: Standard normal noise.
            levels_B: The level of the noise in each image, from 0.
        """
        signal, noise = (
            cast("Tensor", weights)[levels_B].view(-1, 1, 1, 1)
            for weights in (self.signal, self.noise)
        )
        mixed_BCHW = signal * (2 * images_BCHW - 1) + noise * noise_BCHW
        predicted_BCHW: Tensor = self.predictor(mixed_BCHW, levels_B)
        return predicted_BCHW
