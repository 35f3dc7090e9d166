from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vidsift.video.transforms import CLIP_MEAN, CLIP_STD, clip_pixels, normalise, thumbnail


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


def test_normalise_puts_channels_first() -> None:
    pixels = np.zeros((2, 4, 5, 3), np.uint8)
    pixels[..., 1] = 255
    out = normalise(pixels)
    assert out.shape == (2, 3, 4, 5)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[:, 0], -CLIP_MEAN[0] / CLIP_STD[0], rtol=1e-6)
    np.testing.assert_allclose(out[:, 1], (1 - CLIP_MEAN[1]) / CLIP_STD[1], rtol=1e-6)
    np.testing.assert_allclose(normalise(pixels[0], (0, 0, 0), (1, 1, 1))[1], 1.0)


@pytest.mark.parametrize("pixels", [np.zeros((3, 3, 2), np.uint8), np.zeros((3, 3, 3), np.float32)])
def test_what_is_not_a_picture_is_named(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        clip_pixels(pixels, 8)


def test_a_thumbnail_is_a_small_jpeg_of_the_whole_picture() -> None:
    data = thumbnail(np.full((300, 600, 3), 90, np.uint8), side_px=100)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (100, 50), "RGB")
        assert abs(np.asarray(image).astype(int) - 90).max() <= 2
    assert len(data) < 2000
