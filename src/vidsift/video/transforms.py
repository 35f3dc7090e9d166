"""Pictures to the pixels that CLIP was trained on, with Pillow alone."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "centre_crop",
    "clip_pixels",
    "normalise",
    "resize_short_side",
    "thumbnail",
    "to_image",
]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def to_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """Wrap uint8 pixels, ``(H, W)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, as a Pillow image.

    Raises:
        ValueError: any other shape or type.
    """
    if (
        pixels.dtype != np.uint8
        or pixels.ndim not in (2, 3)
        or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4))
    ):
        raise ValueError(
            f"picture of shape {pixels.shape} and type {pixels.dtype}: "
            "expected uint8 (H, W), (H, W, 3) or (H, W, 4)"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def resize_short_side(image: Image.Image, size_px: int) -> Image.Image:
    """Scale so that the shorter side is ``size_px``; bicubic with antialiasing, long side rounded down.

    Source: openai/CLIP@d05afc4 clip/clip.py:79 (``Resize(n_px, interpolation=BICUBIC)``).
    """
    if size_px < 1:
        raise ValueError(f"size_px is {size_px}, expected at least 1")
    width, height = image.size
    if min(width, height) == size_px:
        return image
    if width <= height:
        size = (size_px, max(1, int(size_px * height / width)))
    else:
        size = (max(1, int(size_px * width / height)), size_px)
    return image.resize(size, Image.Resampling.BICUBIC)


def centre_crop(image: Image.Image, size_px: int) -> Image.Image:
    """Cut the central square; an odd margin is rounded to even, as CLIP's transform does.

    Source: openai/CLIP@d05afc4 clip/clip.py:80 (``CenterCrop(n_px)``).
    """
    width, height = image.size
    left, top = round((width - size_px) / 2), round((height - size_px) / 2)
    return image.crop((left, top, left + size_px, top + size_px))


def clip_pixels(pixels: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Resize, crop and convert one picture to RGB in CLIP's order (RGB last).

    Args:
        pixels: uint8 ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``.
        size_px: side of the encoder's square picture.

    Returns:
        RGB uint8 ``(size_px, size_px, 3)``, bit for bit what CLIP's own transform holds before
        it becomes float.
    """
    image = centre_crop(resize_short_side(to_image(pixels), size_px), size_px)
    return np.array(image.convert("RGB"), np.uint8)


def normalise(
    pixels_FHW3: NDArray[np.uint8],
    mean: Sequence[float] = CLIP_MEAN,
    std: Sequence[float] = CLIP_STD,
) -> NDArray[np.float32]:
    """Scale uint8 RGB to what the encoder reads: ``(pixels / 255 - mean) / std``, channels first.

    Args:
        pixels_FHW3: ``(..., H, W, 3)``.
        mean: per channel, in [0, 1].
        std: per channel.

    Returns:
        float32 ``(..., 3, H, W)``; within 1e-6 of OpenAI's transform (the order of float32 operations).

    Source: openai/CLIP@d05afc4 clip/clip.py:83-84.
    """
    scaled = pixels_FHW3.astype(np.float32) / np.float32(255)
    result = (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(np.moveaxis(result, -1, -3))


def thumbnail(pixels_HW3: NDArray[np.uint8], side_px: int = 160, quality: int = 80) -> bytes:
    """Return a small JPEG of a picture whose longer side is at most ``side_px``; nothing is cropped."""
    image = to_image(pixels_HW3).convert("RGB")
    image.thumbnail((side_px, side_px), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
