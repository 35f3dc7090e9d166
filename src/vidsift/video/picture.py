"""One decoded frame to an upright RGB picture."""

from __future__ import annotations

import math
import struct
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

__all__ = ["rotation_of", "to_rgb", "upright", "upright_aspect"]

_IDENTITY = (1, 0, 0, 1)


def _linear_part(frame: VideoFrame) -> tuple[int, int, int, int]:
    """Return ``(a, b, c, d)`` of the display matrix: stored pixel (x, y) is shown at (ax + cy, bx + dy)."""
    try:
        raw = bytes(cast(SideDataContainer, frame.side_data)[SideDataType.DISPLAYMATRIX])
    except KeyError:
        return _IDENTITY
    if len(raw) != 36:
        return _IDENTITY
    # 16.16 fixed point. The unit falls out, as only ratios and signs are used.
    values = struct.unpack("=9i", raw)
    return values[0], values[1], values[3], values[4]


def _clockwise_degrees(a: int, b: int, c: int, d: int) -> float:
    """Return the turn that shows the picture upright, clockwise, in [0, 360)."""
    if not math.hypot(a, c) or not math.hypot(b, d):
        return 0.0
    # As av_display_rotation_get of FFmpeg, with the other sign.
    angle = round(math.degrees(math.atan2(b / math.hypot(b, d), a / math.hypot(a, c))))
    return float(angle % 360)


def rotation_of(frame: VideoFrame) -> int:
    """Clockwise turn in degrees that the file asks for, 0 to 359."""
    return int(_clockwise_degrees(*_linear_part(frame)))


def upright_aspect(pixel_aspect: float, frame: VideoFrame) -> float:
    """Width of a pixel over its height once the frame was turned upright."""
    return 1.0 / pixel_aspect if rotation_of(frame) in (90, 270) else pixel_aspect


def upright(pixels_HW3: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Turn and mirror stored pixels as the display matrix asks.

    Args:
        pixels_HW3: RGB as stored.
        matrix: ``(a, b, c, d)`` of the display matrix.

    Returns:
        RGB as shown; height and width trade places at quarter turns.

    Source: the automatic rotation of the ffmpeg program, which distinguishes quarter turns with and
        without a mirror by the sign of one element, and turns by other angles within the same frame.
    """
    a, b, c, d = matrix
    angle = _clockwise_degrees(a, b, c, d)
    if angle == 90:
        shown = pixels_HW3.swapaxes(0, 1) if c > 0 else np.rot90(pixels_HW3, -1)
    elif angle == 180:
        shown = pixels_HW3[:, ::-1] if a < 0 else pixels_HW3
        shown = shown[::-1] if d < 0 else shown
    elif angle == 270:
        shown = np.rot90(pixels_HW3, -1)[::-1] if c < 0 else np.rot90(pixels_HW3, 1)
    elif angle == 0:
        shown = pixels_HW3[::-1] if d < 0 else pixels_HW3
    else:
        turned = Image.fromarray(pixels_HW3).rotate(-angle, resample=Image.Resampling.BILINEAR)
        shown = np.asarray(turned)
    return np.ascontiguousarray(shown)


def to_rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """Convert a frame to upright RGB, uint8, ``(H, W, 3)``.

    Colour follows the stream's own matrix and range as swscale reads them (BT.601 where the file says
    nothing), with the ffmpeg program's default chroma filter; more than 8 bits are reduced to 8, alpha is
    dropped, and HDR is not tone-mapped. Pixels stay as stored when they are not square: nothing is
    stretched, as in the loaders that the published results were computed with.
    """
    matrix = _linear_part(frame)
    pixels = np.asarray(frame.to_ndarray(format="rgb24", interpolation="BICUBIC", threads=1), np.uint8)
    return pixels if matrix == _IDENTITY else upright(pixels, matrix)
