"""Videos of different lengths in one array each of pictures, mask and times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["stack_videos"]


def stack_videos(
    pixels: Sequence[NDArray[np.uint8]],
    times_seconds: Sequence[NDArray[np.float64]],
    picture_shape: tuple[int, ...],
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float64]]:
    """Pad videos with zeros to the longest of them.

    Args:
        pixels: for each video RGB uint8 ``(F, S, S, 3)``; F may differ.
        times_seconds: for each video the second at which each picture is shown, ``(F,)``.
        picture_shape: ``(S, S, 3)``, for where there is no video to take it from.

    Returns:
        Pictures ``(B, F, S, S, 3)``, mask ``(B, F)``, True on real pictures, and seconds ``(B, F)``; F is 1
        where there is no video.
    """
    width = max(map(len, pixels), default=1)
    pixels_BFSS3 = np.zeros((len(pixels), width, *picture_shape), np.uint8)
    mask_BF = np.zeros((len(pixels), width), bool)
    times_BF = np.zeros((len(pixels), width), np.float64)
    for row, (pictures, seconds) in enumerate(zip(pixels, times_seconds, strict=True)):
        pixels_BFSS3[row, : len(pictures)], mask_BF[row, : len(pictures)] = pictures, True
        times_BF[row, : len(pictures)] = seconds
    return pixels_BFSS3, mask_BF, times_BF
