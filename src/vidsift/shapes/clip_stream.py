"""Endless training batches of Shapes 2: the batch of any step, drawn and rendered from its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsift.shapes.captions import Caption
from vidsift.shapes.clip_library import draw_described_group
from vidsift.shapes.clips import ShapesClip
from vidsift.shapes.groups import GROUP_SIZE, require_groups
from vidsift.shapes.library import Register
from vidsift.shapes.render import render
from vidsift.shapes.stream import clip_times, moved_times
from vidsift.shapes.world import SPLITS, TAGS
from vidsift.video.preprocessing import Sampling

__all__ = ["ClipBatch", "clip_batch"]

# Keeps the random numbers of the stream apart from those of splits and of version 1.
_STREAM_KEY = 72


class ClipBatch(NamedTuple):
    """One training batch; clips that give fewer pictures than others are padded with zeros.

    Attributes:
        pixels: uint8 ``(B, F, S, S, 3)``.
        mask: bool ``(B, F)``, True on real pictures.
        times_seconds: ``(B, F)``: where pictures belong, without jitter.
        captions: a first sentence for every clip, then a second, and so on.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    times_seconds: NDArray[np.float64]
    captions: list[str]


def clip_batch(
    seed: int,
    step: int,
    batch: int = 64,
    frames: int = 16,
    size_px: int = 64,
    *,
    split: str = "train",
    captions_each: int = 1,
    jitter: float = 0.0,
    tags: Sequence[str] = TAGS,
    grouped: bool = True,
    paragraphs: bool = False,
    sampling: Sampling = "uniform",
    rendered: range | None = None,
) -> ClipBatch:
    """Draw and render the batch of one step.

    No caption of a batch holds of another of its clips.

    Args:
        seed: of the whole stream.
        step: which batch; any can be asked for, in any process.
        batch: clips, a multiple of four: groups of hard negatives, the tags taking turns.
        frames: pictures a clip; with 1, a still at any time.
        size_px: height and width of the pictures.
        split: "train" or "val".
        captions_each: sentences for each clip.
        jitter: how far a picture may move in what it stands for, see
            :func:`~vidsift.shapes.stream.stream_batch`.
        tags: which tags take turns.
        grouped: False takes one clip of each group, so that a batch holds no hard negatives (easier).
        paragraphs: several sentences for each caption.
        sampling: which seconds of a clip are looked at.
        rendered: which clips of the batch are wanted, the same as in the whole batch; all when None.

    Raises:
        ValueError: a batch that is no multiple of four, or an unknown split.
    """
    require_groups("batch", batch)
    rng = np.random.default_rng([seed, SPLITS.index(split), _STREAM_KEY, step])
    groups = batch // (GROUP_SIZE if grouped else 1)
    # Counted on over steps: with few groups a batch, all tags still take turns.
    kinds = [tags[(step * groups + number) % len(tags)] for number in range(groups)]
    drawn = list(_described(rng, split, kinds, captions_each, grouped=grouped, paragraphs=paragraphs))
    # All that is drawn is drawn for every clip, whichever are wanted.
    looks = [_looked_at(clip, frames, sampling, jitter, rng) for clip, _ in drawn]
    wanted = slice(None) if rendered is None else slice(rendered.start, rendered.stop)
    drawn, looks = drawn[wanted], looks[wanted]
    # As wide as its longest, as batches of files are.
    width = max((len(fixed) for fixed, _ in looks), default=0)
    pixels = np.zeros((len(drawn), width, size_px, size_px, 3), np.uint8)
    mask, times_seconds = np.zeros((len(drawn), width), bool), np.zeros((len(drawn), width))
    for row, ((clip, _), (fixed, times)) in enumerate(zip(drawn, looks, strict=True)):
        pixels[row, : len(times)] = render(clip, times, size_px)
        mask[row, : len(times)] = True
        times_seconds[row, : len(times)] = fixed
    captions = [said[number].text for number in range(captions_each) for _, said in drawn]
    return ClipBatch(pixels, mask, times_seconds, captions)


def _described(
    rng: np.random.Generator,
    split: str,
    kinds: Sequence[str],
    captions: int,
    *,
    grouped: bool,
    paragraphs: bool,
) -> Iterator[tuple[ShapesClip, tuple[Caption, ...]]]:
    """Draw a group for each kind, or a clip of it."""
    register = Register()
    for tag in kinds:
        group = draw_described_group(rng, register, split, tag, captions=captions, paragraphs=paragraphs)
        yield from group if grouped else [group[int(rng.random() * GROUP_SIZE)]]


def _looked_at(
    clip: ShapesClip, frames: int, sampling: Sampling, jitter: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where pictures of a clip belong, and where they are taken."""
    fixed = clip_times(frames, sampling, clip.duration_seconds)
    moved = moved_times(fixed, frames, sampling, jitter, rng, duration_seconds=clip.duration_seconds)
    return fixed, moved
