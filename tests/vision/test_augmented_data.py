"""Augmentation as the data sets of small color images use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from deepobs import config
from deepobs.errors import ArgumentError
from deepobs.plugins import registry
from deepobs.runs import run, specify
from deepobs_vision.augmentation import cropped_and_flipped

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


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_crops_and_flips_alone_are_windows_of_images_standardized_by_channel(name: str) -> None:
    torch.manual_seed(0)
    data = registry().datasets.load(name)(32, device="cpu", preprocessing="crop_and_flip")
    raw = data.test_loader.tensors[0][:32].double() / 255
    scale = [torch.tensor(v)[:, None, None] for v in (data.channel_means, data.channel_deviations)]
    images, _ = next(iter(data.test_loader))
    torch.testing.assert_close(images.double(), (raw - scale[0]) / scale[1], rtol=0, atol=1e-5)

    stored = data.train_loader.tensors[0][:16]
    crops, _ = data.transform_training((stored, torch.zeros(16)))
    padded = torch.nn.functional.pad(stored, (4,) * 4)
    found = set()
    for crop, image in zip(crops, padded, strict=True):
        windows = image.unfold(1, 32, 1).unfold(2, 32, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
        both = torch.cat([windows, windows.flip(3)])
        plain = data.transform((both, torch.zeros(len(both))))[0]
        (match,) = (plain == crop).flatten(1).all(dim=1).nonzero().flatten().tolist()
        found.add(match)
    assert len(found) > 10
    assert any(match >= 81 for match in found)
    assert any(match < 81 for match in found)


def test_crops_do_not_depend_on_how_many_are_drawn_at_once() -> None:
    images = torch.randint(256, (10, 3, 32, 32), dtype=torch.uint8)
    at_once = cropped_and_flipped(images, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    in_parts = [cropped_and_flipped(part, generator) for part in images.split([3, 7])]
    assert torch.equal(at_once, torch.cat(in_parts))


def test_an_unknown_preprocessing_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"preprocessing must be one of .* got 'crop'"):
        registry().datasets.load("cifar10")(32, device="cpu", preprocessing="crop")


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
