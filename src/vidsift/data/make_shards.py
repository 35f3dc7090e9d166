"""Making a cache of decoded pictures: several processes decode, one writes shards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from vidsift.data.entries import Entry
from vidsift.data.frame_cache import OLD_ABOUT_FILE, FrameCache, read_entry
from vidsift.data.frame_shards import (
    ABOUT_FILE,
    CachedFrames,
    CachedVideo,
    FrameShards,
    KnownVideos,
    ShardsAbout,
    content_digest,
    read_about,
    shard_end,
    shard_files,
)
from vidsift.data.picture_codec import PictureFormat, encode_pictures
from vidsift.errors import FrameCacheError, LockHeldError, VideoReadError
from vidsift.files.disk_errors import saving
from vidsift.files.locks import hold_lock
from vidsift.files.whole import remove_leftovers, whole_file, write_text_whole
from vidsift.video.preprocessing import Preprocessing
from vidsift.workers.pool import ProcessPool

__all__ = ["MadeShards", "make_shards", "open_cache"]

_VIDEOS_A_SHARD = 128
_LOCK_FILE = ".lock"
_SAID_EVERY = 100
_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class MadeShards:
    """What :func:`make_shards` did.

    Attributes:
        made: videos that were decoded now.
        known: videos that the cache had already.
        unreadable: name and reason of those that cannot be read, earlier ones included.
    """

    made: int
    known: int
    unreadable: list[tuple[str, str]]


@dataclass(frozen=True)
class _Decode:
    """What a process does: decodes an entry and makes bytes of its pictures."""

    preprocessing: Preprocessing
    pictures: PictureFormat
    root: Path | None

    def __call__(
        self, entry: Entry, /, *, on_progress: Callable[[], None]
    ) -> Iterator[tuple[CachedVideo, list[bytes]]]:
        del on_progress
        # Before it is read: a file that is changed meanwhile does not fit what is noted of it.
        facts = _facts(entry, self.root)
        read = read_entry(entry, self.preprocessing.wanted_times, self.preprocessing.size_px)
        if isinstance(read, VideoReadError):
            yield facts(error=read.reason), []
            return
        parts = encode_pictures(read.pixels, self.pictures)
        lengths = tuple(map(len, parts))
        times = tuple(read.times_seconds.tolist())
        yield facts(times_seconds=times, lengths=lengths, damage=read.damage), parts


def make_shards(
    folder: Path,
    entries: Sequence[Entry],
    preprocessing: Preprocessing,
    *,
    pictures: PictureFormat,
    root: Path | None = None,
    workers: int = 1,
    on_video: Callable[[int, int], None] = lambda _done, _all: None,
) -> MadeShards:
    """Decode the videos that a cache does not have, or has of another content, into new shards.

    Stopped or killed, it loses the videos of the shard that it was at, fewer than 128; run again, it goes on.

    Args:
        folder: of the cache; made where absent.
        entries: videos, or parts of them.
        preprocessing: which seconds, how many, how large.
        pictures: "jpeg", or "uint8" for every bit.
        root: folder of the videos, below which their names are noted.
        workers: processes that decode.
        on_video: called with how many of the videos to decode are done, and how many there are.

    Raises:
        FrameCacheError: the folder holds other pictures, or other files.
        LockHeldError: another process fills it.
        NotSavedError: the disk takes no more; finished shards stay.
    """
    wanted = ShardsAbout.of(preprocessing, pictures)
    with saving("the cache of decoded pictures", folder), ExitStack() as held:
        folder.mkdir(parents=True, exist_ok=True)
        held.enter_context(hold_lock(folder / _LOCK_FILE))
        remove_leftovers(folder, ["*.shard", ABOUT_FILE])
        about = read_about(folder)
        if about is None:
            others = [path.name for path in folder.iterdir() if path.name != _LOCK_FILE]
            if others:
                raise FrameCacheError(
                    f"{folder} holds other files ({others[0]}); name an empty folder for the cache"
                )
            write_text_whole(folder / ABOUT_FILE, wanted.to_json())
        elif about != wanted:
            raise FrameCacheError(
                f"the cache {folder} holds {about}; wanted are {wanted}: name another folder, or delete it"
            )
        known = KnownVideos(folder)
        cached = [known.find(entry) for entry in entries]
        waiting = [entry for entry, video in zip(entries, cached, strict=True) if video is None]
        unreadable = [
            (entry.name, video[1].error)
            for entry, video in zip(entries, cached, strict=True)
            if video is not None and video[1].error is not None
        ]
        if waiting:
            work = _Decode(preprocessing, pictures, root)
            unreadable += _write_shards(folder, waiting, work, workers, on_video)
    return MadeShards(len(waiting), len(entries) - len(waiting), unreadable)


def _write_shards(
    folder: Path,
    waiting: Sequence[Entry],
    work: _Decode,
    workers: int,
    on_video: Callable[[int, int], None],
) -> list[tuple[str, str]]:
    """Decode videos and write them, shard by shard; return which cannot be read."""
    unreadable: list[tuple[str, str]] = []
    files = shard_files(folder)
    number = int(files[-1].stem) + 1 if files else 0
    pool = ProcessPool(
        work,
        messages=tuple[CachedVideo, list[bytes]],
        is_last=lambda _message: True,
        failure=lambda entry, reason: (_facts(entry, work.root)(error=reason), []),
        subject="the decoder",
        workers=min(workers, len(waiting)),
    )
    done = 0
    with pool:
        answers = (item for item in pool.run(waiting) if item is not None)
        while done < len(waiting):
            with whole_file(folder / f"{number:05}.shard") as temporary, temporary.open("wb") as file:
                videos: list[CachedVideo] = []
                while done < len(waiting) and len(videos) < _VIDEOS_A_SHARD:
                    entry, (video, parts) = next(answers)
                    videos.append(_appended(file, video, parts))
                    if video.error is not None:
                        unreadable.append((entry.name, video.error))
                    done += 1
                    on_video(done, len(waiting))
                file.write(shard_end(videos))
            number += 1
    return unreadable


def open_cache(
    folder: Path,
    entries: Sequence[Entry],
    preprocessing: Preprocessing,
    *,
    workers: int = 1,
    say: Callable[[str], None] = lambda _line: None,
) -> CachedFrames:
    """Open a cache with the pictures of some videos; what it lacks is decoded first.

    Args:
        folder: of the cache; a new one is made with every bit (uint8), one that is there as it is. Those of
            earlier versions are read as well.
        entries: the videos, a row each.
        preprocessing: how they are to be looked at.
        workers: processes that decode.
        say: takes a line now and then, where there is something to decode.

    Raises:
        FrameCacheError: the folder holds other pictures, or other files.
        NotSavedError: the disk takes no more; what is finished stays.
    """
    if (folder / OLD_ABOUT_FILE).is_file():
        return FrameCache.open(folder, entries, preprocessing)
    about = read_about(folder)
    pictures: PictureFormat = "uint8" if about is None else about.pictures

    def on_video(done: int, of: int) -> None:
        if done == 1 or done % _SAID_EVERY == 0 or done == of:
            say(f"cache {folder}: {done} of {of} videos decoded")

    while True:
        try:
            make_shards(folder, entries, preprocessing, pictures=pictures, workers=workers, on_video=on_video)
            return FrameShards.open(folder, entries, preprocessing)
        except LockHeldError:
            # Of a run in several processes one decodes, and the others find all of it there.
            time.sleep(_WAIT_SECONDS)


def _facts(entry: Entry, root: Path | None) -> Callable[..., CachedVideo]:
    """Return what makes the note of a video from what was read of it."""
    try:
        about = entry.path.stat()
        size, modified_ns = about.st_size, about.st_mtime_ns
    except OSError:
        size, modified_ns = 0, 0  # no file is like that one: it is looked for again next time
    inside = root is not None and entry.path.is_relative_to(root)
    name = entry.path.relative_to(root).as_posix() if root is not None and inside else entry.path.name
    # JSON knows no infinity.
    end = None if math.isinf(entry.end_seconds) else entry.end_seconds
    return partial(CachedVideo, name, entry.start_seconds, end, size, modified_ns, content_digest(entry.path))


def _appended(file: BinaryIO, video: CachedVideo, parts: Sequence[bytes]) -> CachedVideo:
    """Write the pictures of a video, and note where they stand."""
    at = file.tell()
    for part in parts:
        file.write(part)
    return replace(video, at=at)
