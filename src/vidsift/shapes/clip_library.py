"""A split of Shapes 2: what its clips show, what is said of them, and their files.

Training batches, sets and splits are all drawn by :func:`draw_described_group`, so they are equally hard.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidsift.shapes.captions import Caption
from vidsift.shapes.clip_captions import describe_clip
from vidsift.shapes.clip_groups import clip_group
from vidsift.shapes.clips import ShapesClip
from vidsift.shapes.grounding import caption_span, ground_caption
from vidsift.shapes.groups import GROUP_SIZE, require_groups
from vidsift.shapes.library import Register, VideoJob, require_even, tell_apart, write_folder
from vidsift.shapes.world import SPLITS, TAGS, require_split, unseen_combinations

__all__ = ["DrawnClip", "draw_clips", "draw_described_group", "write_clip_library"]

# Keeps the random numbers of Shapes 2 apart from those of version 1.
_CLIPS_KEY = 2


@dataclass(frozen=True)
class DrawnClip:
    """A clip of a split and what is said of it.

    Attributes:
        name: name of its file.
        clip: what it shows.
        captions: sentences that hold of this clip and of no other of its split.
        group: number of its group of hard negatives within the split.
        unseen: combinations that training never shows; empty outside of test.
    """

    name: str
    clip: ShapesClip
    captions: tuple[Caption, ...]
    group: int
    unseen: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The sentences alone."""
        return tuple(caption.text for caption in self.captions)

    def grounding(self, start_seconds: float = 0.0) -> list[list[dict[str, Any]]]:
        """Which word of each caption is true when and where, see :mod:`vidsift.shapes.grounding`."""
        return [ground_caption(self.clip, caption, start_seconds) for caption in self.captions]

    def moments(self) -> list[dict[str, Any]]:
        """The captions that name events, with the seconds in which those happen."""
        spans = ((caption.text, caption_span(self.clip, caption)) for caption in self.captions)
        return [
            {"caption": text, "start": round(span.start_seconds, 3), "end": round(span.end_seconds, 3)}
            for text, span in spans
            if span is not None
        ]


def draw_described_group(
    rng: np.random.Generator,
    register: Register,
    split: str,
    tag: str,
    *,
    captions: int = 1,
    paragraphs: bool = False,
    unseen: bool = False,
) -> list[tuple[ShapesClip, tuple[Caption, ...]]]:
    """Draw four hard negatives and sentences, each true of its clip and of none that was registered.

    Args:
        rng: source of every choice.
        register: of what stands beside it: of a split, of a batch. The group is entered.
        split: "train", "val" or "test".
        tag: what the four differ in.
        captions: sentences for each clip, all different.
        paragraphs: several sentences each.
        unseen: see :func:`~vidsift.shapes.clip_groups.clip_group`.
    """
    while True:
        group = clip_group(rng, split, tag, unseen=unseen)
        if any(register.already_described(clip) for clip in group):
            continue
        described = []
        for clip in group:
            said = tell_apart(
                clip,
                group,
                register,
                captions,
                lambda _over, clip=clip: describe_clip(clip, rng, paragraph=paragraphs),  # type: ignore[misc]
            )
            if said is None:
                break
            described.append((clip, tuple(said)))
        # All four or none: a group of three has lost a hard negative.
        if len(described) == len(group):
            for clip, said_of_it in described:
                register.add(clip, said_of_it)
            return described


def draw_clips(
    split: str,
    clips: int,
    seed: int = 0,
    *,
    captions_per_clip: int = 3,
    tags: Sequence[str] = TAGS,
    paragraphs: bool = False,
    unseen: bool = False,
) -> list[DrawnClip]:
    """Decide what the clips of a split show and what is said of them.

    Tags take turns, so each has the same share. No caption of the split holds of another of its clips.

    Args:
        split: "train", "val" or "test".
        clips: how many, a multiple of four (groups of four hard negatives).
        seed: the same seed, split and number give the same clips.
        captions_per_clip: sentences for each, all different.
        tags: which tags take turns.
        paragraphs: several sentences with most of the facts (for models that take 64 tokens).
        unseen: for test: every second group of each tag holds combinations that training never shows.

    Raises:
        ValueError: unknown split or tag, a number that is no multiple of four, or no captions or tags.
    """
    require_split(split)
    require_groups("clips", clips)
    if captions_per_clip < 1:
        raise ValueError(f"captions_per_clip is {captions_per_clip}: expected at least 1")
    if not tags:
        raise ValueError(f"tags is empty: expected one or more of {', '.join(TAGS)}")
    register = Register()
    drawn: list[DrawnClip] = []
    for number in range(clips // GROUP_SIZE):
        # Another stream of numbers for each split and group: what one draws moves no other.
        rng = np.random.default_rng([seed, SPLITS.index(split), number, _CLIPS_KEY])
        described = draw_described_group(
            rng,
            register,
            split,
            tags[number % len(tags)],
            captions=captions_per_clip,
            paragraphs=paragraphs,
            unseen=unseen and (number // len(tags)) % 2 == 1,
        )
        for clip, said in described:
            name = f"{split}-{len(drawn):05d}.mp4"
            drawn.append(DrawnClip(name, clip, said, number, unseen_combinations(clip)))
    return drawn


def write_clip_library(
    folder: Path | str,
    split: str = "test",
    clips: int = 640,
    seed: int = 0,
    *,
    size_px: int = 128,
    frames_per_second: int = 12,
    captions_per_clip: int = 3,
    paragraphs: bool = False,
    unseen: bool = False,
    workers: int | None = None,
) -> list[DrawnClip]:
    """Write a split of Shapes 2 as video files with their captions.

    Beside the MP4 files the folder gets ``captions.jsonl``, one object a clip (``video``, ``captions``,
    ``grounding``, ``moments``, ``split``, ``tag``, ``group``, ``unseen``, ``scene``), and ``shapes.json``.

    Args:
        folder: made if it is missing; files of the same names are replaced.
        split: "train", "val" or "test".
        clips: how many, a multiple of four.
        seed: the same seed gives the same library.
        size_px: height and width, even.
        frames_per_second: pictures a second.
        captions_per_clip: sentences for each clip.
        paragraphs: see :func:`draw_clips`.
        unseen: see :func:`draw_clips`.
        workers: see :func:`~vidsift.shapes.library.write_library`.

    Returns:
        The clips, in the order of ``captions.jsonl``.

    Raises:
        NotSavedError: the disk takes no more.
    """
    require_even(size_px)
    options: dict[str, Any] = {
        "captions_per_clip": captions_per_clip, "paragraphs": paragraphs, "unseen": unseen
    }  # fmt: skip
    drawn = draw_clips(split, clips, seed, **options)
    root = Path(folder)
    jobs = [
        VideoJob(str(root / it.name), ((it.clip, it.clip.duration_seconds),), size_px, frames_per_second)
        for it in drawn
    ]
    about = {"world": 2, "split": split, "clips": clips, "seed": seed, **options}
    about |= {"size_px": size_px, "frames_per_second": frames_per_second}
    write_folder(root, jobs, workers, "".join(_listed(it, split) for it in drawn), about)
    return drawn


def _listed(drawn: DrawnClip, split: str) -> str:
    """A clip as a line of ``captions.jsonl``."""
    about = {
        "video": drawn.name,
        "captions": drawn.texts,
        "grounding": drawn.grounding(),
        "moments": drawn.moments(),
        "split": split,
        "tag": drawn.clip.tag,
        "group": drawn.group,
        "unseen": drawn.unseen,
        "scene": asdict(drawn.clip),
    }
    return json.dumps(about) + "\n"
