"""Pictures are upright, as the ffmpeg program shows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.video.making import Recipe, make

from vidsift.video import probe, read_frames

UNIT = 1 << 16
Pixels = NDArray[np.uint8]

# (a, b, c, d) of the display matrix, the clockwise turn it means, and what it does to the stored picture.
CASES: dict[str, tuple[tuple[int, int, int, int], int, Callable[[Pixels], Pixels]]] = {
    "as stored": ((UNIT, 0, 0, UNIT), 0, lambda p: p),
    "quarter right": ((0, UNIT, -UNIT, 0), 90, lambda p: np.rot90(p, 3)),
    "upside down": ((-UNIT, 0, 0, -UNIT), 180, lambda p: p[::-1, ::-1]),
    "quarter left": ((0, -UNIT, UNIT, 0), 270, lambda p: np.rot90(p, 1)),
    "mirrored": ((-UNIT, 0, 0, UNIT), 180, lambda p: p[:, ::-1]),
    "flipped": ((UNIT, 0, 0, -UNIT), 0, lambda p: p[::-1]),
    "transposed": ((0, UNIT, UNIT, 0), 90, lambda p: p.swapaxes(0, 1)),
    "transposed the other way": ((0, -UNIT, -UNIT, 0), 270, lambda p: p[::-1, ::-1].swapaxes(0, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_display_matrix(name: str, tmp_path: Path) -> None:
    (a, b, c, d), degrees, turn = CASES[name]
    stored = read_frames(make(tmp_path, Recipe(frames=3), "stored"), [0.05]).pixels[0]
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = make(tmp_path, Recipe(frames=3, display_matrix=matrix), "turned")
    for method in ("through", "seek"):
        shown = read_frames(path, [0.05], method=method).pixels[0]
        assert np.array_equal(shown, turn(stored))
    facts = probe(path)
    assert facts.rotation_degrees == degrees
    assert (facts.height_px, facts.width_px) == shown.shape[:2]


def test_a_slanted_picture_turns_within_its_frame(tmp_path: Path) -> None:
    matrix = (56756, 32768, 0, -32768, 56756, 0, 0, 0, 1 << 30)  # 30 degrees clockwise
    shown = read_frames(make(tmp_path, Recipe(frames=1, display_matrix=matrix)), [0.0]).pixels[0]
    assert shown.shape == (48, 64, 3)
    assert shown[0, 0].tolist() == [0, 0, 0]  # the corner turned away is black
    assert shown[24, 32].max() > 0


def test_a_phone_video_held_upright(media: Callable[[str], Path]) -> None:
    facts = probe(media("video_90.mov"))
    assert (facts.width_px, facts.height_px, facts.rotation_degrees) == (320, 568, 90)
    assert read_frames(media("video_90.mov"), [0.0]).pixels.shape == (1, 568, 320, 3)


def test_colour_follows_the_streams_own_matrix(tmp_path: Path) -> None:
    plain = read_frames(make(tmp_path, Recipe(frames=1), "plain"), [0.0]).pixels
    options = {"x264-params": "colormatrix=bt709:scenecut=0"}
    named = read_frames(make(tmp_path, Recipe(frames=1, options=options), "named"), [0.0]).pixels
    difference = np.abs(plain.astype(int) - named.astype(int)).mean()
    assert difference > 1.0  # the same numbers read with another matrix are other colours
