"""Loading of images that do not fit into memory: batches of crops, decoded in worker processes.

Axes in the names of tensors: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from deepobs.data.loader import ShuffledLoader
from deepobs_vision.resize import Window, resized, scaled_sides
from deepobs_vision.workers import in_workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from deepobs.protocols import Batch

SMALLER_SIDE = 256
"""The smaller side of each image after resizing."""

CROP_SIDE = 224
"""Height and width of a crop."""

NUM_OFFSETS = SMALLER_SIDE - CROP_SIDE + 1
"""Rows, and columns, at which a crop of the central square of a resized image can begin."""

_PORTION = 32
"""Images per result of a worker for an accelerator: whole batches would take too much of the memory
that processes share. For a CPU it is a whole batch, so that nothing is copied again."""

_BATCHES_AHEAD = 2


class EncodedImage(Protocol):
    """An image that is yet to be decoded; it is sent to a worker process."""

    def decode(self) -> NDArray[np.uint8]:
        """The pixels, shape (height, width, 3)."""
        ...


class ImageStore(Protocol):
    """All images of the training or the test set."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of each image."""
        ...

    def __getitem__(self, row: int) -> EncodedImage:
        """One of the images, not decoded."""
        ...


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """Some of the images of a store, which is shared and not copied.

    Attributes:
        store: The store.
        rows: Their rows in it, shape (images,).
    """

    store: ImageStore
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


class Crop(NamedTuple):
    """The part of an image that is kept.

    Attributes:
        row: Where it begins in the central square of the resized image.
        column: The same.
        is_flipped: Whether left and right are exchanged; 0 or 1.
    """

    row: int
    column: int
    is_flipped: int


_CENTRAL = Crop((NUM_OFFSETS - 1) // 2, (NUM_OFFSETS - 1) // 2, is_flipped=0)


class StreamingImageLoader(ShuffledLoader):
    """Yields batches of standardized crops and labels, decoded in worker processes.

    Args:
        images: The images to load.
        batch_size: Images per batch.
        device: Device of the batches.
        dtype: Floating-point type of the images.
        arguments: Those of `ShuffledLoader`. The generator also draws crops and flips, which are
            new in each pass; without one, crops are central.
    """

    def __init__(
        self,
        images: StreamedImages,
        batch_size: int,
        *,
        device: torch.device,
        dtype: torch.dtype,
        **arguments: Any,
    ) -> None:
        super().__init__(len(images), batch_size, **arguments)
        self.images = images
        self.device = device
        self.dtype = dtype
        self._pins_memory = device.type == "cuda"
        self._portion_size = batch_size if device.type == "cpu" else min(batch_size, _PORTION)

    def __iter__(self) -> Iterator[Batch]:
        """Start a new pass.

        Raises:
            CorruptDataError: An image cannot be decoded.
        """
        return self.batches_from(0)

    def batches_from(self, number: int) -> Iterator[Batch]:
        """Start a new pass and skip its first batches, without decoding them.

        Args:
            number: How many to skip.

        Raises:
            CorruptDataError: An image cannot be decoded.
        """
        # All randomness is drawn here, at the start of a pass: batches must not depend on how many
        # workers there are, or how far these are ahead when a run is interrupted.
        rows, crops = self._plan()
        batches = list(_pieces(range(self.num_examples), self.batch_size))[number:]
        portions_per_batch = math.ceil(self.batch_size / self._portion_size)
        results = in_workers(
            _decode_portion,
            self._requests(batches, rows, crops),
            num_portions=len(batches) * portions_per_batch,
            ahead=_BATCHES_AHEAD * portions_per_batch,
            pin_memory=self._pins_memory,
        )
        for batch in batches:
            portions = itertools.islice(results, len(self._portions(batch)))
            labels = torch.from_numpy(self.images.store.labels[rows[batch.start : batch.stop]])
            yield self._on_device(portions), labels.to(self.device)

    def _plan(self) -> tuple[NDArray[np.int64], Tensor]:
        """The rows of a pass in their order, and their crops."""
        rows = self.images.rows
        order = self.draw_order()
        if order is None or self.generator is None:
            central = torch.tensor(_CENTRAL, device="cpu").expand(self.num_examples, -1)
            return rows[: self.num_examples], central
        return rows[order.numpy()], draw_crops(self.num_examples, self.generator)

    def _portions(self, batch: range) -> list[range]:
        return list(_pieces(batch, self._portion_size))

    def _requests(
        self, batches: list[range], rows: NDArray[np.int64], crops: Tensor
    ) -> Iterator[list[tuple[EncodedImage, Crop]]]:
        store = self.images.store
        for portion in itertools.chain.from_iterable(map(self._portions, batches)):
            chosen = slice(portion.start, portion.stop)
            yield [
                (store[row], Crop(*crop))
                for row, crop in zip(rows[chosen], crops[chosen].tolist(), strict=True)
            ]

    def _on_device(self, portions: Iterator[Tensor]) -> Tensor:
        parts = [
            crops.to(self.device, non_blocking=self._pins_memory).to(self.dtype)
            for crops in portions
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def draw_crops(num_images: int, generator: torch.Generator) -> Tensor:
    """Draw a crop for each image: all places are equally likely, and half of them are flipped.

    Args:
        num_images: Number of crops.
        generator: A CPU generator.

    Returns:
        A `Crop` in each row, uint8 of shape (images, 3): an epoch of ImageNet takes 4 MB.
    """

    def draw(limit: int) -> Tensor:
        size = (num_images,)
        return torch.randint(limit, size, generator=generator, dtype=torch.uint8, device="cpu")

    return torch.stack([draw(NUM_OFFSETS), draw(NUM_OFFSETS), draw(2)], dim=1)


def _decode_portion(portion: list[tuple[EncodedImage, Crop]]) -> Tensor:
    """The crops of a portion, float32 (B, 3, 224, 224), in memory that the processes share."""
    crops: Tensor = default_collate([_decode_crop(image, crop) for image, crop in portion])
    return crops


def _decode_crop(image: EncodedImage, crop: Crop) -> Tensor:
    """Decode, resize with the same aspect ratio, crop and standardize an image."""
    pixels = image.decode()
    sides = scaled_sides(pixels.shape[:2], SMALLER_SIDE)
    top, left = ((side - SMALLER_SIDE) // 2 for side in sides)
    window = Window(top + crop.row, left + crop.column, CROP_SIDE, bool(crop.is_flipped))
    values = resized(pixels, sides, window)
    # As `augmentation.standardized`, but in NumPy, whose sums do not depend on the number of
    # threads: a worker process, which has one, must get the same result as the main process.
    values -= values.mean()
    norm = math.sqrt(np.square(values).sum())
    values *= np.float32(math.sqrt(values.size) / max(norm, 1.0))
    return torch.from_numpy(values)


def _pieces(places: range, size: int) -> Iterator[range]:
    """Cut a range into pieces, the last of which may be smaller."""
    for start in range(0, len(places), size):
        yield places[start : start + size]
