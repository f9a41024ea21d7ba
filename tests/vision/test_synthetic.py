"""The synthetic twins of the image data sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepobs import config
from deepobs.plugins import registry

_NAMES = ("mnist", "fmnist", "digits")


@pytest.mark.parametrize("name", _NAMES)
def test_a_twin_has_the_shapes_the_sizes_and_the_labels_of_the_real_data(name: str) -> None:
    config.set_fake_data(True)
    dataset = registry().datasets.load(name)(64, device="cpu")
    spec = registry().datasets.offer(name).spec
    assert dataset.is_fake is True
    images, labels = dataset.train_loader.tensors
    assert images.shape == (spec.train_size, *dataset.image_shape)
    assert len(dataset.test_loader.tensors[0]) == spec.test_size
    assert images.dtype == torch.uint8
    assert images.max() == dataset.largest_value
    counts = torch.bincount(labels)
    assert len(counts) == dataset.num_classes
    assert counts.max() - counts.min() <= 1
    batch, _ = next(iter(dataset.train_loader))
    assert batch.dtype == torch.float32
    assert 0 <= batch.min() < batch.max() <= 1


def test_a_fraction_makes_it_smaller_but_not_too_small_for_a_batch() -> None:
    sizes = {}
    for fraction in (0.1, 0.001):
        config.set_fake_data(fraction)
        sizes[fraction] = registry().datasets.load("mnist")(128, device="cpu").split_sizes
    assert sizes[0.1] == {"train": 6000, "train_eval": 6000, "test": 1000}
    assert sizes[0.001] == {"train": 512, "train_eval": 512, "test": 512}
    assert registry().datasets.load("digits")(64, device="cpu").split_sizes["test"] == 360


@pytest.mark.parametrize("name", _NAMES)
def test_a_twin_is_always_the_same_and_leaves_the_global_generators_alone(name: str) -> None:
    def fingerprint(seed: int) -> str:
        torch.manual_seed(seed)
        np.random.seed(seed)
        made = registry().datasets.load(name).make_fake(0.01).fingerprint
        assert np.random.random_sample() == np.random.RandomState(seed).random_sample()
        assert torch.initial_seed() == seed
        assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.manual_seed(seed)))
        return made

    assert fingerprint(1) == fingerprint(2)


def test_every_data_set_has_a_twin_of_its_own() -> None:
    mnist, fmnist = (registry().datasets.load(name).make_fake(0.01) for name in ("mnist", "fmnist"))
    assert mnist.fingerprint != fmnist.fingerprint


@pytest.mark.parametrize("name", _NAMES)
def test_what_the_training_part_teaches_about_a_twin_holds_for_the_test_part(name: str) -> None:
    splits = registry().datasets.load(name).make_fake(0.02)
    (train_images, train_labels), (images, labels) = (
        (part[0].flatten(1).float(), part[1]) for part in (splits.train, splits.test)
    )
    means = torch.stack([train_images[train_labels == label].mean(0) for label in range(10)])
    nearest = torch.cdist(images, means).argmin(dim=1)
    assert (nearest == labels).float().mean() > 0.95
