"""A fixed set of training clips of the Shapes world, rendered once into a folder and read from there.

The endless stream (:func:`~vidsift.shapes.stream.stream_batch`) draws every batch anew. Where many models
are compared, a set that all of them see costs its rendering once, and frozen towers look at it once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.files.disk_errors import saving
from vidsift.files.whole import array_file, whole_folder
from vidsift.shapes.captions import describe_scene
from vidsift.shapes.groups import GROUP_SIZE, hard_negative_group, require_groups
from vidsift.shapes.render import render
from vidsift.shapes.stream import clip_times
from vidsift.shapes.world import TAGS
from vidsift.video.preprocessing import Sampling

__all__ = ["CAPTIONS_EACH", "ShapesSet", "set_is_there"]

# Keeps its random numbers apart from those of splits and of the stream.
_SET_KEY = 23
CAPTIONS_EACH = 4
"""Sentences that are kept of each clip; every step takes some of them at random."""


@dataclass(frozen=True)
class ShapesSet:
    """So many clips, as pictures and sentences.

    Attributes:
        folder: holds ``about.json``, ``pixels.npy`` and ``captions.json``.
        clips: how many; four in a row are a group of hard negatives.
        frames: most pictures of each.
        size_px: side of the pictures.
        sampling: which seconds of a clip they show.
    """

    folder: Path
    clips: int
    frames: int
    size_px: int
    sampling: Sampling = "uniform"
    _open: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        clips: int,
        frames: int,
        size_px: int,
        tags: tuple[str, ...] = TAGS,
        sampling: Sampling = "uniform",
    ) -> ShapesSet:
        """Open the set, or render it: the same arguments give the same set.

        Args:
            folder: below it each set has a folder of its own.
            clips: a multiple of four.
            frames: pictures of each.
            size_px: side of the pictures.
            tags: kinds of groups that take turns.
            sampling: which seconds of a clip they show.

        Raises:
            ValueError: if ``clips`` is no positive multiple of four, or another version made the set.
        """
        require_groups("clips", clips)
        about = {"format": 1, "clips": clips, "frames": frames, "size_px": size_px, "tags": list(tags)}
        name = f"shapes-{clips}x{frames}-{size_px}px-{'-'.join(tags)}"
        if sampling != "uniform":  # the only one of earlier versions, which did not name it
            about["sampling"], name = sampling, f"{name}-{sampling}"
        root = Path(folder) / name
        if not set_is_there(root, about):
            _write(root, about, tags, clip_times(frames, sampling))
        return cls(root, clips, frames, size_px, sampling)

    def __getstate__(self) -> dict[str, object]:
        """Travel to other processes without the open files."""
        return {**self.__dict__, "_open": {}}

    def pixels(self, rows: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        """Return pictures of some clips, ``(B, F, S, S, 3)``."""
        if "pixels" not in self._open:
            self._open["pixels"] = np.load(self.folder / "pixels.npy", mmap_mode="r")
        return np.array(self._open["pixels"][rows])

    def times(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the second at which each picture of some clips is seen, ``(B, F)``."""
        seconds = clip_times(self.frames, self.sampling)
        return np.broadcast_to(seconds, (len(rows), len(seconds)))

    def mask(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pictures of some clips are real, ``(B, F)``: all."""
        return np.ones((len(rows), self.pictures), bool)

    @property
    def pictures(self) -> int:
        """Pictures of each clip; fewer than ``frames`` where the sampling gives fewer seconds."""
        return len(clip_times(self.frames, self.sampling))

    @property
    def sentences(self) -> list[str]:
        """The sentences of all clips."""
        return [sentence for of_clip in self.captions for sentence in of_clip]

    @property
    def captions(self) -> list[list[str]]:
        """The sentences of each clip."""
        if "captions" not in self._open:
            text = (self.folder / "captions.json").read_text(encoding="utf-8")
            self._open["captions"] = json.loads(text)
        captions: list[list[str]] = self._open["captions"]
        return captions


def set_is_there(root: Path, about: dict[str, Any]) -> bool:
    """Whether a set was rendered already.

    Raises:
        ValueError: another version made it.
    """
    if not (root / "about.json").is_file():
        return False
    if json.loads((root / "about.json").read_text(encoding="utf-8")) != about:
        raise ValueError(f"{root} was made by another version; delete it, and it is made anew")
    return True


def _write(root: Path, about: dict[str, Any], tags: tuple[str, ...], times: NDArray[np.float64]) -> None:
    clips, side = about["clips"], about["size_px"]
    captions: list[list[str]] = []
    with saving("the set of clips", root.parent), whole_folder(root) as temporary:
        with array_file(temporary / "pixels.npy", np.uint8, (clips, len(times), side, side, 3)) as add:
            for group in range(clips // GROUP_SIZE):
                # No seed: a set is one for all runs, as they are to be compared.
                rng = np.random.default_rng([_SET_KEY, group])
                for scene in hard_negative_group(rng, "train", tags[group % len(tags)]):
                    add(render(scene, times, side))
                    captions.append([describe_scene(scene, rng).text for _ in range(CAPTIONS_EACH)])
        (temporary / "captions.json").write_text(json.dumps(captions), encoding="utf-8")
        (temporary / "about.json").write_text(json.dumps(about), encoding="utf-8")
