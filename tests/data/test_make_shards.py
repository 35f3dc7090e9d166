"""Caches of decoded pictures: the same batches as from video, made once, gone on with, noticed when stale."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.files.full_disk import full_disk
from tests.video.making import Recipe, make

from vidsift.data import make_shards as making
from vidsift.data.entries import Entry
from vidsift.data.frame_cache import FrameCache, read_entry
from vidsift.data.frame_shards import FrameShards, read_videos, shard_files
from vidsift.data.loading import BatchStage
from vidsift.data.make_shards import MadeShards, make_shards, open_cache
from vidsift.data.picture_codec import PictureFormat
from vidsift.data.stored_videos import StoredVideos
from vidsift.data.video_batches import ShuffledVideos
from vidsift.errors import FrameCacheError, LockHeldError, NotSavedError, VideoReadError
from vidsift.files.locks import hold_lock
from vidsift.video.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(3, "uniform", 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture
def videos(tmp_path: Path, entries: list[Entry]) -> list[Entry]:
    """Copies of five of the videos, a part of a longer one, one of the same name, and one that is broken."""
    folder = tmp_path / "videos"
    (folder / "more").mkdir(parents=True)
    copies = [replace(entry, path=Path(shutil.copy(entry.path, folder))) for entry in entries[:5]]
    long = make(folder, Recipe(fps=8, frames=48))
    parts = [Entry(long, ("x",), start_seconds=start, end_seconds=start + 2) for start in (0.0, 3.0)]
    same_name = Entry(Path(shutil.copy(entries[5].path, folder / "more" / copies[0].path.name)), ("y",))
    (folder / "broken.mp4").write_text("no video", encoding="utf-8")
    return [*copies, *parts, same_name, Entry(folder / "broken.mp4", ("z",))]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode here: starting processes takes seconds, and the command's test starts some."""

    class Pool:
        def __init__(self, work: Callable[..., object], **_options: object) -> None:
            self.work = work

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def run(self, tasks: list[Entry]) -> object:
            for task in tasks:
                for message in self.work(task, on_progress=lambda: None):  # type: ignore[attr-defined]
                    yield task, message
                yield None

    monkeypatch.setattr(making, "ProcessPool", Pool)


def made(tmp_path: Path, videos: list[Entry], pictures: PictureFormat = "uint8") -> MadeShards:
    return make_shards(tmp_path / "cache", videos, PREPROCESSING, pictures=pictures, root=tmp_path / "videos")


@pytest.mark.parametrize("pictures", ["uint8", "jpeg"])
def test_batches_are_the_same_from_cache_and_from_video(
    tmp_path: Path, videos: list[Entry], pictures: PictureFormat
) -> None:
    """To the bit from uint8; from JPEG all but the pixels, which differ by what JPEG loses."""
    result = made(tmp_path, videos, pictures)
    assert (result.made, result.known) == (9, 0)
    assert [name for name, _ in result.unreadable] == [videos[-1].name]
    cache = open_cache(tmp_path / "cache", videos, PREPROCESSING)
    stages = (BatchStage(0, 5, 3),)
    still = ShuffledVideos(tuple(videos), 1, stages, PREPROCESSING, jitter=0.0)
    cached = pickle.loads(pickle.dumps(replace(still, cache=cache)))
    for step in range(4):
        from_video, from_cache = still(step), cached(step)
        assert np.array_equal(from_cache.rows, from_video.rows)
        assert from_cache.captions == from_video.captions
        assert np.array_equal(from_cache.mask, from_video.mask)
        assert np.array_equal(from_cache.times_seconds, from_video.times_seconds)
        assert (from_cache.failed, from_cache.partial) == (from_video.failed, from_video.partial)
        away = np.abs(from_cache.pixels.astype(int) - from_video.pixels)
        assert away.max() == 0 if pictures == "uint8" else 0 < away.mean() < 4


def test_what_was_decoded_is_not_decoded_again(
    tmp_path: Path, videos: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at the fifth video, with shards of two: four stay, the next command makes the others."""
    monkeypatch.setattr(making, "_VIDEOS_A_SHARD", 2)
    counted: list[str] = []
    whole = read_entry

    def read(entry: Entry, *arguments: object) -> object:
        if len(counted) == 4:
            raise KeyboardInterrupt
        counted.append(entry.name)
        return whole(entry, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "read_entry", read)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, videos)
    assert [file.name for file in shard_files(tmp_path / "cache")] == ["00000.shard", "00001.shard"]
    before = [file.stat().st_mtime_ns for file in shard_files(tmp_path / "cache")]
    monkeypatch.setattr(making, "read_entry", whole)
    assert made(tmp_path, videos) == MadeShards(5, 4, made(tmp_path, videos).unreadable)
    assert [file.stat().st_mtime_ns for file in shard_files(tmp_path / "cache")][:2] == before
    assert len(shard_files(tmp_path / "cache")) == 5
    FrameShards.open(tmp_path / "cache", videos, PREPROCESSING)


def test_a_video_that_changed_is_noticed_and_a_copy_is_not(tmp_path: Path, videos: list[Entry]) -> None:
    made(tmp_path, videos)
    # The folder moved, all times new: the same videos.
    moved = Path(shutil.move(tmp_path / "videos", tmp_path / "elsewhere"))
    there = [replace(entry, path=moved / entry.path.relative_to(tmp_path / "videos")) for entry in videos]
    for entry in there:
        os.utime(entry.path, (1e9, 1e9))
    assert make_shards(tmp_path / "cache", there, PREPROCESSING, pictures="uint8").made == 0
    # Of the same size, and another video.
    content = bytearray(there[1].path.read_bytes())
    content[-1] ^= 1
    there[1].path.write_bytes(content)
    with pytest.raises(
        FrameCacheError, match=rf"1 of 9 videos are not in the cache .*{there[1].path.name}\)"
    ):
        FrameShards.open(tmp_path / "cache", there, PREPROCESSING)
    assert make_shards(tmp_path / "cache", there, PREPROCESSING, pictures="uint8", root=moved).made == 1
    # What was broken is repaired.
    shutil.copy(there[2].path, there[-1].path)
    lines: list[str] = []
    cache = open_cache(tmp_path / "cache", there, PREPROCESSING, say=lines.append)
    assert lines == [f"cache {tmp_path / 'cache'}: 1 of 1 videos decoded"]
    assert not isinstance(cache.read(8, there[8]), VideoReadError)
    # A smaller training split reads the same cache.
    assert make_shards(tmp_path / "cache", there[3:], PREPROCESSING, pictures="uint8").known == 6


def test_frozen_towers_find_the_pictures_of_each_row(tmp_path: Path, videos: list[Entry]) -> None:
    made(tmp_path, videos)
    folder = tmp_path / "cache"
    shards = FrameShards.open(folder, videos, PREPROCESSING)
    stored = StoredVideos.whole(shards, videos, folder)
    assert stored is not None
    pixels = stored.pixels(np.asarray([3, 8, 0]))
    for place, row in ((0, 3), (2, 0)):
        frames = shards.read(row, videos[row])
        assert not isinstance(frames, VideoReadError)
        assert np.array_equal(pixels[place], frames.pixels)
    assert not pixels[1].any()  # the broken one, for which no batch has a row
    fewer = FrameShards.open(folder, videos[1:], PREPROCESSING)
    other = StoredVideos.whole(fewer, videos[1:], folder)
    assert other is not None
    assert other.folder != stored.folder
    # Without pictures, batches are the same.
    maker = ShuffledVideos(tuple(videos), 1, (BatchStage(0, 5, 3),), PREPROCESSING, shards)
    with_pixels, without = maker(0), replace(maker, stages=(BatchStage(0, 5, 3, with_pixels=False),))(0)
    assert without.pixels.shape == (*with_pixels.mask.shape, 1, 1, 3)
    assert np.array_equal(without.mask, with_pixels.mask)
    assert np.array_equal(without.times_seconds, with_pixels.times_seconds)
    assert (without.captions, without.failed) == (with_pixels.captions, with_pixels.failed)


def test_videos_of_fewer_pictures_are_not_looked_up(tmp_path: Path, videos: list[Entry]) -> None:
    """By the second a short video has fewer pictures, and padding is in no memory."""
    looks = replace(PREPROCESSING, sampling="one_fps_linspace")
    make_shards(tmp_path / "cache", videos, looks, pictures="uint8")
    shards = FrameShards.open(tmp_path / "cache", videos, looks)
    assert StoredVideos.whole(shards, videos, tmp_path / "cache") is None


def test_other_pictures_and_other_files_are_refused(tmp_path: Path, videos: list[Entry]) -> None:
    made(tmp_path, videos[:2], "jpeg")
    with pytest.raises(FrameCacheError, match="holds 3 frames of 32 px, sampling uniform, as jpeg; wanted"):
        made(tmp_path, videos[:2], "uint8")
    with pytest.raises(FrameCacheError, match=r"wanted are 4 frames of 32 px, sampling uniform"):
        open_cache(tmp_path / "cache", videos[:2], replace(PREPROCESSING, frames=4))
    with pytest.raises(FrameCacheError, match=r"videos holds other files \(.*\); name an empty folder"):
        make_shards(tmp_path / "videos", videos, PREPROCESSING, pictures="jpeg")
    with hold_lock(tmp_path / "cache" / ".lock"), pytest.raises(LockHeldError):
        made(tmp_path, videos[:2], "jpeg")
    # As a run opens it: in the format that is there.
    assert isinstance(open_cache(tmp_path / "cache", videos[:3], PREPROCESSING), FrameShards)


def test_a_full_disk_is_one_line_and_keeps_what_is_finished(tmp_path: Path, videos: list[Entry]) -> None:
    made(tmp_path, videos[:1])
    with pytest.raises(NotSavedError, match=r"decoded pictures could not be written to"), full_disk(2000):
        made(tmp_path, videos)
    assert [file.name for file in (tmp_path / "cache").glob("*.shard")] == ["00000.shard"]
    assert made(tmp_path, videos).known == 1


def test_a_damaged_shard_is_named(tmp_path: Path, videos: list[Entry]) -> None:
    made(tmp_path, videos[:1])
    (shard,) = shard_files(tmp_path / "cache")
    shard.write_bytes(shard.read_bytes()[:-3])
    with pytest.raises(FrameCacheError, match=r"00000\.shard is damaged .*; delete it and run the same"):
        read_videos(shard)


def test_damaged_pictures_are_named_with_their_shard(tmp_path: Path, videos: list[Entry]) -> None:
    made(tmp_path, videos[:2], "jpeg")
    cache = open_cache(tmp_path / "cache", videos[:2], PREPROCESSING)
    (shard,) = shard_files(tmp_path / "cache")
    good = read_videos(shard)[1]
    content = bytearray(shard.read_bytes())
    content[good.at : good.at + good.lengths[0]] = b"\7" * good.lengths[0]
    shard.write_bytes(content)
    assert not isinstance(cache.read(0, videos[0]), VideoReadError)
    with pytest.raises(
        FrameCacheError, match=rf"00000\.shard is damaged \(the pictures of {good.name}: .*delete"
    ):
        cache.read(1, videos[1])


def test_caches_of_earlier_versions_are_read(tmp_path: Path, videos: list[Entry]) -> None:
    from tests.data.test_frame_cache import lay_out

    lay_out(tmp_path / "old", videos[:2], PREPROCESSING)
    assert isinstance(open_cache(tmp_path / "old", videos[:2], PREPROCESSING), FrameCache)
