"""Endless training batches of the Shapes world: the batch of any step, drawn and rendered from its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsift.shapes.captions import describe_scene
from vidsift.shapes.groups import GROUP_SIZE, draw_scene, hard_negative_group, require_groups
from vidsift.shapes.render import render
from vidsift.shapes.world import DURATION_SECONDS, SPLITS, TAGS
from vidsift.types import Span
from vidsift.video.preprocessing import SAMPLING, Sampling
from vidsift.video.sampling import random_within_seconds

__all__ = ["StreamBatch", "clip_times", "moved_times", "stream_batch"]

# Keeps the random numbers of the stream apart from those of splits of the same seed.
_STREAM_KEY = 7


class StreamBatch(NamedTuple):
    """One training batch: ``pixels`` uint8 ``(B, F, S, S, 3)`` and a sentence for each clip.

    With several captions each, ``captions`` holds a first sentence for every clip, then a second, and so on.
    """

    pixels: NDArray[np.uint8]
    captions: list[str]


def clip_times(
    frames: int, sampling: Sampling = "uniform", duration_seconds: float = DURATION_SECONDS
) -> NDArray[np.float64]:
    """Return the seconds of a clip that a model looks at, ``(at most frames,)``."""
    return SAMPLING[sampling](Span(0.0, duration_seconds), frames)


def stream_batch(
    seed: int,
    step: int,
    batch: int = 64,
    frames: int = 8,
    size_px: int = 64,
    *,
    split: str = "train",
    captions_each: int = 1,
    jitter: float = 0.0,
    tags: Sequence[str] = TAGS,
    grouped: bool = True,
    sampling: Sampling = "uniform",
    rendered: range | None = None,
) -> StreamBatch:
    """Draw and render the batch of one step.

    Args:
        seed: of the whole stream.
        step: which batch; any can be asked for, in any process.
        batch: clips, a multiple of four: groups of hard negatives, the tags taking turns.
        frames: pictures a clip; with 1, a still at any time.
        size_px: height and width of the pictures.
        split: "train" or "val".
        captions_each: sentences for each clip.
        jitter: how far a picture may move in what it stands for, 0 (not at all) to 1 (anywhere in it): its
            stretch of the clip, around the middle; but for "uniform" the second that it begins.
        tags: which tags take turns.
        grouped: False draws scenes one by one, so that a batch holds no hard negatives (easier).
        sampling: which seconds a clip is looked at; "uniform" takes the middles of ``frames`` equal
            stretches, others may give fewer pictures.
        rendered: which clips of the batch are wanted, the same as in the whole batch; all when None.

    Raises:
        ValueError: a batch that is no multiple of four, or an unknown split.
    """
    require_groups("batch", batch)
    rng = np.random.default_rng([seed, SPLITS.index(split), _STREAM_KEY, step])
    together = GROUP_SIZE if grouped else 1
    groups = batch // together
    fixed = clip_times(frames, sampling)
    wanted = range(batch) if rendered is None else rendered
    pixels = np.empty((len(wanted), len(fixed), size_px, size_px, 3), np.uint8)
    texts: list[list[str]] = [[] for _ in range(captions_each)]
    for number in range(groups):
        # Counted on over steps: with few groups a batch, all tags still take turns.
        tag = tags[(step * groups + number) % len(tags)]
        scenes = hard_negative_group(rng, split, tag) if grouped else [draw_scene(rng, split, tag)]
        for place, scene in enumerate(scenes):
            # All that is drawn is drawn for every clip, whichever are wanted.
            times = moved_times(fixed, frames, sampling, jitter, rng)
            clip = number * together + place
            if clip in wanted:
                pixels[clip - wanted.start] = render(scene, times, size_px)
            for row in texts:
                row.append(describe_scene(scene, rng).text)
    return StreamBatch(pixels, [text for row in texts for text in row[wanted.start : wanted.stop]])


def moved_times(
    times: NDArray[np.float64],
    frames: int,
    sampling: Sampling,
    jitter: float,
    rng: np.random.Generator,
    *,
    duration_seconds: float = DURATION_SECONDS,
) -> NDArray[np.float64]:
    """Move the pictures of a clip in what they stand for; a still may be at any time."""
    if sampling != "uniform":
        return random_within_seconds(times, Span(0.0, duration_seconds), rng, jitter)
    if frames == 1 or jitter:
        stretch = duration_seconds / frames
        return times + (1.0 if frames == 1 else jitter) * stretch * (rng.random(frames) - 0.5)
    return times
