"""Folders of the machine, for a person who looks for their videos: names of folders, and nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

__all__ = ["MAX_FOLDERS", "FolderList", "list_folders", "starting_places"]

MAX_FOLDERS = 1000

_MOUNTS = ("/Volumes", "/mnt", "/media", "/run/media")


class FolderList(NamedTuple):
    """What lies in a folder.

    Attributes:
        path: of the folder.
        parent: the folder above; None at the top.
        folders: full paths of those in it, by name, at most :data:`MAX_FOLDERS`.
        more: how many are left out beyond those.
    """

    path: str
    parent: str | None
    folders: list[str]
    more: int


def list_folders(folder: str) -> FolderList:
    """List the folders in a folder; hidden ones, and names that are no text, are left out.

    Args:
        folder: full path.

    Raises:
        OSError: it is not there, is no folder, or may not be read.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _is_shown(entry)]
    names.sort(key=lambda name: (name.casefold(), name))
    parent = os.path.dirname(folder)  # noqa: PTH120 - text like the paths
    return FolderList(
        path=folder,
        parent=None if parent == folder else parent,
        folders=[os.path.join(folder, name) for name in names[:MAX_FOLDERS]],  # noqa: PTH118 - likewise
        more=max(0, len(names) - MAX_FOLDERS),
    )


def _is_shown(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    # Bytes that are no UTF-8 stand as surrogates (PEP 383), which no answer can carry.
    if name.startswith(".") or not name.isprintable():
        return False
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False


def starting_places() -> list[str]:
    """Name the folders from which people begin to look: home, films in it, disks."""
    home = Path.home()
    places = [home, *(home / name for name in ("Videos", "Movies", "Desktop", "Downloads"))]
    if sys.platform == "win32":
        places += [Path(f"{letter}:\\") for letter in "CDEFGHIJKLMNOPQRSTUVWXYZ"]
    else:
        places += [disk for mounts in _MOUNTS for disk in _disks(Path(mounts))] + [Path("/")]
    return list(dict.fromkeys(str(place) for place in places if _is_folder(place)))


def _disks(mounts: Path) -> list[Path]:
    """What is mounted below a folder; below that of this person on systems that have one for each."""
    try:
        below = sorted(path for path in mounts.iterdir() if path.is_dir())
        user = mounts / os.environ.get("USER", "")
        return sorted(user.iterdir()) if user in below else below
    except OSError:
        return []


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
