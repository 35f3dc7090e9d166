"""Where an index is, and ``index.json``: what it was made with, without which a folder is no index."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.errors import IndexFolderError
from vidsift.files.disk_errors import plain_words
from vidsift.index.schema import FORMAT, READABLE_FORMATS, SetLayout
from vidsift.index.writing import write_json

if TYPE_CHECKING:
    from vidsift.index.decode_worker import SegmentLength

__all__ = [
    "COLLECTIONS",
    "FILES_BESIDE",
    "FOLDERS",
    "JOBS",
    "JOBS_LOCK",
    "MANIFEST",
    "MOUNTS",
    "READER",
    "SAVED_LOCK",
    "SAVED_SEARCHES",
    "Manifest",
    "default_folder",
    "index_folder",
    "read_manifest",
    "write_manifest",
]

MANIFEST = "index.json"
FOLDERS, MOUNTS, READER, JOBS = "folders.json", "mounts.json", "reader.json", "jobs.json"
"""Files beside it; an index without them lacks what they remember, and is whole without."""
JOBS_LOCK = "jobs.lock"
"""Held by the service that may write :data:`JOBS`."""
SAVED_SEARCHES, COLLECTIONS = "saved-searches.json", "collections.json"
"""What people made by hand: :mod:`vidsift.index.saved_file`."""
SAVED_LOCK = "saved.lock"
"""Held by whoever changes one of those."""
FILES_BESIDE = (FOLDERS, MOUNTS, READER, JOBS, JOBS_LOCK, SAVED_SEARCHES, COLLECTIONS, SAVED_LOCK)


@dataclass(frozen=True)
class Manifest:
    """What an index was made with; everything in it has to fit these.

    Attributes:
        model: folder or name that loads the model, of the hub's with the commit, ``NAME@COMMIT``; empty when
            it was made with a model from memory.
        model_name: for people.
        method: name of the method in the catalogue.
        fingerprint: of the model; decides the features.
        segment: how videos are cut: "auto", seconds, or None for whole videos.
        reading: how a segment is looked at.
        sets: layout of each prepared token set.
        format: version of the layout on disk.
    """

    model: str
    model_name: str
    method: str
    fingerprint: str
    segment: SegmentLength
    reading: Mapping[str, Any]
    sets: Mapping[str, SetLayout]
    format: int = FORMAT


def index_folder(named: str | Path | None = None) -> Path:
    """Return the folder of an index: the one that is named, else the default one."""
    return default_folder() if named is None else Path(named).expanduser()


def default_folder() -> Path:
    r"""Return where the index is when nobody says: ``VIDSIFT_INDEX``, else a folder of the user's own.

    The user's folder is ``$XDG_DATA_HOME/vidsift/index`` (``~/.local/share`` where unset), on macOS
    ``~/Library/Application Support/vidsift/index``, on Windows ``%LOCALAPPDATA%\vidsift\index``: searching
    works from any working folder, and nothing is written among the videos.
    """
    if named := os.environ.get("VIDSIFT_INDEX"):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "vidsift" / "index"


def read_manifest(folder: Path) -> Manifest:
    """Read what an index was made with.

    Raises:
        IndexFolderError: there is no index, it is damaged, or of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise IndexFolderError(
            f"there is no index at {folder}; make one with: vidsift index FOLDER --index {folder}"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        # First of all: a later format may have other keys.
        version = values["format"]
        if version not in READABLE_FORMATS:
            raise IndexFolderError(
                f"the index {folder} has format {version}, this vidsift reads formats up to {FORMAT}; "
                "use the vidsift that made it, or index the videos again into another folder"
            )
        sets = {name: SetLayout(**layout) for name, layout in values.pop("sets").items()}
        return Manifest(sets=sets, **values)
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise IndexFolderError(
            f"the index {folder} is damaged: {MANIFEST} cannot be read ({plain_words(error)}); "
            "delete the folder and index again"
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it so that a reader meets the old one or the new one."""
    write_json(folder / MANIFEST, {"format": manifest.format} | asdict(manifest))
