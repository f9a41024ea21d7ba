"""Augmentation as the data sets of small color images use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from deepobs import config
from deepobs.plugins import registry
from deepobs.runs import run, specify

if TYPE_CHECKING:
    from deepobs_vision.augmentation import AugmentedImages

NAMES = ["cifar10", "cifar100", "svhn"]


@pytest.fixture(autouse=True)
def fake_data() -> None:
    config.set_fake_data(0.005)


def data_set(name: str = "cifar10", *, seed: int = 0, batch_size: int = 32) -> AugmentedImages:
    torch.manual_seed(seed)
    return registry().datasets.load(name)(batch_size, device="cpu")


def passed(loader) -> torch.Tensor:
    """All images of a pass."""
    return torch.cat([images for images, _ in loader])


@pytest.mark.parametrize("name", NAMES)
def test_all_images_are_standardised(name: str) -> None:
    data = data_set(name)
    for loader in (data.train_loader, data.train_eval_loader, data.test_loader):
        images = passed(loader)
        assert images.mean(dim=(1, 2, 3)).abs().max() < 1e-5
        deviations = images.std(dim=(1, 2, 3), correction=0)
        torch.testing.assert_close(deviations, torch.ones_like(deviations))


@pytest.mark.parametrize("name", NAMES)
def test_only_training_images_are_augmented(name: str) -> None:
    data = data_set(name)
    plain = data.transform(data.train_loader.tensors)[0]
    unchanged = {image.numpy().tobytes() for image in plain}
    assert not unchanged & {image.numpy().tobytes() for image in passed(data.train_loader)}
    evaluated = {image.numpy().tobytes() for image in passed(data.train_eval_loader)}
    assert evaluated <= unchanged


def test_evaluating_twice_gives_the_same_images() -> None:
    data = data_set()
    assert torch.equal(passed(data.train_eval_loader), passed(data.train_eval_loader))


def test_a_seed_fixes_order_and_augmentation_and_passes_differ() -> None:
    first, again, other = data_set(seed=1), data_set(seed=1), data_set(seed=2)
    image_sets = [passed(data.train_loader) for data in (first, again, other)]
    assert torch.equal(image_sets[0], image_sets[1])
    assert not torch.equal(image_sets[0], image_sets[2])
    assert not torch.equal(passed(first.train_loader), image_sets[0])


def test_a_repeated_order_is_augmented_anew() -> None:
    torch.manual_seed(0)
    data = registry().datasets.load("cifar10")(32, device="cpu", reshuffle=False)
    passes = [list(data.train_loader) for _ in range(2)]
    for (images, labels), (images_again, labels_again) in zip(*passes, strict=True):
        assert torch.equal(labels, labels_again)
        assert not torch.equal(images, images_again)


def test_loading_leaves_the_random_state_of_torch_alone() -> None:
    data = data_set()
    before = torch.get_rng_state()
    passed(data.train_loader)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "flips"), [("cifar10", True), ("cifar100", True), ("svhn", False)]
)
def test_house_numbers_are_not_flipped(name: str, flips: bool) -> None:
    data = data_set(name)
    # Dark on the left, bright on the right: augmentation cannot change that but by flipping.
    ramp = torch.arange(32, dtype=torch.uint8).mul(8).expand(200, 3, 32, 32)
    images, _ = data.transform_training((ramp, torch.zeros(200, dtype=torch.int64)))
    falls = images[:, 0, 16, 4] > images[:, 0, 16, -4]
    assert falls.any() == flips
    assert not falls.all()


def test_float64_and_bfloat16_are_given_where_they_are_chosen() -> None:
    for dtype in (torch.float64, torch.bfloat16):
        config.set_dtype(dtype)
        data = data_set()
        for loader in (data.train_loader, data.test_loader):
            images, _ = next(iter(loader))
            assert images.dtype == dtype
            assert images.float().std(dim=(1, 2, 3)).allclose(torch.ones(32), atol=0.02)


def test_runs_on_augmented_data_repeat_to_the_bit() -> None:
    specification = specify("cifar10_3c3d", "SGD", {"lr": 0.01}, num_epochs=1, batch_size=64)
    first, again = run(specification).record, run(specification).record
    assert first.minibatch_train_losses == again.minibatch_train_losses
    assert first.test_losses == again.test_losses
