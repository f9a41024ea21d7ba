"""Image data sets whose batches can contain the noise that a diffusion model is to predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from deepobs import checks
from deepobs_vision.images import ImageDataSet

if TYPE_CHECKING:
    from torch import Tensor

    from deepobs.data import Examples
    from deepobs.protocols import Batch, Loader

# Of the noise of evaluation, which is the same in all runs.
_SEED = 42


class NoisyImages(ImageDataSet):
    """Images, and on request standard normal noise of their shape and a level of noise for each.

    For training, both are new in each pass, drawn by `generator`, and the same on every device.
    For evaluation they belong to the row of an image in its split, whatever the seed of the run.

    Args:
        batch_size: As for `BaseDataSet`.
        noise_levels: The number of levels, which are uniformly distributed; 0 for batches
            without noise. With levels, batches are images and labels, and noise (B, C, H, W) of
            type `dtype` and levels (B,) from 0 to `noise_levels - 1`.
        options: Further arguments of `BaseDataSet`.
    """

    def __init__(self, batch_size: int, *, noise_levels: int = 0, **options: Any) -> None:
        self.noise_levels = checks.integer("noise_levels", noise_levels, least=0)
        super().__init__(batch_size, **options)

    def evaluation_loader(self, examples: Examples, *, drop_remainder: bool) -> Loader:
        """Build a loader of batches in stored order, with the noise of each row."""
        if self.noise_levels:
            generator = torch.Generator(device="cpu").manual_seed(_SEED)
            examples = (*examples, *self._draw(examples[0], generator))
        return super().evaluation_loader(examples, drop_remainder=drop_remainder)

    def transform(self, batch: Batch) -> Batch:
        """Scale images to [0, 1]; noise and levels stay."""
        images, labels, *noise = batch
        return *super().transform((images, labels)), *noise

    def transform_training(self, batch: Batch) -> Batch:
        """Scale images to [0, 1] and draw their noise."""
        if self.noise_levels:
            drawn = self._draw(batch[0], self.generator)
            batch = (*batch, *(part.to(self.device, non_blocking=True) for part in drawn))
        return self.transform(batch)

    def _draw(self, images_BCHW: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Noise and levels for images, on the CPU."""
        # Levels first: they are the same for images of another size.
        size = (len(images_BCHW),)
        levels_B = torch.randint(self.noise_levels, size, generator=generator, device="cpu")
        noise_BCHW = torch.randn(
            images_BCHW.shape, generator=generator, dtype=torch.float32, device="cpu"
        )
        return noise_BCHW.to(self.dtype), levels_B
