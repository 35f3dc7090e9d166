"""Pictures of entries: parts of files, what cannot be read, and the cache of what was decoded."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.files.full_disk import full_disk
from tests.video.making import Recipe, make

from vidsift.data.entries import Entry
from vidsift.data.frame_cache import FrameCache, _digest, read_entry
from vidsift.data.loading import BatchStage
from vidsift.data.video_batches import ShuffledVideos
from vidsift.errors import FrameCacheError, NotSavedError, VideoReadError
from vidsift.types import Frames
from vidsift.video.preprocessing import Preprocessing


def lay_out(folder: Path, entries: Sequence[Entry], preprocessing: Preprocessing) -> FrameCache:
    """Lay out an empty cache as version 0.1 did, and open it."""
    side, frames, count = preprocessing.size_px, preprocessing.frames, len(entries)
    files = {"pixels.u8": frames * side * side * 3, "times.f64": frames * 8, "counts.i32": 4}
    folder.mkdir()
    for name, size in files.items():
        (folder / name).write_bytes(bytes(count * size))
    about = {"format": 1, "reading": preprocessing.to_dict(), "videos": count, "files": _digest(entries)}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    return FrameCache.open(folder, entries, preprocessing)


PREPROCESSING = Preprocessing(2, "uniform", 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_a_part_of_a_file_is_looked_at_as_if_it_were_alone(tmp_path: Path) -> None:
    file = make(tmp_path, Recipe(fps=8, frames=64))  # 8 seconds
    for start, end, seconds in ((2.0, 6.0, [3.0, 5.0]), (6.0, 99.0, [6.5, 7.5]), (0.0, 4.0, [1.0, 3.0])):
        frames = read_entry(
            Entry(file, ("x",), start_seconds=start, end_seconds=end), PREPROCESSING.wanted_times, 16
        )
        assert isinstance(frames, Frames)
        assert frames.times_seconds.tolist() == pytest.approx(seconds, abs=0.07)
    error = read_entry(Entry(file, ("x",), start_seconds=8.5), PREPROCESSING.wanted_times, 16)
    assert isinstance(error, VideoReadError)
    assert "8.5 s, where the part begins, is not before its end at 8.00 s" in error.reason


def test_parts_have_a_cache_of_their_own(tmp_path: Path) -> None:
    file = make(tmp_path, Recipe(fps=8, frames=64))
    parts = [Entry(file, ("x",), start_seconds=start, end_seconds=start + 2) for start in (0.0, 4.0)]
    cache = lay_out(tmp_path / "cache", parts, PREPROCESSING)
    first, second = (cache.read(row, entry) for row, entry in enumerate(parts))
    again = FrameCache.open(tmp_path / "cache", parts, PREPROCESSING).read(1, parts[1])
    assert isinstance(first, Frames)
    assert isinstance(second, Frames)
    assert isinstance(again, Frames)
    assert not np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(again.pixels, second.pixels)
    with pytest.raises(FrameCacheError, match="made from other videos"):
        FrameCache.open(tmp_path / "cache", [parts[0], Entry(file, ("x",), start_seconds=5.0)], PREPROCESSING)


def test_the_cache_decodes_each_video_once(
    entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = ShuffledVideos(
        tuple(entries),
        0,
        (BatchStage(0, 4, 2),),
        PREPROCESSING,
        lay_out(tmp_path / "cache", entries, PREPROCESSING),
    )
    first = [maker(step) for step in range(2)]
    monkeypatch.setattr("vidsift.data.frame_cache.probe", lambda _path: pytest.fail("decoded again"))
    travelled = pickle.loads(pickle.dumps(maker))
    again = FrameCache.open(tmp_path / "cache", entries, PREPROCESSING)
    for step in range(2):
        assert np.array_equal(travelled(step).pixels, first[step].pixels)
        for row, pixels, times in zip(
            first[step].rows, first[step].pixels, first[step].times_seconds, strict=True
        ):
            frames = again.read(int(row), entries[int(row)])
            assert isinstance(frames, Frames)
            assert np.array_equal(frames.pixels, pixels)
            assert np.array_equal(frames.times_seconds, times)


def test_a_cache_on_a_full_disk_is_one_line(entries: list[Entry], tmp_path: Path) -> None:
    cache = lay_out(tmp_path / "cache", entries, PREPROCESSING)
    with pytest.raises(NotSavedError, match=rf"pictures could not be written to {tmp_path}"), full_disk():
        cache.read(3, entries[3])
    again = FrameCache.open(tmp_path / "cache", entries, PREPROCESSING)
    read = again.read(3, entries[3])
    assert isinstance(read, Frames)
    assert read.pixels.any()


def test_a_cache_of_something_else_is_refused(entries: list[Entry], tmp_path: Path) -> None:
    lay_out(tmp_path / "cache", entries, PREPROCESSING)
    with pytest.raises(FrameCacheError, match="made from other videos"):
        FrameCache.open(tmp_path / "cache", entries[1:], PREPROCESSING)
    larger = Preprocessing(2, "uniform", 24, PREPROCESSING.mean, PREPROCESSING.std)
    with pytest.raises(FrameCacheError, match="looks at them otherwise"):
        FrameCache.open(tmp_path / "cache", entries, larger)
