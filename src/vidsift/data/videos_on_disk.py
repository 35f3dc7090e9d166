"""Which file on a disk the id of a video means, whatever its extension, sub-folder and prefix."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path, PurePosixPath

from vidsift.errors import CaptionsError
from vidsift.video.find import VIDEO_EXTENSIONS

__all__ = ["VideosOnDisk"]

_ACTIVITYNET_PREFIX = "v_"


class VideosOnDisk:
    """The video files in a folder and in all folders below it, found by what a data set calls them.

    An id is, in this order: a path below the folder, a file's name, a file's name without its extension
    (whether the id has one or not: a ``.mov`` that was compressed is an ``.mp4``), or that with ``v_`` in
    front or without it. Of several files the one in the fewest folders is taken, then MP4, then the first by
    name: the same on every computer.

    Args:
        folder: of the videos.
        title: the data set's name, for messages.

    Raises:
        CaptionsError: there is no such folder.
    """

    def __init__(self, folder: Path, title: str) -> None:
        """See the class; the folder is walked once, no file is opened."""
        if not folder.is_dir():
            raise CaptionsError(f"{folder} is not a folder; expected the videos of {title}")
        paths = sorted(_files_below(folder), key=_preference)
        self._folder = folder
        self._whole = set(paths)
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        extensions: Counter[str] = Counter()
        for path in paths:
            name = path.rpartition("/")[2]
            self._by_name.setdefault(name, []).append(path)
            stem, extension = _parted(name)
            if extension:
                extensions[extension] += 1
                self._by_stem.setdefault(stem, []).append(path)
        # What is not there is named as the others are.
        self._usual_extension = min(extensions, key=lambda name: (-extensions[name], name), default=".mp4")

    def find(self, video_id: str) -> str | None:
        """Return the path of a video below the folder, with slashes; None where it is not there."""
        paths = self.candidates(video_id)
        return paths[0] if paths else None

    def candidates(self, video_id: str) -> list[str]:
        """Return all files that an id could mean, the one that is taken first."""
        if video_id in self._whole:
            return [video_id]
        folder, _, name = video_id.rpartition("/")
        stem, _ = _parted(name)
        stem = stem.rstrip(".")
        for paths in (
            self._by_name.get(name),
            self._by_stem.get(name),
            self._by_stem.get(stem),
            self._by_stem.get(_ACTIVITYNET_PREFIX + stem),
            self._by_stem.get(stem.removeprefix(_ACTIVITYNET_PREFIX)),
        ):
            inside = [path for path in paths or () if not folder or f"/{path}".find(f"/{folder}/") >= 0]
            if inside:
                return inside
        return []

    def others(self, path: Path) -> list[str]:
        """Return further files that an id could mean as well: in other folders, or of other extensions.

        Args:
            path: the file that was taken.
        """
        stem, _ = _parted(path.name)
        below = path.relative_to(self._folder).as_posix()
        # An id that is a path, or a whole name, means one file; one that is none means the first of these.
        return [other for other in self._by_stem.get(stem, ()) if other != below]

    def expected(self, video_id: str) -> str:
        """Return the path that a video which is not there would most likely have."""
        _, extension = _parted(video_id)
        return video_id if extension else video_id.rstrip(".") + self._usual_extension


def _files_below(folder: Path) -> list[str]:
    """Paths of files below a folder, with slashes; links are followed, and loops end."""
    files, entered = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        # macOS puts a file "._video0.mp4" beside a video on foreign disks.
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = PurePosixPath(Path(place).relative_to(folder).as_posix())
        files += [str(below / name) for name in names if not name.startswith(".")]
    return files


def _preference(path: str) -> tuple[int, bool, str]:
    return path.count("/"), not path.lower().endswith(".mp4"), path


def _parted(name: str) -> tuple[str, str]:
    """A name and its extension, "" where that is none of a video: ids may hold full stops."""
    extension = PurePosixPath(name).suffix.lower()
    if extension not in VIDEO_EXTENSIONS:
        return name, ""
    return name[: -len(extension)], extension
