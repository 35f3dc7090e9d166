"""Pixels that are not square: people see the shape that a player shows, the model does not."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.index.strange import PREPROCESSING
from tests.video.making import Recipe, anamorphic, make

from vidsift.index.decode_worker import ReadSettings, Segment, read_video
from vidsift.search.explain_maps import shaped
from vidsift.types import Frames
from vidsift.video import probe, read_frames
from vidsift.video.clips import cut_clip
from vidsift.video.indexed_file import IndexedFile, thumbnail_at
from vidsift.video.transforms import shown_size, shrunk_jpeg

QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
SQUARE = Recipe(frames=12, fps=12, gop=4, width_px=64, height_px=64)


def source(path: Path) -> IndexedFile:
    status = path.stat()
    return IndexedFile(str(path), status.st_size, status.st_mtime_ns)


def size_of(jpeg: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(jpeg)).size


CASES = {
    "stream": lambda folder: anamorphic(folder, SQUARE, (16, 9)),
    "narrow": lambda folder: anamorphic(folder, SQUARE, (1, 2)),
    "turned": lambda folder: anamorphic(folder, replace(SQUARE, display_matrix=QUARTER_TURN), (16, 9)),
    "mpeg2": lambda folder: anamorphic(folder, replace(SQUARE, suffix=".mpg", codec="mpeg2video"), (16, 9)),
    "ts": lambda folder: anamorphic(folder, replace(SQUARE, suffix=".ts"), (16, 9)),
    "mkv": lambda folder: anamorphic(folder, replace(SQUARE, suffix=".mkv"), (16, 9)),
    "bare": lambda folder: anamorphic(folder, replace(SQUARE, suffix=".h264", format="h264"), (16, 9)),
}
SHAPES = {"narrow": (64, 128), "turned": (64, 114)} | dict.fromkeys(
    ("stream", "mpeg2", "ts", "mkv", "bare"), (114, 64)
)


@pytest.mark.parametrize("case", CASES)
def test_what_people_see_has_the_shape_that_a_player_shows(tmp_path: Path, case: str) -> None:
    path = CASES[case](tmp_path)
    wide, high = SHAPES[case]
    info = probe(path)
    assert (info.width_px, info.height_px) == (64, 64)
    assert info.pixel_aspect == pytest.approx(wide / high, rel=0.01)
    assert size_of(thumbnail_at(source(path), 0.5, 640)) == (wide, high)
    messages = read_video(str(path), ReadSettings(PREPROCESSING, None, frozenset()))
    segment = next(message for message in messages if isinstance(message, Segment))
    assert size_of(segment.thumbnails[0]) == (wide, high)
    # A clip that is encoded anew has square pixels; one that is copied says what its source says.
    clip = cut_clip(source(path), 0.1, 0.9, str(tmp_path / "clip.mp4"), 1 << 30)
    made = probe(tmp_path / "clip.mp4")
    shown = shown_size(made.height_px, made.width_px, made.pixel_aspect)
    assert shown[1] / shown[0] == pytest.approx(wide / high, rel=0.02)
    assert clip.copied or (made.width_px, made.height_px) == (wide // 2 * 2, high // 2 * 2)


def test_the_container_is_believed_before_the_stream(tmp_path: Path) -> None:
    """Copied into an MP4 as square, the stream itself still says 16:9; a player goes by the container."""
    path = anamorphic(tmp_path, SQUARE, (16, 9))
    data = path.read_bytes()
    at = data.index(b"pasp") + 4
    path.write_bytes(data[:at] + (4).to_bytes(4, "big") + (3).to_bytes(4, "big") + data[at + 8 :])
    assert probe(path).pixel_aspect == pytest.approx(4 / 3)
    assert size_of(thumbnail_at(source(path), 0.5, 640)) == (85, 64)
    cut_clip(source(path), 0.5, 0.9, str(tmp_path / "clip.mp4"), 1 << 30)
    made = probe(tmp_path / "clip.mp4")
    assert made.width_px * made.pixel_aspect / made.height_px == pytest.approx(4 / 3, rel=0.02)


def test_a_shape_that_no_picture_has_is_not_believed(tmp_path: Path) -> None:
    path = anamorphic(tmp_path, SQUARE, (200, 1))
    assert probe(path).pixel_aspect == 1.0


def test_the_model_sees_what_the_published_loaders_see(tmp_path: Path) -> None:
    path = anamorphic(tmp_path, SQUARE, (16, 9))
    plain = make(tmp_path, SQUARE, "plain")
    stretched, square = (read_frames(file, [0.0, 0.5]) for file in (path, plain))
    assert stretched.pixels.shape == (2, 64, 64, 3)
    assert np.array_equal(stretched.pixels, square.pixels)
    assert stretched.pixel_aspect == pytest.approx(16 / 9)
    assert square.pixel_aspect == 1.0


def test_explanations_are_drawn_in_that_shape() -> None:
    frames = Frames(np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1), pixel_aspect=2.0)
    assert shaped((0.0, 0.0, 4.0, 4.0), frames) == (0.0, 1.0, 4.0, 3.0)
    assert shaped((0.0, 0.0, 4.0, 4.0), replace(frames, pixel_aspect=0.5)) == (1.0, 0.0, 3.0, 4.0)
    assert shaped((0.0, 0.0, 4.0, 4.0), None) == (0.0, 0.0, 4.0, 4.0)


def test_thumbnails_keep_to_their_longer_side() -> None:
    pixels = np.zeros((180, 180, 3), np.uint8)
    assert size_of(shrunk_jpeg(pixels, 160, pixel_aspect=16 / 9)) == (160, 90)
    assert size_of(shrunk_jpeg(pixels, 160, pixel_aspect=0.5)) == (80, 160)
    assert size_of(shrunk_jpeg(pixels, 160)) == (160, 160)


def test_the_anamorphic_file(media: Callable[[str], Path], tmp_path: Path) -> None:
    path = media("hard/anamorphic.mp4")
    assert size_of(thumbnail_at(source(path), 0.5, 640)) == (320, 180)
    cut_clip(source(path), 0.2, 0.9, str(tmp_path / "clip.mp4"), 1 << 30)
    made = probe(tmp_path / "clip.mp4")
    assert round(made.width_px * made.pixel_aspect) == 320
    assert made.height_px == 180
