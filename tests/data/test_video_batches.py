"""Batches from files: order, what cannot be read, and the cache."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from vidsift.data.folder import Entry, read_folder
from vidsift.data.loading import Look
from vidsift.data.shapes import write_library
from vidsift.data.video_batches import CacheError, FolderBatches, FrameCache, OrderedVideos
from vidsift.methods.reading import VideoReading
from vidsift.types import Frames, Span
from vidsift.video import read_frames

READING = VideoReading(2, "uniform", 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("videos")
    write_library(folder, "train", 8, size_px=32, frames_per_second=4, workers=1)
    return read_folder(folder)


def test_every_video_comes_once_in_order(entries: list[Entry]) -> None:
    maker = OrderedVideos(tuple(entry.path for entry in entries), READING, batch_size=3)
    batches = [maker(step) for step in range(maker.batches)]
    assert [batch.rows.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    wanted = READING.wanted_times(Span(0.0, 4.0))
    expected = read_frames(entries[4].path, wanted, size_px=16)
    assert np.array_equal(batches[1].pixels[1], expected.pixels)
    assert np.array_equal(batches[1].times_seconds[1], expected.times_seconds)
    assert all(batch.pixels.nbytes <= maker.most_bytes for batch in batches)


def test_what_cannot_be_read_has_no_row(entries: list[Entry], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("words", encoding="utf-8")
    batch = OrderedVideos((entries[0].path, broken, entries[1].path), READING)(0)
    assert batch.rows.tolist() == [0, 2]
    assert len(batch.pixels) == 2
    assert batch.mask.all()
    ((path, reason),) = batch.failed
    assert path == str(broken)
    assert reason


def test_an_epoch_sees_every_video_once_with_its_own_captions(entries: list[Entry]) -> None:
    maker = FolderBatches(tuple(entries), 5, (Look(0, 4, 2),), READING)
    epochs = [np.concatenate([maker(step).rows for step in steps]).tolist() for steps in ((0, 1), (2, 3))]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(8))
    assert epochs[0] != epochs[1]
    batch = maker(3)
    for row, caption in zip(batch.rows, batch.captions, strict=True):
        assert caption in entries[row].captions


def test_a_batch_is_a_function_of_seed_and_step(entries: list[Entry]) -> None:
    looks = (Look(0, 4, 2), Look(1, 2, 3))
    one, two, other = (FolderBatches(tuple(entries), seed, looks, READING)(3) for seed in (1, 1, 2))
    assert np.array_equal(one.pixels, two.pixels)
    assert one.captions == two.captions
    assert one.pixels.shape == (2, 3, 16, 16, 3)
    assert (one.rows.tolist(), one.captions) != (other.rows.tolist(), other.captions)


def test_a_split_smaller_than_a_batch_is_refused(entries: list[Entry]) -> None:
    with pytest.raises(ValueError, match=r"a batch takes 9 videos, the split has 8; lower data.batch_size"):
        FolderBatches(tuple(entries), 0, (Look(0, 9, 2),), READING)


def test_the_cache_decodes_each_video_once(
    entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [entry.path for entry in entries]
    maker = FolderBatches(
        tuple(entries), 0, (Look(0, 4, 2),), READING, FrameCache.open(tmp_path / "cache", paths, READING)
    )
    first = [maker(step) for step in range(2)]
    monkeypatch.setattr("vidsift.data.video_batches.probe", lambda _path: pytest.fail("decoded again"))
    travelled = pickle.loads(pickle.dumps(maker))
    again = FrameCache.open(tmp_path / "cache", paths, READING)
    for step in range(2):
        assert np.array_equal(travelled(step).pixels, first[step].pixels)
        for row, pixels, times in zip(
            first[step].rows, first[step].pixels, first[step].times_seconds, strict=True
        ):
            kept = again.read(int(row), Path("not read"))
            assert isinstance(kept, Frames)
            assert np.array_equal(kept.pixels, pixels)
            assert np.array_equal(kept.times_seconds, times)


def test_a_cache_of_something_else_is_refused(entries: list[Entry], tmp_path: Path) -> None:
    paths = [entry.path for entry in entries]
    FrameCache.open(tmp_path / "cache", paths, READING)
    with pytest.raises(CacheError, match="made from other videos"):
        FrameCache.open(tmp_path / "cache", paths[1:], READING)
    larger = VideoReading(2, "uniform", 24, READING.mean, READING.std)
    with pytest.raises(CacheError, match="looks at them otherwise"):
        FrameCache.open(tmp_path / "cache", paths, larger)
