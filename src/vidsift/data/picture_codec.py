"""Pictures of a video as bytes: as they are, or as JPEG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["PictureFormat", "decode_pictures", "encode_pictures"]

PictureFormat = Literal["jpeg", "uint8"]

_JPEG_QUALITY = 95
_LONGEST_JPEG_PX = 65_500


def encode_pictures(pixels: NDArray[np.uint8], pictures: PictureFormat) -> list[bytes]:
    """Turn the pictures of a video into bytes.

    Args:
        pixels: RGB uint8 ``(F, S, S, 3)``.
        pictures: "uint8" leaves every bit, "jpeg" (quality 95, colours at half size) about one level of 255.

    Returns:
        One part, or several where they are too many for one JPEG, which they share as one tall picture: that
        is read faster than a JPEG each.
    """
    if pictures == "uint8":
        return [pixels.tobytes()]
    from PIL import Image

    most, width = _LONGEST_JPEG_PX // pixels.shape[1], pixels.shape[2]
    parts = []
    for first in range(0, len(pixels), most):
        file = io.BytesIO()
        tall = Image.fromarray(pixels[first : first + most].reshape(-1, width, 3))
        tall.save(file, "JPEG", quality=_JPEG_QUALITY, subsampling="4:2:0")
        parts.append(file.getvalue())
    return parts


def decode_pictures(
    parts: Sequence[NDArray[np.uint8]], pictures: PictureFormat, size_px: int
) -> NDArray[np.uint8]:
    """Return the pictures again, ``(F, S, S, 3)``; of "uint8" the very memory that was given.

    With ``simplejpeg`` (the extra ``jpeg``) JPEGs take less time (``results/data-cache.md``). Both ways
    decode by libjpeg-turbo, to the same pixels.
    """
    shape = (-1, size_px, size_px, 3)
    if pictures == "uint8":
        return parts[0].reshape(shape)
    decoded = [_decode_jpeg(part).reshape(shape) for part in parts]
    return decoded[0] if len(decoded) == 1 else np.concatenate(decoded)


def _decode_jpeg(part: NDArray[np.uint8]) -> NDArray[np.uint8]:
    try:
        import simplejpeg
    except ImportError:
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(part.tobytes())).convert("RGB"))
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(part.tobytes())
    return pixels
