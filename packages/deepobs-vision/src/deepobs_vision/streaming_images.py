"""Loading of images that do not fit into memory: batches of crops, decoded in worker processes.

An image is resized as by TensorFlow's old bilinear resize, restricted to the pixels that a crop
keeps. Pixel i comes from position i * (old side / new side): neither centers nor corners are
aligned, and nothing is smoothed when an image shrinks. As in TensorFlow, it is computed in float32
and columns before rows. Axes in the names of tensors: B batch, C channels, H height, W width of
an image; h and w those of a crop.
"""

from __future__ import annotations

import itertools
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from deepobs import config
from deepobs.data.base import ShuffledLoader
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

# Images per result of a worker for an accelerator: whole batches would take too much of the memory
# that processes share. For a CPU it is a whole batch, so that nothing is copied again.
_PORTION = 32

_BATCHES_AHEAD = 2


_TO_UNIT = np.float32(1 / 255)

# So few that all intermediate results stay in the cache: twice as fast as the whole crop at once.
_ROWS_AT_ONCE = 32

# The most common size of an image of ImageNet.
_HEIGHT, _WIDTH, _CHANNELS = 375, 500, 3

# Rows and columns of the pattern of a synthetic class: coarse, so that it is learned soon.
_FIELDS = 8

# Pattern and noise are each below this power of two, so that their sum is a byte.
_NOISE_LIMIT = 128


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
    """Some rows (images,) of a store, which is shared and not copied."""

    store: ImageStore
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


class Crop(NamedTuple):
    """Row and column of a crop in the central square of the resized image, and whether flipped."""

    row: int
    column: int
    is_flipped: int


_CENTRAL = Crop((NUM_OFFSETS - 1) // 2, (NUM_OFFSETS - 1) // 2, is_flipped=0)


class CroppedImages(Dataset["Batch"]):
    """Standardized crops with their labels, on the CPU, where worker processes can make them.

    Args:
        images: The images to load.
        is_random: Whether crops are random, drawn by torch's global generator, or central.
        dtype: Floating-point type of the crops.
    """

    def __init__(self, images: StreamedImages, *, is_random: bool, dtype: torch.dtype) -> None:
        self._images = images
        self._is_random = is_random
        self._dtype = dtype

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, row: int) -> Batch:
        store, stored = self._images.store, self._images.rows[row]
        crop = Crop(*draw_crops(1, None)[0].tolist()) if self._is_random else _CENTRAL
        pixels = _decode_crop(store[stored], crop).to(self._dtype)
        return pixels, torch.tensor(store.labels[stored], device="cpu")


class StreamingImageLoader(ShuffledLoader):
    """Yields batches of standardized crops and labels, decoded in worker processes.

    There are as many of them as `config.get_num_workers()` says when it is made.

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
        crops = CroppedImages(images, is_random=arguments.get("generator") is not None, dtype=dtype)
        super().__init__(crops, batch_size, pin_memory=device.type == "cuda", **arguments)
        # Afterwards, since torch warns of numbers that are larger than that of the cores.
        self.num_workers = config.get_num_workers()
        self.images = images
        self.device = device
        self.dtype = dtype
        self._portion_size = batch_size if device.type == "cpu" else min(batch_size, _PORTION)

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override] # any iterator will do
        """Start a new pass; raises `CorruptDataError` if an image cannot be decoded."""
        return self.batches_from(0)

    def batches_from(self, number: int) -> Iterator[Batch]:
        """Start a new pass and skip its first batches, without decoding them."""
        # All randomness is drawn here, at the start of a pass: batches must not depend on how many
        # workers there are, or how far these are ahead when a run is interrupted.
        rows, crops = self._plan()
        batches = list(_pieces(range(self.num_examples), self.batch_size))[number:]
        portions_per_batch = math.ceil(self.batch_size / self._portion_size)
        results = in_workers(
            _decode_portion,
            self._requests(batches, rows, crops),
            num_portions=len(batches) * portions_per_batch,
            num_workers=self.num_workers,
            ahead=_BATCHES_AHEAD * portions_per_batch,
            pin_memory=self.pin_memory,
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
            crops.to(self.device, non_blocking=self.pin_memory).to(self.dtype) for crops in portions
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def draw_crops(num_images: int, generator: torch.Generator | None) -> Tensor:
    """Draw uniformly placed crops, half of them flipped.

    Args:
        num_images: Their number.
        generator: A CPU generator, `None` for torch's global one.

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


class Window(NamedTuple):
    """The part of a resized image that is kept: first row and column, size, and whether flipped."""

    top: int
    left: int
    side: int
    is_flipped: bool = False


class _Neighbors(NamedTuple):
    """Old pixels before and after each pixel along one side of a crop, and the weight of these."""

    before: NDArray[np.intp]
    after: NDArray[np.intp]
    weight: NDArray[np.float32]

    def part(self, chosen: slice) -> _Neighbors:
        """Select some of the pixels."""
        return _Neighbors(self.before[chosen], self.after[chosen], self.weight[chosen])


def scaled_sides(sides: tuple[int, int], smaller: int) -> tuple[int, int]:
    """Scale height and width so that the smaller becomes `smaller`, rounded half to even."""
    # In float32, as in TensorFlow: with doubles, some images would be a pixel larger or smaller.
    factor = np.float32(smaller) / np.float32(min(sides))
    height, width = (int(np.rint(factor * np.float32(side))) for side in sides)
    return height, width


def resized(
    pixels_HWC: NDArray[np.uint8], sides: tuple[int, int], window: Window
) -> NDArray[np.float32]:
    """Compute a window of the resized image, shape (channels, rows, columns), in [0, 1].

    Args:
        pixels_HWC: Red, green and blue bytes.
        sides: Height and width of the whole resized image.
        window: The part to compute.
    """
    height, width, _ = pixels_HWC.shape
    rows = _neighbors(height, sides[0], window.top, window.side)
    columns = _neighbors(width, sides[1], window.left, window.side)
    if window.is_flipped:
        columns = columns.part(slice(None, None, -1))
    crop_Chw = np.empty((_CHANNELS, window.side, window.side), np.float32)
    crop_hCw = crop_Chw.transpose(1, 0, 2)
    for start in range(0, window.side, _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        _resize_rows(pixels_HWC, rows.part(some), columns, crop_hCw[some])
    return crop_Chw


def _resize_rows(
    pixels_HWC: NDArray[np.uint8],
    rows: _Neighbors,
    columns: _Neighbors,
    crop_hCw: NDArray[np.float32],
) -> None:
    first = rows.before[0]
    blended_HCw = _blend_columns(pixels_HWC[first : rows.after[-1] + 1], columns)
    above_hCw, below_hCw = blended_HCw[rows.before - first], blended_HCw[rows.after - first]
    below_hCw -= above_hCw
    below_hCw *= rows.weight[:, None, None]
    np.add(above_hCw, below_hCw, out=crop_hCw)


def _blend_columns(pixels_HWC: NDArray[np.uint8], columns: _Neighbors) -> NDArray[np.float32]:
    """Mix the two columns that each column of the crop comes from, shape (H, C, w), in [0, 1]."""
    # One gather from flat rows, which also moves the channels to the front.
    flat_HP = pixels_HWC.reshape(len(pixels_HWC), -1)
    channels_C1 = np.arange(_CHANNELS)[:, None]
    left_HP, right_HP = (
        flat_HP.take((index * _CHANNELS + channels_C1).ravel(), axis=1)
        for index in (columns.before, columns.after)
    )
    mixed_HP, change_HP = np.multiply(left_HP, _TO_UNIT), np.multiply(right_HP, _TO_UNIT)
    change_HP -= mixed_HP
    change_HP *= np.tile(columns.weight, _CHANNELS)
    mixed_HP += change_HP
    return mixed_HP.reshape(len(pixels_HWC), _CHANNELS, -1)


def _neighbors(old_side: int, new_side: int, start: int, length: int) -> _Neighbors:
    scale = np.float32(old_side) / np.float32(new_side)
    position = np.arange(start, start + length, dtype=np.float32) * scale
    before = np.minimum(position.astype(np.intp), old_side - 1)
    after = np.minimum(before + 1, old_side - 1)
    return _Neighbors(before, after, position - before.astype(np.float32))


@dataclass(frozen=True, slots=True)
class SyntheticImage:
    """A pattern, uint8 of shape (8, 8, 3), to which noise is added when the image is decoded."""

    pattern: NDArray[np.uint8]
    seed: tuple[int, ...]

    def decode(self) -> NDArray[np.uint8]:
        """The pixels, shape (375, 500, 3)."""
        num_bytes = _HEIGHT * _WIDTH * _CHANNELS
        # NumPy guarantees the raw stream of SFC64, and global generators stay as they are.
        words = np.random.SFC64(self.seed).random_raw(num_bytes // 8 + 1)
        noise = words.view(np.uint8)[:num_bytes] & (_NOISE_LIMIT - 1)
        rows, columns = (
            np.bincount(np.arange(side) * _FIELDS // side) for side in (_HEIGHT, _WIDTH)
        )
        pattern = self.pattern.repeat(columns, axis=1).repeat(rows, axis=0)
        pattern += noise.reshape(pattern.shape)
        return pattern


class SyntheticImages:
    """A synthetic training or test set with a coarse pattern for each class.

    Args:
        name: Determines the patterns.
        split: Distinguishes the noise of the training set from that of the test set.
        size: Number of images.
        num_classes: Labels run from 1 to this, and all are about equally frequent.
    """

    def __init__(self, name: str, split: str, size: int, num_classes: int) -> None:
        random = np.random.RandomState(zlib.crc32(name.encode()))
        shape = (num_classes, _FIELDS, _FIELDS, _CHANNELS)
        self._patterns = random.randint(0, _NOISE_LIMIT, shape, dtype=np.uint8)
        self._seed = zlib.crc32(f"{name} {split}".encode())
        random = np.random.RandomState(self._seed)
        self.labels: NDArray[np.int64] = random.permutation(np.arange(size) % num_classes) + 1

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> SyntheticImage:
        return SyntheticImage(self._patterns[self.labels[row] - 1], (self._seed, int(row)))
