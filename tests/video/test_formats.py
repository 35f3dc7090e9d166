"""Every format that is said to be found is found in a folder and read, under its name and under another."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.video.making import Recipe, all_numbers, make, picture

from vidsift.video import find_videos, probe, read_frames
from vidsift.video.find import VIDEO_EXTENSIONS
from vidsift.video.signatures import at_a_glance, container_head

RAW = Recipe(frames=30, gop=10)
PICTURES = replace(RAW, codec="apng", pix_fmt="rgb24", b_frames=0, format="apng", frames=10)
BROADCAST = replace(RAW, fps=25, width_px=720, height_px=576, frames=10, b_frames=0)
FORMATS = {
    ".h264": replace(RAW, format="h264"),
    ".264": replace(RAW, format="h264"),
    ".avc": replace(RAW, format="h264"),
    ".h265": replace(RAW, codec="libx265", format="hevc", options={"x265-params": "log-level=none"}),
    ".265": replace(RAW, codec="libx265", format="hevc", options={"x265-params": "log-level=none"}),
    ".hevc": replace(RAW, codec="libx265", format="hevc", options={"x265-params": "log-level=none"}),
    ".m1v": replace(RAW, codec="mpeg1video"),
    ".mjpeg": replace(RAW, codec="mjpeg", pix_fmt="yuvj420p", b_frames=0),
    ".dv": replace(BROADCAST, codec="dvvideo"),
    ".gxf": replace(BROADCAST, codec="mpeg2video"),
    ".wtv": replace(RAW, codec="mpeg2video"),
    ".ivf": replace(RAW, codec="libvpx-vp9", b_frames=0),
    ".y4m": replace(RAW, codec="wrapped_avframe", b_frames=0),
    ".apng": PICTURES,
    ".png": PICTURES,
    ".gif": replace(RAW, codec="gif", pix_fmt="rgb8", b_frames=0, fps=25),
}
_NAMED_ONLY = {".mjpeg"}
"""What begins like a photo is found by its name alone."""


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_format_is_found_and_read(tmp_path: Path, suffix: str) -> None:
    recipe = replace(FORMATS[suffix], suffix=suffix)
    path = make(tmp_path, recipe)
    assert [file.path for file in find_videos([tmp_path])] == [path]
    fps = 25 if suffix == ".mjpeg" else recipe.fps
    info = probe(path)
    assert info.duration_seconds == pytest.approx(recipe.frames / fps, abs=0.07)
    assert not info.single_picture
    # GXF counts the first picture from its second field on.
    late = 1 if suffix == ".gxf" else 0
    wanted = np.asarray([1, 4, 7])
    frames = read_frames(path, (wanted + late + 0.5) / fps)
    assert frames.damage is None
    assert all_numbers(frames.pixels) == wanted.tolist()
    unnamed = path.rename(tmp_path / "unnamed")
    assert [file.path for file in find_videos([tmp_path])] == ([] if suffix in _NAMED_ONLY else [unnamed])


def test_what_recorders_begin_their_streams_with() -> None:
    for head in ("0000000109f0", "000001276400", "0000000147420000", "000001460150", "000001420101"):
        assert container_head(bytes.fromhex(head) + bytes(400))
    for text in (b"plain text of no kind", b"\0" * 400, b"\x00\x00\x01\x09\x99", b"GIF90a", b"DKIFX"):
        assert not container_head(text.ljust(400, b"\0"))


@pytest.mark.parametrize("cut", [0, 1, 100, 187])
@pytest.mark.parametrize("packet", [188, 192, 204])
def test_broadcasts_are_found_wherever_their_file_begins(tmp_path: Path, packet: int, cut: int) -> None:
    whole = make(tmp_path, Recipe(".ts", frames=20)).read_bytes()
    before, behind = bytes(4 * (packet == 192)), bytes(16 * (packet == 204))
    parts = [before + whole[at : at + 188] + behind for at in range(0, len(whole), 188)]
    folder = tmp_path / "found"
    folder.mkdir()
    for name in ("film.ts", "film.part2"):
        (folder / name).write_bytes(b"".join(parts)[cut:])
    (folder / "code.ts").write_text("const GRID = 'G';\n" * 100)
    assert [file.path.name for file in find_videos([folder])] == ["film.part2", "film.ts"]


def test_one_picture_in_an_animations_format_is_a_photo(tmp_path: Path) -> None:
    Image.fromarray(picture(1)).save(tmp_path / "still.png")
    # An animation of one picture, whose description stands before a long colour profile.
    data = (tmp_path / "still.png").read_bytes()
    control = struct.pack(">I4sII", 8, b"acTL", 1, 0) + bytes(4)
    (tmp_path / "one.png").write_bytes(data[:33] + control + data[33:])
    profile = struct.pack(">I4s", 5000, b"iCCP") + bytes(5004)
    many = struct.pack(">I4sII", 8, b"acTL", 12, 0) + bytes(4)
    (tmp_path / "many.png").write_bytes(data[:33] + profile + many + data[33:])
    assert at_a_glance(tmp_path / "still.png") is None
    assert at_a_glance(tmp_path / "one.png") is None
    assert at_a_glance(tmp_path / "many.png") == "container"


def test_what_is_left_out_by_decision_is_told(tmp_path: Path) -> None:
    pictures = [Image.fromarray(picture(number)) for number in range(3)]
    pictures[0].save(tmp_path / "moving.webp", save_all=True, append_images=pictures[1:])
    pictures[0].save(tmp_path / "still.webp")
    over: list[tuple[str, str]] = []
    files = list(find_videos([tmp_path], on_passed_over=lambda path, what: over.append((path.name, what))))
    assert (files, over) == ([], [("moving.webp", "animated WebP file")])


def test_a_sequence_of_pictures_is_a_video_and_one_is_none(tmp_path: Path) -> None:
    """AVIF and HEIF say by their brands which they are."""

    def head(*brands: bytes) -> bytes:
        content = brands[0] + bytes(4) + b"".join(brands[1:])
        return struct.pack(">I", len(content) + 8) + b"ftyp" + content + bytes(100)

    path = tmp_path / "a"
    for brands, glance in {
        (b"avif", b"mif1", b"miaf"): "single picture",
        (b"heix", b"mif1", b"heix"): "single picture",
        (b"mif1", b"mif1", b"heic"): "single picture",
        (b"avis", b"avif", b"msf1"): "container",
        (b"avif", b"mif1", b"avis"): "container",
        (b"msf1", b"hevc"): "container",
        (b"heic", b"mif1", b"hevc"): "container",
        (b"isom", b"avc1"): "container",
    }.items():
        path.write_bytes(head(*brands))
        assert at_a_glance(path) == glance


def test_the_documented_names_are_those_that_are_found() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    table = text.partition("## Found by name")[2].partition("## Found by content")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert set(re.findall(r"`(\.\w+)`", " ".join(rows))) == VIDEO_EXTENSIONS
