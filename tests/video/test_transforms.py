from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vidsift.video.transforms import (
    centre_crop,
    clip_pixels,
    resize_short_side,
    shrunk_jpeg,
    to_image,
)

UP_TO_ONE_LEVEL = [
    (64, 64, 32),
    (65, 64, 32),
    (64, 65, 32),
    (180, 320, 64),
    (320, 180, 64),
    (181, 317, 64),
    (123, 1999, 48),
    (1999, 123, 48),
    (480, 854, 224),
    (1280, 720, 224),
]
EXACT = [(33, 130), (130, 33), (64, 64), (63, 400), (32, 50), (31, 9), (1, 3), (2, 301), (300, 300)]
"""Heights and widths (and sides) of pictures cropped as they are resized, and of those resized whole."""


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def resized_then_cropped(pixels: np.ndarray, side: int) -> np.ndarray:
    """As CLIP's transform does it."""
    whole = centre_crop(resize_short_side(to_image(pixels), side), side)
    return np.asarray(whole.convert("RGB"), np.uint8)


def test_the_short_side_fits_and_the_middle_is_kept() -> None:
    wide = np.zeros((50, 200, 3), np.uint8)
    wide[:, 75:125] = 255
    assert clip_pixels(wide, 50).min() == 255
    assert clip_pixels(wide, 25).shape == (25, 25, 3)
    tall = clip_pixels(wide.swapaxes(0, 1), 50)
    assert tall.min() == 255


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 3), (40, 30, 4), (7, 300, 3), (1, 1, 3)])
def test_any_picture_becomes_square_rgb(shape: tuple[int, ...]) -> None:
    pixels = clip_pixels(np.full(shape, 77, np.uint8), 24)
    assert pixels.shape == (24, 24, 3)
    assert pixels.dtype == np.uint8
    assert abs(pixels.astype(int) - 77).max() <= 1  # Pillow multiplies RGBA by its alpha and back


@pytest.mark.parametrize(("height", "width", "side"), UP_TO_ONE_LEVEL)
def test_only_what_the_crop_keeps_is_resized(height: int, width: int, side: int) -> None:
    pixels = noise(height, width, 3)
    off = np.abs(clip_pixels(pixels, side).astype(int) - resized_then_cropped(pixels, side))
    assert off.max() <= 1
    assert (off > 0).sum() <= max(2, 1e-4 * off.size)


def test_many_sizes_together_are_off_by_few_values() -> None:
    drawn = np.random.default_rng(0)
    off, values = 0, 0
    for _ in range(60):
        side = int(drawn.integers(4, 40))
        height, width = (int(n) for n in drawn.integers(2 * side, 8 * side, 2))
        pixels = noise(height, width, 3)
        levels = np.abs(clip_pixels(pixels, side).astype(int) - resized_then_cropped(pixels, side))
        assert levels.max() <= 1, (height, width, side)
        off, values = off + int((levels > 0).sum()), values + levels.size
    assert off <= 1e-4 * values


@pytest.mark.parametrize("colours", [(), (3,), (4,)])
@pytest.mark.parametrize(("height", "width"), EXACT)
def test_small_square_and_transparent_pictures_are_exact(
    height: int, width: int, colours: tuple[int, ...]
) -> None:
    pixels = noise(height, width, *colours)
    np.testing.assert_array_equal(clip_pixels(pixels, 32), resized_then_cropped(pixels, 32))


def test_transparent_pictures_are_exact_at_any_size() -> None:
    pixels = noise(90, 160, 4)
    np.testing.assert_array_equal(clip_pixels(pixels, 32), resized_then_cropped(pixels, 32))


def test_a_grey_picture_is_cropped_as_it_is_resized() -> None:
    pixels = noise(180, 320)
    expected = resized_then_cropped(np.repeat(pixels[..., None], 3, 2), 64)
    assert np.abs(clip_pixels(pixels, 64).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("shape", [(720, 90, 3), (90, 720, 3), (720, 4, 3)])
def test_the_order_of_the_two_passes_is_that_of_every_pillow(shape: tuple[int, ...]) -> None:
    """Pillow 13 goes down first in tall pictures; the published features were made across first."""
    image = to_image(noise(*shape))
    side = min(shape[:2]) // 3 or 1
    scaled = resize_short_side(image, side)
    bicubic = Image.Resampling.BICUBIC
    in_order = image.resize((scaled.width, image.height), bicubic).resize(scaled.size, bicubic)
    np.testing.assert_array_equal(np.asarray(scaled), np.asarray(in_order))


def test_a_side_below_one_is_named() -> None:
    with pytest.raises(ValueError, match="size_px is 0"):
        clip_pixels(np.zeros((8, 8, 3), np.uint8), 0)


@pytest.mark.parametrize("pixels", [np.zeros((3, 3, 2), np.uint8), np.zeros((3, 3, 3), np.float32)])
def test_what_is_not_a_picture_is_named(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        clip_pixels(pixels, 8)


def test_a_thumbnail_is_a_small_jpeg_of_the_whole_picture() -> None:
    data = shrunk_jpeg(np.full((300, 600, 3), 90, np.uint8), side_px=100)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (100, 50), "RGB")
        assert abs(np.asarray(image).astype(int) - 90).max() <= 2
    assert len(data) < 2000
