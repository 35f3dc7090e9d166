"""What is not where the index knows it: gone for good, or only out of reach for now.

A drive that is not plugged in, a folder that may not be opened, a link that leads nowhere: their videos stay
in the index. Only what its own folder no longer lists is gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal

from vidsift.files.paths import path_key, path_keys, under
from vidsift.index.manifest import MOUNTS
from vidsift.index.storage import Store
from vidsift.index.writing import explained_writing, write_json

__all__ = ["Availability", "drive_mounts", "reachable", "read_mounts", "write_mounts"]

State = Literal["there", "gone", "out of reach"]


class Availability:
    """Judges paths after a walk.

    Args:
        roots: places that were walked, and that existed when the walk began.
        unopened: folders that the walk met and could not open.
        mounts: where drives were mounted when their videos were last met.

    Attributes:
        missing: folders that turned out to be out of reach, as people name them.
    """

    def __init__(
        self, roots: Collection[str], unopened: Collection[str] = (), mounts: Iterable[str] = ()
    ) -> None:
        """See the class."""
        # A drive that was pulled out during the walk takes its place with it.
        self._missing_roots = path_keys(root for root in roots if not reachable(root))
        self._unopened = path_keys(unopened)
        self._unmounted = {mount for mount in mounts if not os.path.ismount(mount)}
        self._folders: dict[str, str | None] = {}
        self.missing: set[str] = set()

    def state(self, path: str) -> State:
        """Whether something lies at a path, it is gone, or nobody can say now."""
        try:
            # Not stat: a link is there, whether or not what it leads to is.
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            folder = os.path.dirname(path)  # noqa: PTH120 - text like the paths
            if folder not in self._folders:
                self._folders[folder] = self._out_of_reach(folder)
            missing = self._folders[folder]
        # ValueError: a path that no system takes, such as one with a zero byte.
        except (OSError, ValueError):
            missing = os.path.dirname(path)  # noqa: PTH120
        else:
            return "there"
        if missing is None:
            return "gone"
        self.missing.add(missing)
        return "out of reach"

    def _out_of_reach(self, folder: str) -> str | None:
        """The topmost folder on the way that cannot be looked into, None where all can."""
        for closed in (self._missing_roots, self._unopened):
            for above in _upwards(folder):
                if path_key(above) in closed:
                    return above
        nearest = next((above for above in _upwards(folder) if os.path.lexists(above)), folder)
        if not reachable(nearest):  # a link to what is not there
            return nearest
        for mount in self._unmounted:
            on_mount = [above for above in _upwards(folder) if under(os.path.realpath(above), mount)]
            if on_mount:
                return on_mount[-1]
        return None


def drive_mounts(
    met: Iterable[str], before: Mapping[str, object], roots: Iterable[str], recorded: Collection[str] | None
) -> set[str]:
    """Where drives are mounted on which videos lie, and where they were that are not there now.

    Args:
        met: files that the walk met.
        before: paths that the index knows.
        roots: places that were walked.
        recorded: what the index wrote down; None where it never did, and then an empty folder all of whose
            files are gone counts as one where a drive was mounted.
    """
    folders = {os.path.realpath(os.path.dirname(path)) for path in met}  # noqa: PTH120
    mounts: set[str] = set()
    mounted: dict[str, bool] = {}
    for folder in folders:
        for above in _upwards(folder):
            if above not in mounted:
                # The root of the file system is a mount as well, and never away.
                mounted[above] = os.path.dirname(above) != above and os.path.ismount(above)  # noqa: PTH120
            if mounted[above]:
                mounts.add(above)
                break
    # Where files lie though nothing is mounted, the drive has become a folder.
    plain = path_keys(above for folder in folders for above in _upwards(folder)) - path_keys(mounts)
    away = {mount for mount in recorded or () if path_key(mount) not in plain}
    if recorded is None:
        away |= {os.path.realpath(root) for root in roots if _emptied(root, before)}
    return mounts | away


def read_mounts(store: Store) -> list[str] | None:
    """Return what :func:`write_mounts` wrote; None where it never did, or it cannot be read."""
    try:
        return [str(mount) for mount in json.loads((store.folder / MOUNTS).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None


def write_mounts(store: Store, mounts: Iterable[str]) -> None:
    """Remember where drives are mounted; while writing."""
    wanted = sorted(mounts)
    if wanted != read_mounts(store):
        with explained_writing(store.folder):
            write_json(store.folder / MOUNTS, wanted)


def _emptied(place: str, before: Mapping[str, object]) -> bool:
    try:
        with os.scandir(place) as entries:
            empty = next(entries, None) is None
    except OSError:
        return False
    return empty and any(under(path, place) for path in before)


def reachable(path: str) -> bool:
    """Whether something lies at a path and can be looked at; never raises."""
    try:
        return Path(path).exists()
    except OSError:
        return False


def _upwards(folder: str) -> Iterable[str]:
    """A folder and those above it."""
    while True:
        yield folder
        above = os.path.dirname(folder)  # noqa: PTH120 - text like the paths
        if above == folder:
            return
        folder = above
