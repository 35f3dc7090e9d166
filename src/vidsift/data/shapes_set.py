"""A fixed set of training clips of the Shapes world, rendered once into a folder and read from there.

The endless stream (:class:`~vidsift.data.loading.ShapesBatches`) draws every batch anew. Where many models
are compared, a set that all of them see costs its rendering once, and frozen towers look at it once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.data.loading import Batch, Look, look_at
from vidsift.data.shapes import clip_times
from vidsift.files.saving import saving
from vidsift.files.whole import array_file
from vidsift.files.whole_folder import made_whole
from vidsift.shapes.captions import describe
from vidsift.shapes.groups import GROUP_SIZE, hard_negative_group
from vidsift.shapes.render import render
from vidsift.shapes.world import TAGS
from vidsift.video.preprocessing import Sampling

__all__ = ["ShapesSet", "ShapesSetBatches"]

_SET_KEY = 23
_CAPTIONS = 4
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
        if clips < GROUP_SIZE or clips % GROUP_SIZE:
            raise ValueError(f"clips is {clips}: expected a multiple of {GROUP_SIZE}, the size of a group")
        about = {"format": 1, "clips": clips, "frames": frames, "size_px": size_px, "tags": list(tags)}
        name = f"shapes-{clips}x{frames}-{size_px}px-{'-'.join(tags)}"
        if sampling != "uniform":  # the only one of earlier versions, which did not name it
            about["sampling"], name = sampling, f"{name}-{sampling}"
        root = Path(folder) / name
        if not (root / "about.json").is_file():
            _write(root, about, tags, clip_times(frames, sampling))
        elif json.loads((root / "about.json").read_text(encoding="utf-8")) != about:
            raise ValueError(f"{root} was made by another version; delete it, and it is made anew")
        return cls(root, clips, frames, size_px, sampling)

    def __getstate__(self) -> dict[str, object]:
        """Travel to other processes without the open files."""
        return {**self.__dict__, "_open": {}}

    def pixels(self, rows: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        """Return pictures of some clips, ``(B, F, S, S, 3)``."""
        if "pixels" not in self._open:
            self._open["pixels"] = np.load(self.folder / "pixels.npy", mmap_mode="r")
        return np.array(self._open["pixels"][rows])

    @property
    def captions(self) -> list[list[str]]:
        """The sentences of each clip."""
        if "captions" not in self._open:
            text = (self.folder / "captions.json").read_text(encoding="utf-8")
            self._open["captions"] = json.loads(text)
        found: list[list[str]] = self._open["captions"]
        return found


def _write(root: Path, about: dict[str, Any], tags: tuple[str, ...], times: NDArray[np.float64]) -> None:
    clips, side = about["clips"], about["size_px"]
    said: list[list[str]] = []
    with saving("the set of clips", root.parent), made_whole(root) as aside:
        with array_file(aside / "pixels.npy", np.uint8, (clips, len(times), side, side, 3)) as add:
            for group in range(clips // GROUP_SIZE):
                rng = np.random.default_rng([_SET_KEY, group])
                for scene in hard_negative_group(rng, "train", tags[group % len(tags)]):
                    add(render(scene, times, side))
                    said.append([describe(scene, rng).text for _ in range(_CAPTIONS)])
        (aside / "captions.json").write_text(json.dumps(said), encoding="utf-8")
        (aside / "about.json").write_text(json.dumps(about), encoding="utf-8")


@dataclass(frozen=True)
class ShapesSetBatches:
    """Batches of a set: whole groups of hard negatives in random order, each once an epoch.

    Groups at the end of an epoch that fill no batch are left out of it.

    Attributes:
        clips: the set.
        seed: of the order and of the choice of sentences.
        looks: batch size over the steps; the set says how many frames.
        captions_each: sentences for each clip.
        with_pixels: False leaves the pictures out, for towers that remember them.
    """

    clips: ShapesSet
    seed: int
    looks: tuple[Look, ...]
    captions_each: int = 1
    with_pixels: bool = True

    def __post_init__(self) -> None:
        """Refuse what the set cannot give."""
        for look in self.looks:
            if look.frames != self.clips.frames:
                raise ValueError(
                    f"a stage wants {look.frames} frames, the set of clips has {self.clips.frames}; a set "
                    "has one number of frames: leave data.clips out, or frames out of the stage"
                )
            if look.batch_size > self.clips.clips:
                raise ValueError(
                    f"a batch takes {look.batch_size} clips, the set has {self.clips.clips}; raise "
                    "data.clips or lower data.batch_size"
                )
            if not look.grouped or look.tags:
                raise ValueError("grouped: false and tags of a stage need fresh scenes: leave data.clips out")

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest batch's pictures."""
        return max(look.batch_size for look in self.looks) * self.clips.frames * self._side**2 * 3

    @property
    def _side(self) -> int:
        return self.clips.size_px if self.with_pixels else 1

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        look = look_at(self.looks, step)
        rows = self._rows(step, look)
        rng = np.random.default_rng([self.seed, step])
        seconds = clip_times(self.clips.frames, self.clips.sampling)
        shape = (len(rows), len(seconds))
        pixels = self.clips.pixels(rows) if self.with_pixels else np.zeros((*shape, 1, 1, 3), np.uint8)
        times = np.broadcast_to(seconds, shape)
        chosen = [rng.permutation(_CAPTIONS) for _ in rows]
        captions = [
            self.clips.captions[row][order[number % _CAPTIONS]]
            for number in range(self.captions_each)
            for row, order in zip(rows, chosen, strict=True)
        ]
        return Batch(pixels, np.ones(shape, bool), times, captions, rows)

    def _rows(self, step: int, look: Look) -> NDArray[np.int64]:
        groups, together = self.clips.clips // GROUP_SIZE, look.batch_size // GROUP_SIZE
        epoch, place = divmod(step - look.first_step, groups // together)
        order = np.random.default_rng([self.seed, look.first_step, epoch]).permutation(groups)
        taken = order[place * together : (place + 1) * together]
        return (taken[:, None] * GROUP_SIZE + np.arange(GROUP_SIZE)).reshape(-1).astype(np.int64)
