from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.inline import InlineSandbox
from tests.video.making import Recipe, make, number_in

from vidsift.errors import ClipTooLargeError, VideoChangedError, VideoReadError
from vidsift.types import Span
from vidsift.video import probe, read_frames
from vidsift.video.clip_files import as_it_is, clip_name, padded, write_clip
from vidsift.video.indexed_file import IndexedFile
from vidsift.workers.sandbox import Sandbox


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 30 a second with a key frame every second."""
    return make(tmp_path_factory.mktemp("films"), Recipe(), "two\nlines")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with InlineSandbox() as opened:
        yield opened


def numbers(path: Path) -> list[int]:
    times = [(place + 0.5) / 30 for place in range(round(probe(path).duration_seconds * 30))]
    return [number_in(pixels) for pixels in read_frames(path, times).pixels]


def test_an_exact_clip_holds_these_pictures_and_no_others(
    film: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    saved = write_clip(sandbox, as_it_is(film), Span(0.5, 1.2), tmp_path / "new" / "clips")
    assert saved.path == tmp_path / "new" / "clips" / "two_lines 0.5s-1.2s.mp4"
    assert not saved.clip.copied
    assert saved.clip.span == pytest.approx((0.5, 1.2))
    assert numbers(saved.path) == list(range(15, 36))


def test_a_copy_says_how_far_it_overruns(film: Path, tmp_path: Path, sandbox: Sandbox) -> None:
    saved = write_clip(sandbox, as_it_is(film), Span(0.5, 1.2), tmp_path, exact=False)
    assert saved.clip.copied
    assert saved.clip.span.start_seconds == 0.0  # the key frame
    assert 1.2 <= saved.clip.span.end_seconds <= 1.2 + 2 / 30 + 1e-6  # what B-frames need
    assert saved.span == (0.5, 1.2)


def test_a_second_clip_of_the_same_seconds_stands_beside_the_first(
    film: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    names = [write_clip(sandbox, as_it_is(film), Span(0.0, 0.2), tmp_path).path.name for _ in range(2)]
    assert names == ["two_lines 0.0s-0.2s.mp4", "two_lines 0.0s-0.2s (2).mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_padding_stays_within_the_video(film: Path, tmp_path: Path, sandbox: Sandbox) -> None:
    assert padded(Span(1.0, 2.0), 0.5, 10.0) == (0.5, 2.5)
    saved = write_clip(sandbox, as_it_is(film), Span(0.3, 1.5), tmp_path, pad_seconds=1.0)
    assert saved.span == (0.0, 2.0)
    assert numbers(saved.path) == list(range(60))


def test_what_is_on_the_screen_at_the_start_and_at_the_end_is_in_the_clip(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """Of slides that stay for two seconds each, 1 to 3.5 s: one from its middle, another to its middle."""
    slides = make(tmp_path, Recipe(frames=4, fps=25, pts=[0, 2000, 4000, 6000], b_frames=0), "slides")
    saved = write_clip(sandbox, as_it_is(slides), Span(1.0, 3.5), tmp_path)
    assert probe(saved.path).duration_seconds == pytest.approx(2.5, abs=0.05)
    assert [number_in(pixels) for pixels in read_frames(saved.path, [0.1, 0.9, 1.1, 2.4]).pixels] == [
        0,
        0,
        1,
        1,
    ]
    between = write_clip(sandbox, as_it_is(slides), Span(2.5, 3.5), tmp_path)
    assert [number_in(pixels) for pixels in read_frames(between.path, [0.1, 0.9]).pixels] == [1, 1]


def test_what_cannot_be_cut_leaves_nothing(film: Path, tmp_path: Path, sandbox: Sandbox) -> None:
    known = as_it_is(film)
    with pytest.raises(VideoReadError, match=r"is 2\.0 s long, so nothing can be cut from 7 s on"):
        write_clip(sandbox, known, Span(7.0, 9.0), tmp_path)
    with pytest.raises(VideoChangedError):
        write_clip(sandbox, known._replace(size_bytes=1), Span(0.0, 1.0), tmp_path)
    with pytest.raises(ClipTooLargeError):
        write_clip(sandbox, known, Span(0.0, 1.0), tmp_path, most_bytes=100)
    with pytest.raises(VideoReadError, match="cannot be read"):
        as_it_is(tmp_path / "none.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_is_kept_whole(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(film.parent)
    status = film.stat()
    assert as_it_is(film.name) == IndexedFile(str(film), status.st_size, status.st_mtime_ns)


def test_names_tell_short_and_late_stretches_apart() -> None:
    assert clip_name("a.mp4", Span(3.96, 4.04)) == "a 3.96s-4.04s.mp4"
    assert clip_name("a.b.MOV", Span(59.96, 60.5)) == "a.b 1m00.0s-1m00.5s.mp4"
    assert clip_name("a.mp4", Span(3599.99, 3601.0)) == "a 1h00m00.0s-1h00m01.0s.mp4"
