"""Find the video files in folders, by what is in them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from vidsift.errors import VideoReadError
from vidsift.video.container import open_video
from vidsift.video.signatures import at_a_glance

__all__ = ["VIDEO_EXTENSIONS", "FoundFile", "Patterns", "find_videos", "holds_video", "is_video"]

VIDEO_EXTENSIONS = frozenset(
    [
        ".264",
        ".265",
        ".266",
        ".3g2",
        ".3gp",
        ".apng",
        ".asf",
        ".avc",
        ".avi",
        ".dav",
        ".divx",
        ".dv",
        ".f4v",
        ".flv",
        ".gxf",
        ".h264",
        ".h265",
        ".h266",
        ".hevc",
        ".ivf",
        ".m1v",
        ".m2ts",
        ".m2v",
        ".m4v",
        ".mjpeg",
        ".mjpg",
        ".mkv",
        ".mod",
        ".mov",
        ".mp4",
        ".mpe",
        ".mpeg",
        ".mpg",
        ".mpv",
        ".mts",
        ".mxf",
        ".nut",
        ".obu",
        ".ogm",
        ".ogv",
        ".qt",
        ".rm",
        ".rmvb",
        ".tod",
        ".ts",
        ".vob",
        ".vvc",
        ".webm",
        ".wmv",
        ".wtv",
        ".y4m",
    ]
)
"""Files named so are taken for videos; whether they can be read shows when they are read."""

# `.ts` and `.mod` are also source code and module files, `.avc`, `.dav` and `.mpv` belong to other programs
# too: those are looked into.
_AMBIGUOUS = frozenset({".avc", ".dav", ".mod", ".mpv", ".ts"})
# Not even opened: some begin like containers of video (.m4a, .ogg).
_NEVER = frozenset(
    [
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
# Photos: one that cannot be opened is passed over as any other, and costs no line in a summary.
_PHOTOS = frozenset({".avif", ".heic", ".heif", ".hif", ".jpe", ".jpeg", ".jpg", ".png", ".webp"})

_SYSTEM_FOLDERS = frozenset(
    {
        "$recycle.bin",
        "recycler",
        "system volume information",
        "found.000",
        "lost+found",
        "__macosx",
        "@eadir",
        "@__thumb",
        "#recycle",
        "#snapshot",
        "__pycache__",
    }
)
"""Folders in which systems keep what is not the person's, in lower case."""

_SYSTEM_PLACES = frozenset({"/proc", "/sys", "/dev", "/run"})
"""Where Linux shows itself as files: reading some of them never ends."""

_HIDDEN_ON_WINDOWS = 0x2 | 0x4  # FILE_ATTRIBUTE_HIDDEN, FILE_ATTRIBUTE_SYSTEM
_HIDDEN_ON_MACOS = 0x8000  # UF_HIDDEN


class FoundFile(NamedTuple):
    """One file or place that was met.

    Attributes:
        path: as reached from the place given.
        rejected: why it cannot be taken; None for a video.
    """

    path: Path
    rejected: str | None


def find_videos(
    places: Iterable[str | Path],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    look_inside: Callable[[Path], bool] | None = None,
    left_out: Collection[str] = (),
    seen: set[str] | None = None,
    on_passed_over: Callable[[Path, str], object] = lambda _path, _what: None,
) -> Iterator[FoundFile]:
    """Walk folders and yield the videos in them, each file once, in a fixed order.

    Common video extensions are taken by name. Other files are looked into: the first bytes, and where
    these are a video container's, the streams. Hidden files, system folders and other kinds of file are
    passed over in silence, ordinary photos among them; a file that was named outright is always taken.
    Symbolic links are followed, and loops end.

    Args:
        places: folders and files.
        include: patterns, see :class:`Patterns`; where there are any, only files that fit one are taken.
        exclude: patterns; files that fit one are left out, and folders are not entered.
        look_inside: asked about files with the first bytes of a container, :func:`holds_video` when None;
            a ValueError that it raises rejects the file.
        left_out: paths below the places that are passed over, with all that is in them.
        seen: what earlier calls yielded and this one need not yield again; grows. Folders are entered anew
            for every place: another place may have other patterns.
        on_passed_over: told of files that could be taken for videos and are left out, and what they are, as
            in :data:`~vidsift.video.signatures.Glance`.

    Yields:
        Videos, and what could not be looked into with the reason.
    """
    walk = _Walk(
        Patterns(include),
        Patterns(exclude),
        frozenset(map(os.path.normcase, left_out)),
        look_inside or holds_video,
        on_passed_over,
    )
    yielded = set() if seen is None else seen
    for place in map(Path, places):
        for file in _at(place, walk):
            real = os.path.realpath(file.path)
            if real not in yielded:
                yielded.add(real)
                yield file


def _at(place: Path, walk: _Walk) -> Iterator[FoundFile]:
    if not place.exists():
        yield FoundFile(place, "there is no such file or folder")
    elif place.is_dir():
        yield from walk.through(place)
    else:
        yield FoundFile(place, None if place.is_file() else "is not a regular file, expected a video file")


class Patterns:
    """Patterns of names; ``*`` stands for any text, ``?`` for a letter; small and large letters are alike.

    A pattern without a slash is held against the names of a file and of the folders on the way to it; one
    with a slash against the path below the folder that was given, where ``*`` also stands for slashes.

    Args:
        patterns: such patterns.

    Example:
        >>> Patterns(["*.mov", "2019/*"]).fit("2019/may/a.mp4"), Patterns(["may"]).fit("2019/may/a.mp4")
        (True, True)
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        """See the class."""
        for pattern in patterns:
            if not pattern.strip("/"):
                raise ValueError(f"the pattern {pattern!r} is empty; expected one like '*.mov' or 'drafts'")
        parts = [pattern.strip("/").lower() for pattern in patterns]
        self._names = [pattern for pattern in parts if "/" not in pattern]
        self._paths = [pattern for pattern in parts if "/" in pattern]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._names or self._paths)

    def fit(self, inside: str) -> bool:
        """Whether a path below the given folder, with slashes, fits one of them or lies in what does."""
        parts = inside.lower().split("/")
        if any(fnmatchcase(part, pattern) for pattern in self._names for part in parts):
            return True
        whole = ["/".join(parts[: stop + 1]) for stop in range(len(parts))]
        return any(fnmatchcase(path, pattern) for pattern in self._paths for path in whole)


class _Walk:
    """Walks through folders by the same rules."""

    def __init__(
        self,
        include: Patterns,
        exclude: Patterns,
        left_out: Collection[str],
        look_inside: Callable[[Path], bool],
        on_passed_over: Callable[[Path, str], object],
    ) -> None:
        self._on_passed_over = on_passed_over
        self._include = include
        self._exclude = exclude
        self._left_out = left_out
        self._look_inside = look_inside

    def through(self, place: Path) -> Iterator[FoundFile]:
        """Yield what is below a folder, which ends although links may lead round in circles."""
        waiting, entered = [place], set[str]()
        while waiting:
            folder = waiting.pop()
            real = os.path.realpath(folder)
            if real in entered:
                continue
            entered.add(real)
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                yield FoundFile(folder, f"cannot be opened: {error.strerror or error}")
                continue
            shown = [entry for entry in entries if not _is_hidden(entry)]
            shown = [entry for entry in shown if not self._excluded(entry, place)]
            for entry in shown:
                file = self._file(entry, place)
                if file is not None:
                    yield file
            # Taken from the end: reversed, folders are entered in the order of their names.
            waiting += [Path(entry.path) for entry in reversed(shown) if _is_open_folder(entry)]

    def _excluded(self, entry: os.DirEntry[str], place: Path) -> bool:
        return os.path.normcase(entry.path) in self._left_out or self._exclude.fit(_inside(entry, place))

    def _file(self, entry: os.DirEntry[str], place: Path) -> FoundFile | None:
        path = Path(entry.path)
        try:
            if not entry.is_file() or (self._include and not self._include.fit(_inside(entry, place))):
                return None
            return FoundFile(path, None) if self._taken(path) else None
        except OSError as error:
            if path.suffix.lower() in _PHOTOS:
                return None
            if error.errno == errno.ELOOP:  # a link that leads to itself: nothing is there
                return None
            return FoundFile(path, f"cannot be read: {error.strerror or error}")
        except ValueError as error:
            return FoundFile(path, str(error))

    def _taken(self, path: Path) -> bool:
        suffix = path.suffix.lower()
        if suffix in VIDEO_EXTENSIONS and suffix not in _AMBIGUOUS:
            return True
        if suffix in _NEVER:
            return False
        glance = at_a_glance(path)
        if glance not in (None, "container"):
            self._on_passed_over(path, glance)
        return glance == "container" and self._look_inside(path)


def _inside(entry: os.DirEntry[str], place: Path) -> str:
    return os.path.relpath(entry.path, place).replace(os.sep, "/")


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    """Whether systems do not show it, or keep their own things in it."""
    if entry.name.startswith(".") or entry.name.lower() in _SYSTEM_FOLDERS or entry.path in _SYSTEM_PLACES:
        return True
    if sys.platform not in ("win32", "darwin"):
        return False
    try:
        status: Any = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return bool(
        getattr(status, "st_file_attributes", 0) & _HIDDEN_ON_WINDOWS
        or getattr(status, "st_flags", 0) & _HIDDEN_ON_MACOS
    )


def _is_open_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_video(path: str | Path) -> bool:
    """Whether a file of any name holds moving pictures: container bytes first, then its streams.

    Raises:
        OSError: the file cannot be read.
    """
    return at_a_glance(Path(path)) == "container" and holds_video(path)


def holds_video(path: str | Path) -> bool:
    """Whether a file has a stream of moving pictures; opens it with FFmpeg, whatever its first bytes are."""
    try:
        with open_video(path):
            return True
    except VideoReadError:
        return False
