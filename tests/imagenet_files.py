"""Small image folders for the tests of ImageNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from deepobs import config
from deepobs.plugins import registry

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

WNIDS = ("n01440764", "n01443537", "n01484850", "n01491361")


def noise(seed: int, height: int = 40, width: int = 50) -> NDArray[np.uint8]:
    """An image of random bytes."""
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


def write_image(path: Path, pixels: NDArray[np.uint8], mode: str = "RGB") -> None:
    """Write a file that decodes to just these pixels, whatever it is called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, "PNG")


def write_tree(root: Path, *, train: int = 5, val: int = 2, wnids: tuple[str, ...] = WNIDS) -> None:
    """Write so many different images a class for each part."""
    for part, count in (("train", train), ("val", val)):
        for label, wnid in enumerate(wnids, start=1):
            for index in range(count):
                seed = 1000 * label + index + (500 if part == "val" else 0)
                write_image(root / part / wnid / f"{wnid}_{index}.JPEG", noise(seed))


def imagenet(batch_size: int = 4, *, num_workers: int = 0, **arguments: Any) -> Any:
    """The data set on the CPU."""
    config.set_num_workers(num_workers)
    return registry().datasets.load("imagenet")(batch_size, device="cpu", **arguments)
