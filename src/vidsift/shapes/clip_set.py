"""A fixed set of training clips of Shapes 2, rendered once into a folder and read from there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.files.disk_errors import saving
from vidsift.files.whole import array_file, whole_folder
from vidsift.shapes.clip_library import draw_described_group
from vidsift.shapes.groups import GROUP_SIZE, require_groups
from vidsift.shapes.library import Register
from vidsift.shapes.render import render
from vidsift.shapes.set import CAPTIONS_EACH, ShapesSet, set_is_there
from vidsift.shapes.stream import clip_times
from vidsift.shapes.world import TAGS
from vidsift.video.preprocessing import Sampling

__all__ = ["ClipSet"]

# Keeps its random numbers apart from those of splits, of streams and of version 1.
_SET_KEY = 73


@dataclass(frozen=True)
class ClipSet(ShapesSet):
    """So many clips of Shapes 2, as pictures and sentences; they last longer or shorter."""

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
        paragraphs: bool = False,
    ) -> ClipSet:
        """Open the set, or render it: the same arguments give the same set.

        Args:
            folder: below it each set has a folder of its own.
            clips: a multiple of four.
            frames: pictures of each.
            size_px: side of the pictures.
            tags: kinds of groups that take turns.
            sampling: which seconds of a clip they show; one that gives a short clip fewer pictures leaves the
                others black and masked.
            paragraphs: several sentences for each caption.

        Raises:
            ValueError: if ``clips`` is no positive multiple of four, or another version made the set.
        """
        require_groups("clips", clips)
        about = {
            "world": 2, "format": 1, "clips": clips, "frames": frames, "size_px": size_px, "tags": list(tags),
            "sampling": sampling, "paragraphs": paragraphs,
        }  # fmt: skip
        kind = "-paragraphs" if paragraphs else ""
        root = Path(folder) / f"shapes2-{clips}x{frames}-{size_px}px-{'-'.join(tags)}-{sampling}{kind}"
        if not set_is_there(root, about):
            _write(root, about, tags, sampling)
        return cls(root, clips, frames, size_px, sampling)

    def times(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the second at which each picture of some clips is seen, ``(B, F)``, 0 where masked."""
        return np.where(self.mask(rows), self._times()[rows], 0.0)

    def mask(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pictures of some clips are real, ``(B, F)``."""
        real: NDArray[np.bool_] = np.isfinite(self._times()[rows])
        return real

    def _times(self) -> NDArray[np.float64]:
        if "times" not in self._open:
            self._open["times"] = np.load(self.folder / "times.npy")
        times: NDArray[np.float64] = self._open["times"]
        return times

    @property
    def pictures(self) -> int:
        """Pictures of each clip, masked ones included."""
        return self.frames


def _write(root: Path, about: dict[str, Any], tags: tuple[str, ...], sampling: Sampling) -> None:
    clips, frames, side = about["clips"], about["frames"], about["size_px"]
    captions: list[list[str]] = []
    # NaN where there is no picture.
    times_VF = np.full((clips, frames), np.nan)
    register = Register()
    with saving("the set of clips", root.parent), whole_folder(root) as temporary:
        with array_file(temporary / "pixels.npy", np.uint8, (clips, frames, side, side, 3)) as add:
            for group in range(clips // GROUP_SIZE):
                # No seed: a set is one for all runs, as they are to be compared.
                rng = np.random.default_rng([_SET_KEY, group])
                for clip, said in draw_described_group(
                    rng,
                    register,
                    "train",
                    tags[group % len(tags)],
                    captions=CAPTIONS_EACH,
                    paragraphs=about["paragraphs"],
                ):
                    times = clip_times(frames, sampling, clip.duration_seconds)
                    times_VF[len(captions), : len(times)] = times
                    pixels = np.zeros((frames, side, side, 3), np.uint8)
                    pixels[: len(times)] = render(clip, times, side)
                    add(pixels)
                    captions.append([caption.text for caption in said])
        np.save(temporary / "times.npy", times_VF)
        (temporary / "captions.json").write_text(json.dumps(captions), encoding="utf-8")
        (temporary / "about.json").write_text(json.dumps(about), encoding="utf-8")
