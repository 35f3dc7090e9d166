"""What a method gains over another by the number of scenes in a video (DRL Fig. 7)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidsift.figures.page import COLOURS, Drawing, new_page
from vidsift.types import Span
from vidsift.video import probe, read_frames

__all__ = ["count_scenes", "draw_gain_by_scenes", "is_cut"]

_PICTURES_A_SECOND = 4
_MOST_PICTURES = 1200
_SIDE_PX = 64
_BINS = 8
_CUT = 0.5
_MOST_SCENES = 5
"""Videos of more scenes are counted together."""


def is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Whether a cut lies between two pictures: at least half of the pixels have another colour.

    Colours are counted over the whole picture (8 steps of each channel), so what moves within it is no cut.

    Args:
        before: RGB ``(S, S, 3)``.
        after: likewise.
    """
    distances = [
        np.abs(_histogram(before[..., channel]) - _histogram(after[..., channel])).sum() / 2
        for channel in range(3)
    ]
    return float(np.mean(distances)) >= _CUT


def _histogram(values: NDArray[np.uint8]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = (
        np.bincount(values.reshape(-1) // (256 // _BINS), minlength=_BINS) / values.size
    )
    return shares


def count_scenes(path: str | Path, span: Span | None = None) -> int:
    """Count the scenes of a video: its cuts and one.

    Four pictures a second are compared with their neighbours, fewer of a video of more than five minutes; a
    slow dissolve is no cut.

    Args:
        path: the video file.
        span: which part; the whole file when None.

    Raises:
        VideoReadError: the file cannot be read.
    """
    stretch = Span(0.0, probe(path).duration_seconds) if span is None else span
    seconds = stretch.end_seconds - stretch.start_seconds
    count = int(np.clip(seconds * _PICTURES_A_SECOND, 2, _MOST_PICTURES))
    times = stretch.start_seconds + (np.arange(count) + 0.5) * seconds / count
    pixels = read_frames(path, times, size_px=_SIDE_PX).pixels
    return 1 + sum(is_cut(before, after) for before, after in pairwise(pixels))


def draw_gain_by_scenes(
    scenes_V: Sequence[int],
    first_V: Sequence[float],
    second_V: Sequence[float],
    *,
    names: tuple[str, str],
) -> Drawing:
    """Draw how much better the second of two methods finds videos of so many scenes.

    Args:
        scenes_V: number of scenes of each video.
        first_V: percentage of each video's captions that find it first, by the first method.
        second_V: likewise by the second.
        names: of the methods.

    Raises:
        ValueError: not as many numbers as videos.
    """
    if not len(scenes_V) == len(first_V) == len(second_V):
        raise ValueError(
            f"{len(scenes_V)} videos, {len(first_V)} and {len(second_V)} recalls; expected one for each video"
        )
    counted_V = np.minimum(np.asarray(scenes_V), _MOST_SCENES)
    gain_V = np.asarray(second_V, np.float64) - np.asarray(first_V, np.float64)
    bars = []
    for scenes in np.unique(counted_V):
        chosen = gain_V[counted_V == scenes]
        error = chosen.std(ddof=1) / len(chosen) ** 0.5 if len(chosen) > 1 else 0.0
        bars.append(
            {
                "scenes": int(scenes),
                "videos": len(chosen),
                "gain": float(chosen.mean()),
                "error": float(error),
            }
        )
    with new_page(4.2, 3.0) as page:
        axes = page.subplots()
        axes.bar(
            range(len(bars)),
            [bar["gain"] for bar in bars],
            yerr=[bar["error"] for bar in bars],
            color=COLOURS[0],
            capsize=3,
        )
        axes.axhline(0, color="black", linewidth=0.8)
        more = [f"{bar['scenes']}{' or more' if bar['scenes'] == _MOST_SCENES else ''}" for bar in bars]
        axes.set_xticks(
            range(len(bars)),
            [f"{name}\n({bar['videos']} videos)" for name, bar in zip(more, bars, strict=True)],
        )
        axes.set_xlabel("scenes")
        axes.set_ylabel(f"R@1: {names[1]} less {names[0]}")
    return Drawing(page, {"names": list(names), "bars": bars})
