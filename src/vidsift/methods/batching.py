"""Pictures and ids of many become one padded batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["check_pictures", "rows_by_length", "stack_videos", "to_width"]


def rows_by_length(mask_QT: Tensor, most_tokens: int) -> Iterator[Tensor]:
    """Group texts of like length, so that padding is hardly ever computed.

    Args:
        mask_QT: bool ``(Q, T)``, True on real tokens.
        most_tokens: most tokens of a group, padding included; a longer text is a group by itself.

    Yields:
        Rows of ``mask_QT``, int64; every row once, shortest texts first.
    """
    lengths_Q, rows_Q = mask_QT.sum(dim=1).sort(stable=True)
    lengths = lengths_Q.tolist()
    start = 0
    for end in range(1, len(lengths) + 1):
        if end == len(lengths) or (end + 1 - start) * lengths[end] > most_tokens:
            yield rows_Q[start:end]
            start = end


def to_width(part: Tensor, width: int) -> Tensor:
    """Cut or pad (with zeros) the columns of ``(rows, columns, ...)`` to ``width``."""
    kept = part[:, :width]
    if kept.shape[1] == width:
        return kept
    return torch.cat([kept, kept.new_zeros(len(kept), width - kept.shape[1], *kept.shape[2:])], dim=1)


def check_pictures(pixels: Sequence[NDArray[np.uint8]], times: Sequence[NDArray[np.float64]]) -> None:
    """Refuse videos whose pictures and times cannot be encoded.

    Raises:
        ValueError: if there is no video, one has no picture, or pictures and times do not fit.
    """
    if len(pixels) == 0:
        raise ValueError("no videos given; pass the pictures of at least one")
    if len(pixels) != len(times):
        raise ValueError(
            f"pictures of {len(pixels)} videos but times of {len(times)}; give one array of times each"
        )
    for place, (frames, seconds) in enumerate(zip(pixels, times, strict=True)):
        if frames.ndim != 4 or len(frames) == 0 or len(frames) != len(seconds):
            raise ValueError(
                f"video {place} has pictures of shape {frames.shape} and {len(seconds)} times; expected "
                "uint8 (frames, side, side, 3) with at least one frame, and one time for each"
            )
        if frames.shape[1:] != pixels[0].shape[1:]:
            raise ValueError(
                f"video {place} has pictures of shape {frames.shape[1:]}, video 0 of {pixels[0].shape[1:]}; "
                "crop them alike"
            )


def stack_videos(
    pixels: Sequence[NDArray[np.uint8]], times: Sequence[NDArray[np.float64]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Pad videos to the longest of them, F frames.

    Returns:
        uint8 pictures ``(B, F, S, S, 3)``, mask ``(B, F)``, seconds ``(B, F)`` in float64.
    """
    width = max(map(len, pixels))
    frames = torch.zeros(len(pixels), width, *pixels[0].shape[1:], dtype=torch.uint8)
    mask = torch.zeros(len(pixels), width, dtype=torch.bool)
    seconds = torch.zeros(len(pixels), width, dtype=torch.float64)
    for row, (pictures, shown) in enumerate(zip(pixels, times, strict=True)):
        frames[row, : len(pictures)] = torch.from_numpy(np.ascontiguousarray(pictures))
        mask[row, : len(pictures)] = True
        seconds[row, : len(shown)] = torch.from_numpy(np.asarray(shown, np.float64))
    return frames, mask, seconds
