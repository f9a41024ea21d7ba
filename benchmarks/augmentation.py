"""Throughput of augmented CIFAR-10 batches, against torchvision's usual per-image pipeline.

Both crop, flip, change brightness, saturation and contrast, and standardize each image.
torchvision's pipeline gets one worker process per core, ours the threads of torch. They alternate
many times in this process; the images are synthetic, but have the real number and size.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from deepobs import config
from deepobs.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL.Image import Image

    from deepobs.protocols import Batch

BATCH_SIZE = 128
LEAST_RATIO = 8
NUM_BATCHES = 60  # of one timing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15, help="timed pairs [default: 15]")
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count(),
        help="worker processes of torchvision's pipeline [default: the cores]",
    )
    arguments = parser.parse_args()
    config.set_fake_data(True)
    ours = registry().datasets.load("cifar10")(BATCH_SIZE, device="cpu")
    theirs = per_image_loader(*ours.train_loader.tensors, num_workers=arguments.workers)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{arguments.workers} workers, batch {BATCH_SIZE}"
    )
    report(measure(ours.train_loader, theirs, arguments.repeats))


def report(pairs: list[tuple[float, float]]) -> None:
    for name, rates in zip(("deepobs", "torchvision"), zip(*pairs, strict=True), strict=True):
        print(f"{name:<12} {statistics.median(rates):>8.1f} batches per second")
    ratios = [ours / theirs for ours, theirs in pairs]
    low, _, high = statistics.quantiles(ratios, n=4)
    print(
        f"ratio        {statistics.median(ratios):>8.1f}, middle half {low:.1f} to {high:.1f}; "
        f"at least {LEAST_RATIO}"
    )


def measure(
    ours: Iterable[Batch], theirs: Iterable[Batch], repeats: int
) -> list[tuple[float, float]]:
    """Batches per second of ours and theirs, a pair for each repeat."""
    endless = [itertools.chain.from_iterable(itertools.repeat(loader)) for loader in (ours, theirs)]
    for batches in endless:  # workers start, allocators settle
        rate(batches)
    pairs = []
    for repeat in range(repeats):
        # Alternate the order, so that neither is favored.
        order = (0, 1) if repeat % 2 else (1, 0)
        rates = {number: rate(endless[number]) for number in order}
        pairs.append((rates[0], rates[1]))
    return pairs


def rate(batches: Iterable[Batch]) -> float:
    start = time.perf_counter()
    count = sum(1 for _ in itertools.islice(batches, NUM_BATCHES))
    return count / (time.perf_counter() - start)


class ImagesOneByOne(Dataset[tuple[torch.Tensor, int]]):
    """Images like torchvision's CIFAR10: an array in memory, converted to PIL one by one.

    Args:
        images: Bytes of shape (N, C, H, W).
        labels: Shape (N,).
    """

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomCrop(32, padding=2),
                transforms.RandomHorizontalFlip(),
                transforms.ColorJitter(brightness=63 / 255, contrast=0.8, saturation=0.5),
                transforms.ToTensor(),
                transforms.Lambda(lambda image: (image - image.mean()) / image.std()),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[Image, int]:
        return self.transform(self.images[number]), self.labels[number]


def per_image_loader(
    images: torch.Tensor, labels: torch.Tensor, *, num_workers: int
) -> DataLoader[Batch]:
    return DataLoader(
        ImagesOneByOne(images, labels),
        BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )


if __name__ == "__main__":
    main()
