"""TensorFlow's old bilinear resize, one crop at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from deepobs_vision.streaming_images import Window, resized, scaled_sides

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def _image(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)


def _by_definition(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float64]:
    """The whole image, one pixel at a time and in double precision."""
    values = pixels / 255
    old_height, old_width, _ = pixels.shape
    out = np.empty((3, height, width))
    for y in range(height):
        for x in range(width):
            row, column = y * old_height / height, x * old_width / width
            top, left = int(row), int(column)
            bottom, right = min(top + 1, old_height - 1), min(left + 1, old_width - 1)
            down, across = row - top, column - left
            upper = values[top, left] * (1 - across) + values[top, right] * across
            lower = values[bottom, left] * (1 - across) + values[bottom, right] * across
            out[:, y, x] = upper * (1 - down) + lower * down
    return out


@pytest.mark.parametrize(
    ("old", "new"),
    [((30, 40), (64, 85)), ((90, 70), (40, 31)), ((50, 50), (50, 50)), ((1, 3), (40, 120))],
)
def test_every_pixel_of_a_window_is_that_of_the_whole_image(
    old: tuple[int, int], new: tuple[int, int]
) -> None:
    pixels = _image(*old)
    expected = _by_definition(pixels, *new)
    for top, left in ((0, 0), (3, 1), (new[0] - 30, new[1] - 30)):
        crop = resized(pixels, new, Window(top, left, 30))
        assert crop.dtype == np.float32
        np.testing.assert_allclose(
            crop, expected[:, top : top + 30, left : left + 30], rtol=0, atol=2e-5
        )


def test_a_flipped_window_is_the_mirror_image_of_the_window() -> None:
    pixels = _image(60, 80)
    straight = resized(pixels, (50, 67), Window(5, 10, 40))
    flipped = resized(pixels, (50, 67), Window(5, 10, 40, is_flipped=True))
    assert np.array_equal(flipped, straight[:, :, ::-1])


def test_the_smaller_side_is_reached_and_the_aspect_ratio_kept() -> None:
    assert scaled_sides((375, 500), 256) == (256, 341)
    assert scaled_sides((500, 375), 256) == (341, 256)
    assert scaled_sides((256, 256), 256) == (256, 256)
    assert scaled_sides((64, 400), 256) == (256, 1600)
    assert scaled_sides((1, 7), 256) == (256, 1792)


def test_a_side_between_two_integers_becomes_the_even_one() -> None:
    assert scaled_sides((512, 1025), 256) == (256, 512)
    assert scaled_sides((512, 1027), 256) == (256, 514)


def test_no_smaller_side_misses_its_length_by_rounding() -> None:
    assert all(scaled_sides((side, 2 * side), 256)[0] == 256 for side in range(1, 5000))


def test_enlarged_noise_agrees_with_the_recorded_output(shared_dir: Path) -> None:
    recorded = np.load(shared_dir / "reference" / "data_resize.npz")
    noise = np.random.RandomState(70).standard_normal((32, 32, 3)).astype(np.float32)
    # Bytes instead of the recorded numbers: half a step of rounding is what may remain.
    low, step = noise.min(), (noise.max() - noise.min()) / 255
    pixels = np.rint((noise - low) / step).astype(np.uint8)
    crop = resized(pixels, (224, 224), Window(0, 0, 224)).transpose(1, 2, 0) * 255 * step + low
    expected = recorded["r224_every7_plus"][0]
    assert np.abs(crop[3::7, 3::7] - expected).max() < 0.51 * step
    assert np.array_equal(crop[-7:], np.broadcast_to(crop[-7:-6], (7, 224, 3)))
