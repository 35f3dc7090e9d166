"""Longer videos of the Shapes world: scenes one after the other, and when each of them is seen.

What a sentence says of a scene is true for the seconds of that scene and, within its split, for no others: a
truth for moments that no annotator had to guess.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidsift.files.disk_errors import saving
from vidsift.files.whole import write_json_whole, write_text_whole
from vidsift.shapes.library import DrawnVideo, draw_split, require_even, write_pictures
from vidsift.shapes.render import render
from vidsift.shapes.world import DURATION_SECONDS

__all__ = ["write_joined_library"]


def write_joined_library(
    folder: Path | str,
    split: str = "test",
    videos: int = 64,
    seed: int = 0,
    *,
    scenes: int = 4,
    size_px: int = 128,
    frames_per_second: int = 12,
) -> list[tuple[DrawnVideo, ...]]:
    """Write videos of several scenes, four seconds each, with their sentences and moments.

    Scenes of a group of hard negatives come into different videos where there are enough of them. Beside the
    MP4 files the folder gets ``captions.jsonl``, each line with a sentence a scene and its ``moments``, and
    ``shapes.json``, as :func:`~vidsift.shapes.library.write_library` writes them.

    Args:
        folder: made if it is missing; files of the same names are replaced.
        split: "train", "val" or "test".
        videos: how many.
        seed: the same seed gives the same videos.
        scenes: in each; with ``videos`` it makes a multiple of four.
        size_px: height and width, even.
        frames_per_second: pictures a second.

    Returns:
        The scenes of each video, in their order, the first caption of each being its sentence.

    Raises:
        ValueError: the scenes are no multiple of four together, or the split is unknown.
        NotSavedError: the disk takes no more.
    """
    require_even(size_px)
    if videos < 1 or scenes < 1 or videos * scenes % 4:
        raise ValueError(f"{videos} videos of {scenes} scenes: expected a multiple of 4 scenes together")
    drawn = draw_split(split, videos * scenes, seed, captions_per_video=1)
    joined = [tuple(drawn[number::videos]) for number in range(videos)]
    times = np.arange(round(DURATION_SECONDS * frames_per_second)) / frames_per_second
    root = Path(folder)
    names = [f"{split}-joined-{number:05d}.mp4" for number in range(videos)]
    with saving("the videos", root):
        root.mkdir(parents=True, exist_ok=True)
        for name, parts in zip(names, joined, strict=True):
            pictures = np.concatenate([render(part.scene, times, size_px) for part in parts])
            write_pictures(root / name, pictures, frames_per_second)
        lines = [_listed(name, parts, split) for name, parts in zip(names, joined, strict=True)]
        write_text_whole(root / "captions.jsonl", "".join(lines))
        about = {"split": split, "videos": videos, "scenes": scenes, "seed": seed, "size_px": size_px}
        write_json_whole(root / "shapes.json", about | {"frames_per_second": frames_per_second})
    return joined


def _listed(name: str, parts: Sequence[DrawnVideo], split: str) -> str:
    sentences = [part.captions[0] for part in parts]
    moments = [
        {"caption": sentence, "start": number * DURATION_SECONDS, "end": (number + 1) * DURATION_SECONDS}
        for number, sentence in enumerate(sentences)
    ]
    return json.dumps({"video": name, "captions": sentences, "split": split, "moments": moments}) + "\n"
