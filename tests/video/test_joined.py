"""Files put one behind another: all is read that FFmpeg reads, and what it does not read is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.video.making import Recipe, make, number_in
from tests.video.photographing import write_gif

from vidsift.video import probe, read_frames
from vidsift.video.clips import cut_clip
from vidsift.video.completeness import unread_end
from vidsift.video.file_parts import starts_of_parts
from vidsift.video.indexed_file import IndexedFile

KINDS = {
    ".mp4": Recipe(),
    ".mkv": Recipe(suffix=".mkv"),
    ".avi": Recipe(suffix=".avi", codec="mpeg4", b_frames=0),
    ".wmv": Recipe(suffix=".wmv", codec="wmv2", b_frames=0, format="asf"),
    ".flv": Recipe(suffix=".flv"),
    ".nut": Recipe(suffix=".nut", codec="mpeg4", b_frames=0),
    ".ivf": Recipe(suffix=".ivf", codec="libvpx", b_frames=0),
    "fragments.mp4": Recipe(container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
}


def joined(folder: Path, kind: str, number: int, **changes: object) -> Path:
    part = make(folder, replace(KINDS[kind], frames=40, fps=10, gop=5, **changes))  # type: ignore[arg-type]
    path = folder / f"joined{part.suffix}"
    path.write_bytes(part.read_bytes() * number)
    return path


@pytest.mark.parametrize(
    ("kind", "number", "read"),
    [
        *((".mkv", 1, 1), (".mkv", 2, 2), (".mkv", 3, 2), (".mp4", 1, 1), (".mp4", 2, 1)),
        *((".wmv", 1, 1), (".wmv", 2, 1), (".avi", 1, 1), (".avi", 3, 3)),
    ],
)
def test_lengths_tell_where_parts_begin_and_what_is_not_read_is_told(
    kind: str, number: int, read: int, tmp_path: Path
) -> None:
    path = joined(tmp_path, kind, number)
    part = path.stat().st_size // number
    assert starts_of_parts(path) == [part * place for place in range(number)]
    assert probe(path).duration_seconds == pytest.approx(4.0 * read, abs=0.15)
    said = unread_end(path)
    if read == number:
        assert said is None
    else:
        assert said is not None
        assert said.startswith(f"the last {100 * (number - read) / number:.0f} % of the file cannot be read")


@pytest.mark.parametrize("method", ["through", "seek"])
def test_every_part_of_a_joined_avi_is_read(method: str, tmp_path: Path) -> None:
    path = joined(tmp_path, ".avi", 2)
    frames = read_frames(path, np.arange(80) / 10 + 0.05, method=method)  # type: ignore[arg-type]
    assert [number_in(pixels) for pixels in frames.pixels] == [*range(40), *range(40)]
    assert frames.damage is None


def test_a_clip_of_a_later_part_shows_what_the_index_saw(tmp_path: Path) -> None:
    path = joined(tmp_path, ".nut", 2, width_px=320, height_px=240)
    assert probe(path).duration_seconds == pytest.approx(8.0, abs=0.25)
    status = path.stat()
    source = IndexedFile(str(path), status.st_size, status.st_mtime_ns)
    target = tmp_path / "clip.mp4"
    cut_clip(source, 5.0, 5.5, str(target), 1 << 24)
    seen = read_frames(path, [5.25]).pixels[0]
    assert number_in(read_frames(target, [0.25]).pixels[0]) == number_in(seen)
    assert 9 <= number_in(seen) <= 13


@pytest.mark.parametrize("kind", [".flv", ".ivf"])
def test_where_no_length_is_stated_the_last_packet_tells(kind: str, tmp_path: Path) -> None:
    options = {"crf": "0"} if kind == ".flv" else {"crf": "4", "b": "20M", "qmax": "4"}
    path = joined(tmp_path, kind, 2, width_px=640, height_px=480, options=options)
    assert path.stat().st_size > 3 << 16
    assert unread_end(tmp_path / f"made{kind}") is None
    said = unread_end(path)
    assert said is not None
    assert said.startswith("the last 50 % of the file cannot be read")


def test_fragments_that_begin_anew_are_told_and_those_that_go_on_are_not(tmp_path: Path) -> None:
    said = unread_end(joined(tmp_path, "fragments.mp4", 2))
    assert said is not None
    assert said.startswith("the last 50 % of the file cannot be read")
    data = (tmp_path / "made.mp4").read_bytes()
    first, second = data.index(b"moof") - 4, data.index(b"moof", len(data) // 2) - 4
    path = tmp_path / "stream.mp4"
    path.write_bytes(data[:second] + data[:first] + data[second:])
    assert len(starts_of_parts(path)) > 1
    assert probe(path).duration_seconds == pytest.approx(4.0, abs=0.15)
    assert unread_end(path) is None


def test_nothing_is_said_of_padding_and_what_programs_append(tmp_path: Path) -> None:
    for kind in (".mp4", ".mkv", ".avi", ".wmv", ".flv"):
        path = make(tmp_path, replace(KINDS[kind], frames=5), "plain")
        end = {".mp4": b"\0\0\x80\0free", ".avi": b"JUNK\0\x80\0\0"}.get(kind, b"")
        path.write_bytes(path.read_bytes() + end + bytes(1 << 15))
        assert unread_end(path) is None, kind


def test_a_gif_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = write_gif(tmp_path / "whole.gif", 10)
    assert unread_end(path) is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert unread_end(path) == "the file ends before its animation does; it may be cut off"
