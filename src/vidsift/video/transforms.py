"""Pictures to the pixels that CLIP was trained on, with Pillow alone."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = [
    "centre_crop",
    "clip_pixels",
    "resize_short_side",
    "shown_size",
    "shrunk_jpeg",
    "to_image",
]

_BICUBIC = Image.Resampling.BICUBIC
_REACH = 2.0  # of the bicubic filter to either side, in pixels of the smaller picture
_SPARE = 8
_WITH_ALPHA = {"LA": "La", "RGBA": "RGBa"}
"""The mode in which colours are multiplied by alpha, for resizing."""


def to_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """Wrap uint8 pixels, ``(H, W)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, as a Pillow image.

    Raises:
        ValueError: any other shape or type.
    """
    _check_picture(pixels)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _check_picture(pixels: NDArray[np.uint8]) -> None:
    if (
        pixels.dtype != np.uint8
        or pixels.ndim not in (2, 3)
        or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4))
    ):
        raise ValueError(
            f"picture of shape {pixels.shape} and type {pixels.dtype}: "
            "expected uint8 (H, W), (H, W, 3) or (H, W, 4)"
        )


def resize_short_side(image: Image.Image, size_px: int) -> Image.Image:
    """Scale so that the shorter side is ``size_px``; bicubic with antialiasing, long side rounded down.

    Source: openai/CLIP@d05afc4 clip/clip.py:79 (``Resize(n_px, interpolation=BICUBIC)``).
    """
    if size_px < 1:
        raise ValueError(f"size_px is {size_px}, expected at least 1")
    width, height = image.size
    if min(width, height) == size_px:
        return image
    return _resize(image, _resized(width, height, size_px), (0, 0, width, height))


def _resize(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image.Image:
    """Resize the box of a picture across and then down, as every Pillow before 13 does by itself.

    Pillow 13 goes down first where that is cheaper, and its pixels then differ.
    """
    mode = image.mode
    if mode in _WITH_ALPHA:
        image = image.convert(_WITH_ALPHA[mode])  # once around both steps
    image = image.resize((size[0], image.height), _BICUBIC, box=(box[0], 0, box[2], image.height))
    image = image.resize(size, _BICUBIC, box=(0, box[1], size[0], box[3]))
    return image if image.mode == mode else image.convert(mode)


def _resized(width: int, height: int, size_px: int) -> tuple[int, int]:
    """Width and height when the shorter side is ``size_px``."""
    if width <= height:
        return size_px, int(size_px * height / width)
    return int(size_px * width / height), size_px


def centre_crop(image: Image.Image, size_px: int) -> Image.Image:
    """Cut the central square; an odd margin is rounded to even, as CLIP's transform does.

    Source: openai/CLIP@d05afc4 clip/clip.py:80 (``CenterCrop(n_px)``).
    """
    width, height = image.size
    left, top = round((width - size_px) / 2), round((height - size_px) / 2)
    return image.crop((left, top, left + size_px, top + size_px))


class _Strip(NamedTuple):
    """What one axis of the central square is made from.

    Attributes:
        first, stop: the pixels of the picture that it depends on.
        start, end: the stretch of them to resize, counted from ``first``.
        length: pixels made from it; the first ``size_px`` are the square's.
    """

    first: int
    stop: int
    start: float
    end: float
    length: int


@lru_cache(maxsize=64)
def _strip(length_px: int, resized_px: int, size_px: int) -> _Strip:
    """Find the part of an axis that the crop keeps of it, as Pillow can best be told.

    Pillow takes the stretch in float32. A few pixels more than needed are made where their stretch is
    nearer to such a number: the coefficients then hardly differ from those for the whole axis.
    """
    if resized_px == size_px:
        return _Strip(0, length_px, 0.0, float(length_px), size_px)
    scale = length_px / resized_px
    reach = _REACH * max(scale, 1.0)
    left = round((resized_px - size_px) / 2)
    first = max(0, math.floor((left + 0.5) * scale - reach))
    # Rounded as Pillow will, so that the error is known here.
    start = np.float32(left * scale - first)
    tries = []
    for length in range(size_px, min(size_px + _SPARE, resized_px - left) + 1):
        end = np.float32((left + length) * scale - first)
        tries.append((abs(float(end - start) / length - scale), length, float(end)))
    _, length, end_px = min(tries)
    stop = math.ceil((left + length - 0.5) * scale + reach) + 1
    return _Strip(first, min(length_px, stop), float(start), end_px, length)


def clip_pixels(pixels: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Resize, crop and convert one picture to RGB in CLIP's order (RGB last).

    Of a picture at least twice as large only what the crop keeps is resized, which halves the time.

    Args:
        pixels: uint8 ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``.
        size_px: side of the encoder's square picture.

    Returns:
        RGB uint8 ``(size_px, size_px, 3)``: what CLIP's own transform holds before it becomes float,
        but for one level of 255 in fewer than 1 of 10,000 values.

    Raises:
        ValueError: not a picture, or ``size_px`` below 1.

    Source: openai/CLIP@d05afc4 clip/clip.py:79-81.
    Differs: CLIP resizes the whole and then crops. Pillow's coefficients for a part are those for the whole
        up to the rounding of the part's edges to float32. Smaller, square and transparent pictures are equal.
    """
    _check_picture(pixels)
    if size_px < 1:
        raise ValueError(f"size_px is {size_px}, expected at least 1")
    height, width = pixels.shape[:2]
    if min(width, height) < 2 * size_px or pixels.shape[2:] == (4,):
        image = resize_short_side(to_image(pixels), size_px)
        return np.array(centre_crop(image, size_px).convert("RGB"), np.uint8)
    across, down = _resized(width, height, size_px)
    x, y = _strip(width, across, size_px), _strip(height, down, size_px)
    image = to_image(pixels[y.first : y.stop, x.first : x.stop])
    image = _resize(image, (x.length, y.length), (x.start, y.start, x.end, y.end))
    return np.array(image.crop((0, 0, size_px, size_px)).convert("RGB"), np.uint8)


def shown_size(height_px: int, width_px: int, pixel_aspect: float) -> tuple[int, int]:
    """Height and width at which a picture has the shape that a player shows; none of its pixels is lost.

    Example:
        >>> shown_size(180, 180, 16 / 9), shown_size(180, 320, 0.5)
        ((180, 320), (360, 320))
    """
    if pixel_aspect >= 1:
        return height_px, max(1, round(width_px * pixel_aspect))
    return max(1, round(height_px / pixel_aspect)), width_px


def shrunk_jpeg(
    pixels_HW3: NDArray[np.uint8], side_px: int = 160, quality: int = 80, pixel_aspect: float = 1.0
) -> bytes:
    """Return a small JPEG of a picture whose longer side is at most ``side_px``; nothing is cropped.

    Args:
        pixels_HW3: RGB.
        side_px: of the longer side as shown, at most.
        quality: of the JPEG.
        pixel_aspect: width of a pixel over its height; the JPEG's own pixels are square.
    """
    image = to_image(pixels_HW3).convert("RGB")
    if pixel_aspect == 1:
        image.thumbnail((side_px, side_px), Image.Resampling.BICUBIC)
    else:
        height, width = shown_size(pixels_HW3.shape[0], pixels_HW3.shape[1], pixel_aspect)
        shrink = min(1.0, side_px / max(height, width))
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
