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
from vidsift.index.disk import telling, write_whole
from vidsift.index.manifest import MOUNTS
from vidsift.index.storage import Store

__all__ = ["Absence", "exists", "mounts_of", "read_mounts", "write_mounts"]

State = Literal["there", "gone", "away"]


class Absence:
    """Judges paths after a walk.

    Args:
        roots: places that were walked, and that existed when the walk began.
        unopened: folders that the walk met and could not open.
        mounts: where drives were mounted when their videos were last met.

    Attributes:
        missing: folders of what was found to be out of reach, as people name them.
    """

    def __init__(
        self, roots: Collection[str], unopened: Collection[str] = (), mounts: Iterable[str] = ()
    ) -> None:
        """See the class."""
        # A drive that was pulled out during the walk takes its place with it.
        self._missing_roots = path_keys(one for one in roots if not exists(one))
        self._unopened = path_keys(unopened)
        self._unmounted = {one for one in mounts if not os.path.ismount(one)}
        self._known: dict[str, str | None] = {}
        self.missing: set[str] = set()

    def state(self, path: str) -> State:
        """Whether something lies at a path, it is gone, or nobody can say now."""
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            folder = os.path.dirname(path)  # noqa: PTH120 - text like the paths
            if folder not in self._known:
                self._known[folder] = self._out_of_reach(folder)
            away = self._known[folder]
        except (OSError, ValueError):
            away = os.path.dirname(path)  # noqa: PTH120
        else:
            return "there"
        if away is None:
            return "gone"
        self.missing.add(away)
        return "away"

    def _out_of_reach(self, folder: str) -> str | None:
        """The topmost folder on the way that cannot be looked into, None where all can."""
        for blind in (self._missing_roots, self._unopened):
            for above in _upwards(folder):
                if path_key(above) in blind:
                    return above
        there = next((one for one in _upwards(folder) if os.path.lexists(one)), folder)
        if not exists(there):  # a link to what is not there
            return there
        for mount in self._unmounted:
            lost = [one for one in _upwards(folder) if under(os.path.realpath(one), mount)]
            if lost:
                return lost[-1]
        return None


def mounts_of(
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
    folders = {os.path.realpath(os.path.dirname(one)) for one in met}  # noqa: PTH120
    found: set[str] = set()
    mounted: dict[str, bool] = {}
    for folder in folders:
        for above in _upwards(folder):
            if above not in mounted:
                mounted[above] = os.path.dirname(above) != above and os.path.ismount(above)  # noqa: PTH120
            if mounted[above]:
                found.add(above)
                break
    # Where files lie though nothing is mounted, the drive has become a folder.
    plain = path_keys(above for folder in folders for above in _upwards(folder)) - path_keys(found)
    kept = {one for one in recorded or () if path_key(one) not in plain}
    if recorded is None:
        kept |= {os.path.realpath(one) for one in roots if _emptied(one, before)}
    return found | kept


def read_mounts(store: Store) -> list[str] | None:
    """Return what :func:`write_mounts` wrote; None where it never did, or it cannot be read."""
    try:
        return [str(one) for one in json.loads((store.folder / MOUNTS).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None


def write_mounts(store: Store, mounts: Iterable[str]) -> None:
    """Remember where drives are mounted; while writing."""
    wanted = sorted(mounts)
    if wanted != read_mounts(store):
        with telling(store.folder):
            write_whole(store.folder / MOUNTS, wanted)


def _emptied(place: str, before: Mapping[str, object]) -> bool:
    try:
        with os.scandir(place) as entries:
            empty = next(entries, None) is None
    except OSError:
        return False
    return empty and any(under(path, place) for path in before)


def exists(path: str) -> bool:
    """Whether something can be reached at a path; one that nobody can look at counts as absent."""
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
