"""Augmentation against the recorded operations of the original, and against plain formulas."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from deepobs_vision.augmentation import (
    Augmentation,
    augmented,
    contrast_,
    cropped,
    draw_augmentation,
    saturate_,
    standardized,
)

if TYPE_CHECKING:
    from pathlib import Path

RECORDED_ROWS = 16


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    random = np.random.RandomState(0)
    return torch.from_numpy(random.randint(0, 256, (6, 3, 32, 32), dtype=np.uint8))


def per_image(*factors: float) -> torch.Tensor:
    return torch.tensor(factors)[:, None, None, None]


def rows_of(image_1CHW: torch.Tensor) -> np.ndarray:
    """What the record keeps of an image."""
    return image_1CHW[0, :, :RECORDED_ROWS].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("factors", [0, 1])
@pytest.mark.parametrize("image", [0, 1])
def test_every_operation_gives_what_the_original_gives(
    image: int, factors: int, shared_dir: Path
) -> None:
    with np.load(shared_dir / "reference" / "data_augment_ops.npz") as archive:
        recorded = dict(archive)
    raw = torch.from_numpy(recorded["raw"][image : image + 1]).permute(0, 3, 1, 2)
    delta, saturation, contrast = recorded["params_delta_sat_contrast"][factors]
    name = f"img{image}_par{factors}"

    result = saturate_(raw.float().add_(per_image(delta)), per_image(saturation))
    np.testing.assert_allclose(rows_of(result), recorded[f"{name}_sat"], atol=1e-3)
    result = contrast_(result, per_image(contrast))
    np.testing.assert_allclose(rows_of(result), recorded[f"{name}_contrast"], atol=1e-3)
    result = standardized(result)
    np.testing.assert_allclose(rows_of(result), recorded[f"{name}_std"], atol=1e-5)


@pytest.mark.parametrize("offset", [(0, 0), (0, 4), (4, 0), (2, 2), (3, 1)])
@pytest.mark.parametrize("flips", [False, True])
def test_a_crop_is_a_window_of_the_image_padded_with_two_black_pixels(
    offset: tuple[int, int], flips: bool, images: torch.Tensor
) -> None:
    row, column = offset
    expected = F.pad(images, (2, 2, 2, 2))[:, :, row : row + 32, column : column + 32]
    offsets = torch.tensor([offset]).expand(len(images), 2)
    found = cropped(images, offsets, torch.full((len(images),), flips))
    assert torch.equal(found, expected.flip(3) if flips else expected)


def test_saturation_changes_as_hsv_says() -> None:
    pixels = np.random.RandomState(1).randint(0, 256, (50, 3)) / 255
    pixels[:4] = [[0, 0, 0], [0.5, 0.5, 0.5], [1, 0, 0], [0.2, 0.2, 0.1]]
    for factor in (0.5, 1.0, 1.5):
        expected = []
        for pixel in pixels:
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
            expected.append(colorsys.hsv_to_rgb(hue, min(saturation * factor, 1), value))
        image = torch.from_numpy(pixels.T).reshape(1, 3, 5, 10)
        found = saturate_(image, per_image(factor).double()).reshape(3, 50).T
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_pixels_that_brightness_made_negative_turn_grey() -> None:
    # Saturation counts as 0 where the largest channel is not above 0.
    image = torch.tensor([-0.2, -0.1, -0.2]).reshape(1, 3, 1, 1)
    assert saturate_(image, per_image(1.5)).flatten().tolist() == pytest.approx([-0.1] * 3)


def test_contrast_keeps_the_mean_of_every_channel_and_cuts_nothing_off(
    images: torch.Tensor,
) -> None:
    before = images.double()
    after = contrast_(before.clone(), per_image(1.8).double())
    torch.testing.assert_close(after.mean(dim=(2, 3)), before.mean(dim=(2, 3)))
    torch.testing.assert_close(after.std(dim=(2, 3)), 1.8 * before.std(dim=(2, 3)))
    assert after.min() < 0
    assert after.max() > 255


def test_standardised_images_have_mean_0_and_deviation_1(images: torch.Tensor) -> None:
    result = standardized(images.double())
    assert result.mean(dim=(1, 2, 3)).abs().max() < 1e-12
    deviations = result.std(dim=(1, 2, 3), correction=0)
    torch.testing.assert_close(deviations, torch.ones_like(deviations))


def test_a_constant_image_becomes_zeros() -> None:
    assert not standardized(torch.full((2, 3, 32, 32), 200.0)).any()


def test_the_deviation_of_a_nearly_constant_image_counts_as_its_floor() -> None:
    image = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    image[0, 0, 0, 0] = 0.5  # the deviation is below 1 / sqrt(1024)
    assert standardized(image).max() == pytest.approx((0.5 - 0.5 / 1024) * 32)


def test_every_image_gets_its_own_draw(images: torch.Tensor) -> None:
    augmentation = draw_augmentation(len(images), torch.Generator().manual_seed(3), flips=True)
    together = augmented(images, augmentation, torch.float64)
    for number, image in enumerate(images.split(1)):
        own = Augmentation(*(draw[number : number + 1] for draw in augmentation))
        torch.testing.assert_close(augmented(image, own, torch.float64)[0], together[number])


def test_the_images_themselves_are_not_changed(images: torch.Tensor) -> None:
    before = images.clone()
    augmented(images, draw_augmentation(6, torch.Generator(), flips=True), torch.float32)
    assert torch.equal(images, before)


def test_draws_do_not_depend_on_how_many_images_are_drawn_for_at_once() -> None:
    at_once = draw_augmentation(10, torch.Generator().manual_seed(5), flips=True)
    generator = torch.Generator().manual_seed(5)
    in_parts = [draw_augmentation(size, generator, flips=True) for size in (3, 7)]
    for whole, *parts in zip(at_once, *in_parts, strict=True):
        assert torch.equal(whole, torch.cat(parts))


def test_draws_are_uniform_over_their_ranges() -> None:
    count = 20000
    draws = draw_augmentation(count, torch.Generator().manual_seed(0), flips=True)

    positions = torch.bincount(draws.offsets[:, 0] * 5 + draws.offsets[:, 1], minlength=25)
    assert len(positions) == 25
    expected = count / 25
    assert ((positions - expected).abs() < 5 * expected**0.5).all()

    assert draws.is_flipped.double().mean() == pytest.approx(0.5, abs=0.02)
    ranges = {"brightness": (-63 / 255, 63 / 255), "saturation": (0.5, 1.5), "contrast": (0.2, 1.8)}
    for name, (low, high) in ranges.items():
        values = getattr(draws, name).flatten()
        assert low <= values.min()
        assert values.max() <= high
        tenths = torch.histc(values, bins=10, min=low, max=high)
        assert ((tenths - count / 10).abs() < 5 * (count / 10) ** 0.5).all()
    colours = torch.stack([getattr(draws, name).flatten() for name in ranges])
    others = torch.corrcoef(colours) - torch.eye(3)
    assert others.abs().max() < 0.03


def test_flips_can_be_left_out() -> None:
    assert not draw_augmentation(1000, torch.Generator(), flips=False).is_flipped.any()
