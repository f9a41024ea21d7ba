"""Throughput of the ImageNet pipeline, relative to torchvision's usual per-image pipeline.

Both read the same generated JPEG files with the same number of worker processes, and perform the
same operations: decode, resize the smaller side to 256, crop the central square, crop a random
224x224 part, flip half of the images, standardize each image. They alternate many times, one whole
pass each.
"""

from __future__ import annotations

import argparse
import io
import logging
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from deepobs import config
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from torch import Tensor

    from deepobs.protocols import Batch

LIMIT = 1.0
BATCH_SIZE = 64
CLASSES = 10
DISTINCT = 40  # generated photographs; the files are copies of them
SIZES = [(375, 500), (375, 500), (500, 375), (333, 500)]  # rows and columns
DETAIL = {64: 55, 16: 30, 4: 18, 1: 16}  # standard deviation of fields of so many pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="processes [default: 2]")
    parser.add_argument("--repeats", type=int, default=12, help="timed pairs [default: 12]")
    parser.add_argument("--batches", type=int, default=12, help="in a pass [default: 12]")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {arguments.workers} workers, batch {BATCH_SIZE}")
    with tempfile.TemporaryDirectory() as directory:
        images = BATCH_SIZE * arguments.batches
        mean_bytes = write_images(Path(directory) / "imagenet", images)
        print(f"{images} JPEG files of {mean_bytes / 1000:.0f} kB on average")
        logging.getLogger("deepobs_vision").setLevel(logging.ERROR)  # there are few classes
        config.set_data_dir(directory)
        config.set_num_workers(arguments.workers)
        report(measure(Path(directory), arguments.workers, arguments.repeats))


def report(pairs: list[tuple[float, float]]) -> None:
    ratios = [ours / theirs for ours, theirs in pairs]
    low, _, high = statistics.quantiles(ratios, n=4)
    print(
        f"deepobs {statistics.median(ours for ours, _ in pairs):.0f} images/s, "
        f"torchvision {statistics.median(theirs for _, theirs in pairs):.0f} images/s, "
        f"ratio {statistics.median(ratios):.3f}, "
        f"middle half of the ratios {low:.3f} to {high:.3f}; at least {LIMIT}"
    )


def measure(data_dir: Path, num_workers: int, repeats: int) -> list[tuple[float, float]]:
    """Images per second of our loader and of torchvision's, a pair for each repeat."""
    torch.manual_seed(42)
    loaders: dict[str, Iterable[Batch]] = {
        "deepobs": registry().datasets.load("imagenet")(BATCH_SIZE, device="cpu").train_loader,
        "torchvision": torchvision_loader(data_dir, num_workers),
    }
    pairs = []
    for repeat in range(repeats):
        # Alternate the order, so that neither is favored.
        names = sorted(loaders, reverse=bool(repeat % 2))
        rates = {name: images_per_second(loaders[name]) for name in names}
        pairs.append((rates["deepobs"], rates["torchvision"]))
    return pairs


def images_per_second(loader: Iterable[Batch]) -> float:
    """The rate over a whole pass, including the start and shutdown of the workers."""
    start = time.perf_counter()
    num_images = sum(len(images) for images, _ in loader)
    return num_images / (time.perf_counter() - start)


def torchvision_loader(data_dir: Path, num_workers: int) -> DataLoader[Batch]:
    """The pipeline of torchvision's examples, with the operations of ours."""
    operations = [
        transforms.Resize(256),
        transforms.CenterCrop(256),
        transforms.RandomCrop(224),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Lambda(standardized),
    ]
    return DataLoader(
        ImageFolder(data_dir / "imagenet" / "train", transforms.Compose(operations)),
        BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        num_workers=num_workers,
    )


def standardized(image: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(image, correction=0)
    return (image - mean) / deviation.clamp(min=1 / math.sqrt(image.numel()))


def write_images(root: Path, num_images: int) -> float:
    """Write training and a few test images, and return the mean file size in bytes."""
    random = np.random.default_rng(0)
    files = [jpeg(random, *SIZES[index % len(SIZES)]) for index in range(DISTINCT)]
    for part, count in (("train", num_images), ("val", BATCH_SIZE)):
        for index in range(count):
            folder = root / part / f"n{index % CLASSES:08}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{index}.JPEG").write_bytes(files[index % DISTINCT])
    return statistics.mean(map(len, files))


def jpeg(random: np.random.Generator, height: int, width: int) -> bytes:
    """An image with structure at all scales, so that it compresses like a photograph."""
    brightness = 128 + sum(
        deviation * smooth_noise(random, height, width, pixels)
        for pixels, deviation in DETAIL.items()
    )
    stream = io.BytesIO()
    Image.fromarray(brightness.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def smooth_noise(
    random: np.random.Generator, height: int, width: int, pixels: int
) -> NDArray[np.float32]:
    """Noise with structure at the given scale in pixels, shape (height, width, 3)."""
    coarse = random.normal(size=(3, height // pixels + 2, width // pixels + 2)).astype(np.float32)
    channels = [
        Image.fromarray(channel).resize((width, height), Image.Resampling.BICUBIC)
        for channel in coarse
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


if __name__ == "__main__":
    main()
