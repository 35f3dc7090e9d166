"""Whether the videos of a data set are there and can be read: each is opened, in limited processes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from vidsift.data.entries import Entry, why_absent
from vidsift.errors import VideoReadError
from vidsift.types import Span
from vidsift.video import probe, read_frames
from vidsift.video.sampling import uniform
from vidsift.workers.pool import ProcessPool

__all__ = ["Fault", "FaultKind", "OpenedVideo", "check_videos", "look_at"]

FaultKind: TypeAlias = Literal["missing", "unreadable", "damaged", "too short", "duplicate"]

_PICTURES = 12
_SIDE_PX = 32
_SLACK_SECONDS = 1.0
_BLOCK_BYTES = 1 << 20


class Fault(NamedTuple):
    """Something that is wrong with a video.

    Attributes:
        kind: what.
        splits: the splits that it is in.
        video: its file, with the seconds of a part.
        reason: in a few words.
    """

    kind: FaultKind
    splits: tuple[str, ...]
    video: str
    reason: str


@dataclass(frozen=True)
class OpenedVideo:
    """What opening a file gave.

    Attributes:
        path: the file.
        duration_seconds: its length, 0.0 where it cannot be read.
        unreadable: why it gives no picture, or "".
        damage: why it gives fewer pictures than it should, or "".
        digest: of its bytes, where that was wanted.
    """

    path: str
    duration_seconds: float = 0.0
    unreadable: str = ""
    damage: str = ""
    digest: str = ""


class _Look(NamedTuple):
    """A file to be opened."""

    path: str
    hashed: bool


def check_videos(
    entries: Mapping[str, Sequence[Entry]],
    *,
    workers: int = 2,
    on_progress: Callable[[int, int], object] = lambda _done, _of: None,
) -> list[Fault]:
    """Open every file of some splits, and tell what is wrong.

    A dozen pictures over its length are decoded of each, as training does. Files of the same size are hashed:
    the same content in two splits, under two names, is a fault; the same file in two splits is what the
    annotations say of them (:attr:`~vidsift.data.summary.DataSummary.overlaps`).

    Args:
        entries: by split.
        workers: processes that open files; one that crashes or hangs fails alone.
        on_progress: told how many files of how many are done.

    Returns:
        The faults in the order of the splits and their entries, duplicates last.

    Raises:
        OSError: no process can be started.
    """
    splits_of: dict[Path, dict[str, None]] = {}
    for split, held in entries.items():
        for entry in held:
            splits_of.setdefault(entry.path, {})[split] = None
    absent = {path: reason for path in splits_of if (reason := why_absent(path))}
    facts = _open_all([path for path in splits_of if path not in absent], workers, on_progress)
    faults: dict[Fault, None] = {}
    for held in entries.values():
        for entry in held:
            splits = tuple(splits_of[entry.path])
            if entry.path in absent:
                faults[Fault("missing", splits, str(entry.path), absent[entry.path])] = None
                continue
            for kind, name, reason in _faults_of(entry, facts[entry.path]):
                faults[Fault(kind, splits, name, reason)] = None
    return [*faults, *_duplicates(facts, splits_of)]


def look_at(path: str, *, hashed: bool = False) -> OpenedVideo:
    """Open a file as training does; what is wrong is returned and not raised.

    Args:
        path: the file.
        hashed: whether its bytes are to be hashed.
    """
    digest = ""
    try:
        digest = _digest(path) if hashed else ""
        info = probe(path)
        if info.single_picture:
            return OpenedVideo(path, unreadable="holds a single picture, expected a video", digest=digest)
        times = uniform(Span(0.0, info.duration_seconds), _PICTURES)
        frames = read_frames(path, times, size_px=_SIDE_PX)
    except VideoReadError as error:
        return OpenedVideo(path, unreadable=error.reason, digest=digest)
    except OSError as error:
        return OpenedVideo(path, unreadable=f"cannot be read: {error.strerror or error}", digest=digest)
    return OpenedVideo(path, info.duration_seconds, damage=frames.damage or "", digest=digest)


class _Opening:
    """What a process does with a file."""

    def __call__(self, task: _Look, /, *, on_progress: Callable[[], None]) -> Iterator[OpenedVideo]:
        """Yield what opening it gave."""
        on_progress()
        yield look_at(task.path, hashed=task.hashed)


def _open_all(
    paths: Sequence[Path], workers: int, on_progress: Callable[[int, int], object]
) -> dict[Path, OpenedVideo]:
    # Only files of the same size can hold the same bytes: few of many are read whole.
    sizes = {path: _size(path) for path in paths}
    times_met = Counter(sizes.values())
    tasks = [_Look(str(path), times_met[sizes[path]] > 1) for path in paths]
    facts: dict[str, OpenedVideo] = {}
    pool = ProcessPool[_Look, OpenedVideo](
        _Opening(),
        messages=OpenedVideo,
        is_last=lambda _message: True,
        failure=lambda task, reason: OpenedVideo(task.path, unreadable=reason),
        subject="the decoder",
        workers=workers,
    )
    with pool:
        for message in pool.run(tasks) if tasks else ():
            if message is not None:
                facts[message[0].path] = message[1]
                on_progress(len(facts), len(tasks))
    return {path: facts[str(path)] for path in paths}


def _faults_of(entry: Entry, facts: OpenedVideo) -> Iterator[tuple[FaultKind, str, str]]:
    if facts.unreadable:
        yield "unreadable", str(entry.path), facts.unreadable
        return
    if facts.damage:
        yield "damaged", str(entry.path), facts.damage
    seconds = facts.duration_seconds
    # A part that begins at 0 is "the first 31 s" of what may be shorter.
    cut_off = entry.start_seconds > 0 and seconds + _SLACK_SECONDS < entry.end_seconds < float("inf")
    if entry.start_seconds >= seconds or cut_off:
        yield "too short", entry.name, f"the file ends at {seconds:.1f} s"
        return
    late = [moment for moment in entry.moments if moment.start_seconds >= seconds + _SLACK_SECONDS]
    if late:
        yield (
            "too short",
            entry.name,
            f"the file ends at {seconds:.1f} s, {late[0].caption!r} begins at {late[0].start_seconds:g} s",
        )


def _duplicates(
    facts: Mapping[Path, OpenedVideo], splits_of: Mapping[Path, Mapping[str, None]]
) -> Iterator[Fault]:
    """Files with the same content that stand in different splits under different names."""
    paths_of: dict[str, list[Path]] = {}
    for path, its_facts in facts.items():
        if its_facts.digest:
            paths_of.setdefault(its_facts.digest, []).append(path)
    for paths in paths_of.values():
        first = paths[0]
        for path in paths[1:]:
            if set(splits_of[path]) != set(splits_of[first]):
                same = "is the same file as" if path.samefile(first) else "holds the same bytes as"
                where = ", ".join(repr(split) for split in splits_of[first])
                yield Fault("duplicate", tuple(splits_of[path]), str(path), f"{same} {first} of {where}")


def _digest(path: str) -> str:
    sha = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha.update(block)
    return sha.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # gone since it was looked for: opening it says so
        return -1
