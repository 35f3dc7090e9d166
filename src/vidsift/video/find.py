"""Find the video files in folders, by what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vidsift.video.container import open_video
from vidsift.video.errors import VideoReadError

__all__ = ["VIDEO_EXTENSIONS", "Found", "find_videos", "is_video"]

VIDEO_EXTENSIONS = frozenset(
    [
        ".3g2",
        ".3gp",
        ".asf",
        ".avi",
        ".divx",
        ".f4v",
        ".flv",
        ".m2ts",
        ".m2v",
        ".m4v",
        ".mjpg",
        ".mkv",
        ".mod",
        ".mov",
        ".mp4",
        ".mpe",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".nut",
        ".ogm",
        ".ogv",
        ".qt",
        ".rm",
        ".rmvb",
        ".tod",
        ".ts",
        ".vob",
        ".webm",
        ".wmv",
    ]
)
"""Files named so are taken for videos; whether they can be read shows when they are read."""

# `.ts` and `.mod` are also source code and module files: those are looked into.
_AMBIGUOUS = frozenset({".ts", ".mod"})
_NEVER = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".heic",
        ".tif",
        ".tiff",
        ".bmp",
        ".svg",
        ".pdf",
        ".txt",
        ".md",
        ".srt",
        ".vtt",
        ".json",
        ".csv",
        ".html",
        ".xml",
        ".py",
        ".zip",
        ".gz",
        ".tar",
        ".7z",
        ".rar",
        ".mp3",
        ".m4a",
        ".aac",
        ".flac",
        ".wav",
        ".ogg",
        ".opus",
        ".wma",
        ".aiff",
        ".doc",
        ".docx",
        ".xls",
        ".xlsx",
        ".db",
        ".npz",
        ".npy",
        ".safetensors",
    ]
)
_SYSTEM_FOLDERS = frozenset(
    {
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "__MACOSX",
        "@eaDir",
        "#recycle",
        "__pycache__",
    }
)
_HEAD_BYTES = 400


class Found(NamedTuple):
    """One file or place that was met.

    Attributes:
        path: as reached from the place given.
        rejected: why it cannot be taken; None for a video.
    """

    path: Path
    rejected: str | None


def find_videos(places: Iterable[str | Path]) -> Iterator[Found]:
    """Walk folders and yield the videos in them, each file once, in a fixed order.

    Common video extensions are taken by name. Other files are looked into: the first bytes, and where
    these are a video container's, the streams. Hidden files, system folders and other kinds of file are
    passed over in silence; a file that was named outright is always taken. Symbolic links are followed,
    and loops end.

    Args:
        places: folders and files.

    Yields:
        Videos, and what could not be looked into with the reason.
    """
    seen: set[str] = set()
    for place in map(Path, places):
        if not place.exists():
            yield Found(place, "there is no such file or folder")
        elif place.is_dir():
            yield from _walk(place, seen)
        elif _first_visit(place, seen):
            yield Found(place, None)


def _first_visit(path: Path, seen: set[str]) -> bool:
    real = os.path.realpath(path)
    if real in seen:
        return False
    seen.add(real)
    return True


def _walk(folder: Path, seen: set[str]) -> Iterator[Found]:
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        if not _first_visit(folder, seen):
            continue
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield Found(folder, f"cannot be opened: {error.strerror or error}")
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _SYSTEM_FOLDERS:
                continue
            path = Path(entry.path)
            try:
                if entry.is_file() and _taken(path) and _first_visit(path, seen):
                    yield Found(path, None)
            except OSError as error:
                yield Found(path, f"cannot be read: {error.strerror or error}")
        waiting += [Path(e.path) for e in reversed(entries) if _is_open_folder(e)]


def _is_open_folder(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name in _SYSTEM_FOLDERS:
        return False
    try:
        return entry.is_dir()
    except OSError:
        return False


def _taken(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in VIDEO_EXTENSIONS and suffix not in _AMBIGUOUS:
        return True
    return suffix not in _NEVER and is_video(path)


def _container_head(head: bytes) -> bool:
    """Whether the first bytes are those of a container that can hold video."""
    starts = (
        b"\x1aE\xdf\xa3",  # Matroska, WebM
        b"FLV\x01",
        b"OggS",
        b"\x00\x00\x01\xba",  # MPEG program stream
        b"\x00\x00\x01\xb3",  # MPEG video
        b"0&\xb2u\x8ef\xcf\x11",  # ASF, WMV
        b".RMF",
        b"\x06\x0e+4\x02\x05\x01\x01",  # MXF
        b"\x00\x00\x00\x01\x67",  # H.264 with its parameters first
        b"\x00\x00\x00\x01\x40\x01",  # H.265 likewise
        b"GIF89a",
        b"nut/multimedia container",
    )
    if head.startswith(starts):
        return True
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return True
    return any(
        len(head) > first + step and head[first] == head[first + step] == 0x47
        for first, step in ((0, 188), (4, 192))
    )


def is_video(path: str | Path) -> bool:
    """Whether a file of any name holds moving pictures: container bytes first, then its streams.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not _container_head(head):
        return False
    try:
        with open_video(path):
            return True
    except VideoReadError:
        return False
