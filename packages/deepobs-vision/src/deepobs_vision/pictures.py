"""Loading pictures of all sizes that do not fit into memory: a batch of crops at a time.

Axes in the names of tensors: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import default_collate

from deepobs.data.loader import ShuffledLoader
from deepobs_vision.crops import Crop, Picture, central_crops, cropped, draw_crops
from deepobs_vision.workers import in_workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from deepobs.protocols import Batch

_PORTION = 32
"""Pictures that a worker makes in one go for an accelerator: large batches would take too much of
the memory that processes share. For a CPU it is a whole batch, so that nothing is copied again."""

_BATCHES_AHEAD = 2


class PictureStore(Protocol):
    """All pictures of the training or the test set."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of each picture."""
        ...

    def __getitem__(self, row: int) -> Picture:
        """One of the pictures, not decoded."""
        ...


@dataclass(frozen=True, eq=False)
class Pictures:
    """Some of the pictures of a store, which is shared and not copied.

    Attributes:
        store: Where they are.
        rows: Which they are, shape (pictures,).
    """

    store: PictureStore
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


def _cropped(portion: list[tuple[Picture, Crop]]) -> Tensor:
    """The crops of a portion, in memory that the processes share."""
    crops: Tensor = default_collate([cropped(picture, crop) for picture, crop in portion])
    return crops


class PictureLoader(ShuffledLoader):
    """Yields batches of standardised crops and labels, decoded in worker processes.

    Whatever is random is drawn in this process and at the start of a pass. So the batches are the
    same for any number of workers, however far they are ahead.

    Args:
        pictures: What to load.
        batch_size: Pictures a batch.
        device: Where the batches go.
        dtype: The floating-point type of the images.
        arguments: Those of `ShuffledLoader`. The generator draws crops and flips, too, which are
            new in every pass; without one, crops are central.
    """

    def __init__(
        self,
        pictures: Pictures,
        batch_size: int,
        *,
        device: torch.device,
        dtype: torch.dtype,
        **arguments: Any,
    ) -> None:
        super().__init__(len(pictures), batch_size, **arguments)
        self.pictures = pictures
        self.device = device
        self.dtype = dtype
        self._pins_memory = device.type == "cuda"
        self._portion_size = batch_size if device.type == "cpu" else min(batch_size, _PORTION)

    def __iter__(self) -> Iterator[Batch]:
        """Start a new pass.

        Raises:
            CorruptDataError: A picture cannot be decoded.
        """
        return self.batches_from(0)

    def batches_from(self, number: int) -> Iterator[Batch]:
        """Start a new pass, but leave out so many batches at its beginning, without decoding them.

        Args:
            number: How many.

        Raises:
            CorruptDataError: A picture cannot be decoded.
        """
        rows, crops = self._plan()
        batches = list(_pieces(range(self.num_examples), self.batch_size))[number:]
        portions_per_batch = math.ceil(self.batch_size / self._portion_size)
        results = in_workers(
            _cropped,
            self._requests(batches, rows, crops),
            num_portions=len(batches) * portions_per_batch,
            ahead=_BATCHES_AHEAD * portions_per_batch,
            pin_memory=self._pins_memory,
        )
        for batch in batches:
            portions = itertools.islice(results, len(self._portions(batch)))
            labels = torch.from_numpy(self.pictures.store.labels[rows[batch.start : batch.stop]])
            yield self._on_device(portions), labels.to(self.device)

    def _portions(self, batch: range) -> list[range]:
        """What each worker gets of a batch."""
        return list(_pieces(batch, self._portion_size))

    def _requests(
        self, batches: list[range], rows: NDArray[np.int64], crops: Tensor
    ) -> Iterator[list[tuple[Picture, Crop]]]:
        """What the workers are asked to do."""
        store = self.pictures.store
        for portion in itertools.chain.from_iterable(map(self._portions, batches)):
            chosen = slice(portion.start, portion.stop)
            yield [
                (store[row], Crop(*crop))
                for row, crop in zip(rows[chosen], crops[chosen].tolist(), strict=True)
            ]

    def _plan(self) -> tuple[NDArray[np.int64], Tensor]:
        """The rows of a pass in their order, and the crops that go with them."""
        rows = self.pictures.rows
        order = self.draw_order()
        if order is None or self.generator is None:
            return rows[: self.num_examples], central_crops(self.num_examples)
        return rows[order.numpy()], draw_crops(self.num_examples, self.generator)

    def _on_device(self, portions: Iterator[Tensor]) -> Tensor:
        """A batch (B, C, H, W)."""
        parts = [
            crops.to(self.device, non_blocking=self._pins_memory).to(self.dtype)
            for crops in portions
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _pieces(places: range, size: int) -> Iterator[range]:
    """Cut a range into pieces, the last of which may be smaller."""
    for start in range(0, len(places), size):
        yield places[start : start + size]
