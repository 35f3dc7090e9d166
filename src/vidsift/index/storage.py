"""The index on disk: a folder with ``index.json`` and two LanceDB tables, each commit atomic.

``segments`` holds one row a segment: identity, place in the video, facts of the file, every prepared token
set of the method, a pooled vector, a thumbnail. ``files`` holds one row a path: what lies there, when it was
looked at, and why it failed if it did. A video is its content, so a copy or a moved file is another path of
the same rows. Segments are committed before the paths that point at them; rows without a path are invisible.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.index.schema import FORMAT, SetLayout, files_schema, segments_schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FileRecord", "IndexFolderError", "Manifest", "Store", "default_folder", "describe"]

MANIFEST = "index.json"
_LOCK = "writing.lock"
_MANY_FRAGMENTS = 16
_KEEP_OLD_VERSIONS = timedelta(hours=1)


class IndexFolderError(ValueError):
    """The folder is not an index, or not one that this can use; the message says what to do."""


@dataclass(frozen=True)
class Manifest:
    """What an index was made with; everything in it has to fit these.

    Attributes:
        model: folder or name that loads the model; empty when it was made with a model from memory.
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
    segment: str | float | None
    reading: Mapping[str, Any]
    sets: Mapping[str, SetLayout]
    format: int = FORMAT


@dataclass(frozen=True)
class FileRecord:
    """What was found at a path when it was last looked at.

    Attributes:
        path: absolute.
        size_bytes, modified_ns: to tell in a moment whether the file changed.
        video_id: identity of its content; None if it could not be read.
        reason: why it could not be read; None if it could.
        damage: why a readable file gave less than it should have; None for a whole one.
    """

    path: str
    size_bytes: int
    modified_ns: int
    video_id: str | None = None
    reason: str | None = None
    damage: str | None = None


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


class Store:
    """An index folder, open. One process writes at a time (:meth:`writing`); any number read.

    Attributes:
        folder: where it is.
        manifest: what it was made with.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use :meth:`open` or :meth:`create`."""
        import lancedb

        self.folder = folder
        self.manifest = manifest
        try:
            database = lancedb.connect(folder)
            self.segments = database.open_table("segments")
            self.files = database.open_table("files")
        except Exception as error:
            raise IndexFolderError(
                f"the index {folder} is damaged: {_first_line(error)}; delete the folder and index again"
            ) from error

    @classmethod
    def open(cls, folder: str | Path) -> Store:
        """Open an index.

        Raises:
            IndexFolderError: there is none, it is damaged, or of another format.
        """
        folder = Path(folder)
        return cls(folder, read_manifest(folder))

    @classmethod
    def create(cls, folder: str | Path, manifest: Manifest) -> Store:
        """Make an empty index; the folder may exist if it is empty.

        Raises:
            IndexFolderError: the folder holds something else, or may not be written.
            OSError: the disk is full or fails.
        """
        import lancedb

        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or not _only_ours(folder)):
            raise IndexFolderError(
                f"{folder} holds other files and no index; name an empty or a new folder with --index"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _LOCK).touch()
        except PermissionError as error:
            raise _unwritable(folder) from error
        database = lancedb.connect(folder)
        for name, schema in (("segments", segments_schema(manifest.sets)), ("files", files_schema())):
            shutil.rmtree(folder / f"{name}.lance", ignore_errors=True)
            database.create_table(name, schema=schema)
        # The manifest comes last: a folder without one is not yet an index.
        waiting = folder / (MANIFEST + ".new")
        waiting.write_text(json.dumps(_to_json(manifest), indent=2) + "\n", encoding="utf-8")
        waiting.replace(folder / MANIFEST)
        return cls(folder, manifest)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the index for writing; the hold ends with the process, however it ends.

        Raises:
            IndexFolderError: another process holds it, or it may not be written.
        """
        if not os.access(self.folder, os.W_OK):
            raise _unwritable(self.folder)
        with _locked(self.folder):
            yield

    def commit(self, segments: pa.Table | None, files: Sequence[FileRecord]) -> None:
        """Add new segments, then say which paths hold them. Each step is atomic, in this order."""
        import pyarrow as pa

        if segments is not None and segments.num_rows:
            self.segments.add(segments)
        if files:
            rows = pa.Table.from_pylist([asdict(one) for one in files], schema=files_schema())
            merge = self.files.merge_insert("path")
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def read_files(self) -> dict[str, FileRecord]:
        """Return every path with what was found there."""
        return {row["path"]: FileRecord(**row) for row in self.files.to_arrow().to_pylist()}

    def video_ids(self) -> set[str]:
        """Return the videos whose segments are stored."""
        return set(self.segments.search().select(["video_id"]).to_arrow()["video_id"].to_pylist())

    def forget(self, paths: Sequence[str]) -> None:
        """Remove paths; segments that no path holds any more go with :meth:`drop_orphans`."""
        for start in range(0, len(paths), 500):
            quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths[start : start + 500])
            self.files.delete(f"path IN ({quoted})")

    def drop_orphans(self) -> int:
        """Remove segments of videos that lie at no known path; return how many videos that were."""
        held = {record.video_id for record in self.read_files().values()}
        orphans = sorted(self.video_ids() - {one for one in held if one})
        for start in range(0, len(orphans), 500):
            quoted = ", ".join(f"'{one}'" for one in orphans[start : start + 500])
            self.segments.delete(f"video_id IN ({quoted})")
        return len(orphans)

    def tidy(self) -> None:
        """Merge small pieces that many commits left; versions that a reader may hold are kept for an hour."""
        for table in (self.segments, self.files):
            statistics: Any = table.stats()
            if statistics["fragment_stats"]["num_small_fragments"] >= _MANY_FRAGMENTS:
                table.optimize(cleanup_older_than=_KEEP_OLD_VERSIONS)


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
        version = values["format"]
        if version != FORMAT:
            raise IndexFolderError(
                f"the index {folder} has format {version}, this vidsift reads format {FORMAT}; "
                "use the vidsift that made it, or index the videos again into another folder"
            )
        sets = {name: SetLayout(**layout) for name, layout in values.pop("sets").items()}
        return Manifest(sets=sets, **values)
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise IndexFolderError(
            f"the index {folder} is damaged: {MANIFEST} cannot be read ({_first_line(error)}); "
            "delete the folder and index again"
        ) from error


def describe(folder: str | Path) -> dict[str, Any]:
    """Facts of an index for people: model, sets, how much is in it, and its size.

    Raises:
        IndexFolderError: see :meth:`Store.open`.
    """
    store = Store.open(folder)
    manifest, files = store.manifest, store.read_files().values()
    return {
        "index": str(store.folder),
        "format": manifest.format,
        "model": manifest.model or manifest.model_name,
        "method": manifest.method,
        "fingerprint": manifest.fingerprint,
        "segment": manifest.segment,
        "token sets": {name: f"{one.slots} x {one.dim}" for name, one in manifest.sets.items()},
        "videos": len({one.video_id for one in files if one.video_id}),
        "segments": store.segments.count_rows(),
        "files": sum(one.reason is None for one in files),
        "failed": sum(one.reason is not None for one in files),
        "bytes on disk": sum(one.stat().st_size for one in store.folder.rglob("*") if one.is_file()),
    }


def _to_json(manifest: Manifest) -> dict[str, Any]:
    return {"format": manifest.format} | asdict(manifest)


def _only_ours(folder: Path) -> bool:
    """Whether a folder without manifest is empty, or the rest of an index that was never finished."""
    ours = {"segments.lance", "files.lance", MANIFEST + ".new", _LOCK}
    return all(entry.name in ours for entry in folder.iterdir())


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _unwritable(folder: Path) -> IndexFolderError:
    return IndexFolderError(
        f"the index {folder} may not be written by this user; give the folder write permission, or name "
        "another with --index"
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    busy = IndexFolderError(
        f"another process is writing the index {folder}; wait until it has finished, or stop it"
    )
    with (folder / _LOCK).open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            except OSError as error:
                raise busy from error
        else:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise busy from error
        yield
