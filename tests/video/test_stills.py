"""What is a photo and no video, whatever its container; what is a video though one picture is left of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.video.making import Recipe, copy_packets, make, number_in, picture
from tests.video.photographing import STILLS, box, jpeg, still, tiled_heif, write_gif

from vidsift.errors import PictureError, VideoReadError
from vidsift.video import find_videos, probe, read_frames


@pytest.mark.parametrize("suffix", STILLS)
def test_one_picture_is_a_still_and_more_are_none(tmp_path: Path, suffix: str) -> None:
    path = still(tmp_path, suffix)
    assert probe(path).single_picture
    assert len(read_frames(path, [0.0]).pixels) == 1  # and can be read
    assert not probe(still(tmp_path, suffix, frames=5)).single_picture


@pytest.mark.parametrize(("suffix", "options"), [(".mp4", {"movflags": "frag_keyframe+empty_moov"})])
def test_fragments_count_too(tmp_path: Path, suffix: str, options: dict[str, str]) -> None:
    for frames in (1, 2):
        path = make(tmp_path, Recipe(frames=frames, suffix=suffix, container_options=options))
        assert probe(path).single_picture == (frames == 1)


def test_other_programs_write_stills_too(tmp_path: Path) -> None:
    assert probe(write_gif(tmp_path / "one.gif", 1)).single_picture
    assert not probe(write_gif(tmp_path / "two.gif", 2)).single_picture


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".gif"])
def test_a_damaged_video_of_which_one_picture_is_left_is_no_still(tmp_path: Path, suffix: str) -> None:
    """Cut off, or followed by noise."""
    recipe = STILLS[suffix] if suffix in (".gif", ".avi") else Recipe(suffix=suffix)
    recipe = Recipe(**{**vars(recipe), "suffix": suffix, "frames": 60, "gop": 60})
    if suffix == ".mp4":
        path = copy_packets(make(tmp_path, recipe), tmp_path / "copy.mp4", options={"movflags": "faststart"})
    else:
        path = make(tmp_path, recipe)
    whole = path.read_bytes()
    length = next(stop for stop in range(500, len(whole), 50) if _pictures(path, whole[:stop]) == 1)
    for data in (whole[:length], whole[:length] + bytes(300_000)):
        if _pictures(path, data) == 1:
            assert not probe(path).single_picture


def _pictures(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    try:
        return len({int(time * 1000) for time in read_frames(path, [0.0, 0.05, 0.1, 1.0]).times_seconds})
    except VideoReadError:
        return 0


def test_a_picture_under_a_videos_name_is_a_picture(tmp_path: Path) -> None:
    (tmp_path / "photo.mp4").write_bytes(jpeg())
    Image.fromarray(picture(1)).save(tmp_path / "photo.png")
    (tmp_path / "photo.png").rename(tmp_path / "photo.mov")
    for path in (tmp_path / "photo.mp4", tmp_path / "photo.mov"):
        with pytest.raises(PictureError, match="is not a video"):
            probe(path)


@pytest.mark.parametrize("name", ["hard/photo.avif", "hard/one.gif"])
def test_the_stills(media: Callable[[str], Path], name: str) -> None:
    path = media(name)
    assert probe(path).single_picture
    assert read_frames(path, [0.0]).pixels.shape == (1, 180, 320, 3)


def test_the_picture_of_a_still_is_its_own(tmp_path: Path) -> None:
    path = make(tmp_path, Recipe(frames=1))
    assert number_in(read_frames(path, [0.0]).pixels[0]) == 0


@pytest.mark.parametrize("turned", [False, True])
def test_a_photo_in_tiles_is_one_picture(tmp_path: Path, turned: bool) -> None:
    """Each tile is a stream of its own to FFmpeg; the picture is all of them, cut to its size and turned."""
    whole = picture(37, 192, 128)
    tiles = [whole[top : top + 64, left : left + 64] for top in (0, 64) for left in (0, 64, 128)]
    turns = [box(b"irot", b"\1"), box(b"imir", b"\1")] if turned else []
    path = tiled_heif(tmp_path, tiles, 3, (180, 120), turns)
    assert list(find_videos([tmp_path])) == []
    expected = whole[:120, :180].astype(int)
    if turned:
        expected = np.rot90(expected)[:, ::-1]
    for method in ("auto", "through", "seek"):
        frames = read_frames(path, [0.0, 0.5], method=method)
        assert frames.pixels.shape == (2, *expected.shape)
        assert np.abs(frames.pixels[0] - expected).mean() < 8
    info = probe(path)
    assert info.single_picture
    assert (info.height_px, info.width_px) == expected.shape[:2]
    data = path.read_bytes()
    for stop in (len(data) - 300, data.index(b"idat") + 6):
        path.write_bytes(data[:stop])
        with pytest.raises(VideoReadError):
            read_frames(path, [0.0])
