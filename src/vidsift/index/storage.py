"""The index on disk: a folder with ``index.json`` and four LanceDB tables, each commit atomic.

``segments`` holds one row a segment: identity, place in the video, facts of the file, every prepared token
set of the method, a pooled vector, a thumbnail. ``files`` holds one row a path: what lies there, when it was
looked at, and why it failed if it did. A video is its content, so a copy or a moved file is another path of
the same rows. Segments are committed before the paths that point at them; rows without a path are invisible.
``tags`` and ``captions`` hold what is said of a video (:mod:`vidsift.index.tags_and_captions`),
``folders.json`` what was asked to be indexed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from vidsift.errors import IndexFolderError
from vidsift.files.disk_errors import plain_words
from vidsift.index import tags_and_captions
from vidsift.index.compaction import merge_everything, merge_small
from vidsift.index.disk import locked, refuse_rows, telling, tried, unwritable, write_whole
from vidsift.index.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from vidsift.index.schema import FORMAT, files_schema, segments_schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FileRecord",
    "Folder",
    "Store",
    "default_folder",
]

FOLDERS = "folders.json"
MOUNTS = "mounts.json"
READER = "reader.json"
SEEKING = "seeking-files"
"""Is there while rows wait for their files to be met again, after the table of files was lost."""

SINGLE_PICTURE = "is a single picture, no video"
"""The reason that stands with a file which holds one picture; earlier versions show it as one that failed."""

_LOCK = "writing.lock"
NOTES_LOCK = "notes.lock"
_FORMAT_WITH_NOTES = 2
_MANY_FRAGMENTS = 16
_KEEP_OLD_VERSIONS = timedelta(hours=1)
_MANY_VERSIONS = 512
NOTES_PATIENCE_SECONDS = 20.0
"""How long whoever changes tags waits for another who does, such as a run that merges their pieces."""

T = TypeVar("T")


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

    @property
    def single_picture(self) -> bool:
        """Whether the file is a photo or a drawing that was met in a folder: no video, and no failure."""
        return self.reason == SINGLE_PICTURE

    @property
    def failed(self) -> bool:
        """Whether a video lies there that cannot be read."""
        return self.reason is not None and not self.single_picture


@dataclass(frozen=True)
class Folder:
    """A place that was asked to be indexed, and which of its files.

    Attributes:
        path: absolute; a folder or a file.
        include, exclude: patterns, see :class:`~vidsift.video.find.Patterns`.
        removed: paths in it that were taken out of the index and stay out until they are asked for.
    """

    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


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
        damaged_notes: which of the tables of tags and captions cannot be opened, and why.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use :meth:`open` or :meth:`create`."""
        self.folder = folder
        self.manifest = manifest
        self._connect()
        self._version_before: int = self.segments.version

    def _connect(self) -> None:
        """Open the tables as they are now; damaged notes keep nobody from the rest."""
        import lancedb

        try:
            database = lancedb.connect(self.folder)
            self.segments = database.open_table("segments")
            self.files = database.open_table("files")
        except Exception as error:
            raise IndexFolderError(
                f"the index {self.folder} is damaged: {plain_words(error)}; see what can be mended with "
                f"vidsift index check --index {self.folder}, else delete the folder and index again"
            ) from error
        self._notes: dict[tags_and_captions.NoteName, Any] = {}
        self.damaged_notes: dict[tags_and_captions.NoteName, str] = {}
        # An index of format 1 has neither, until it is written to.
        has_notes = self.manifest.format >= _FORMAT_WITH_NOTES
        for name in list(tags_and_captions.note_schemas()) if has_notes else []:
            opened = tags_and_captions.open_notes(database, name)
            if isinstance(opened, str):
                self.damaged_notes[name] = opened
            else:
                self._notes[name] = opened

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
            IndexFolderError: the folder holds something else, an index that lost its manifest, or may not be
                written.
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
            raise unwritable(folder) from error
        database = lancedb.connect(folder)
        tables: dict[str, pa.Schema] = {"segments": segments_schema(manifest.sets), "files": files_schema()}
        tables |= {str(name): schema for name, schema in tags_and_captions.note_schemas().items()}
        with locked(folder, _LOCK), telling(folder):
            # Another process may have made it in the meantime.
            if not (folder / MANIFEST).exists():
                refuse_rows(folder, tables)
                for name, schema in tables.items():
                    shutil.rmtree(folder / f"{name}.lance", ignore_errors=True)
                    database.create_table(name, schema=schema)
                # The manifest comes last: a folder without one is not yet an index.
                write_manifest(folder, manifest)
        return cls.open(folder)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the index for writing; the hold ends with the process, however it ends.

        Raises:
            IndexFolderError: another process holds it, or it may not be written.
        """
        with locked(self.folder, _LOCK):
            # What another process wrote between opening and holding counts.
            self.manifest = read_manifest(self.folder)
            if self.manifest.format < FORMAT:
                self._raise_format()
            self._connect()
            self._version_before = self.segments.version
            yield

    def _raise_format(self) -> None:
        """Make an index of an older format one of this; if that ends half-way, it begins anew."""
        import lancedb

        database = lancedb.connect(self.folder)
        with telling(self.folder):
            for name, schema in tags_and_captions.note_schemas().items():
                shutil.rmtree(self.folder / f"{name}.lance", ignore_errors=True)
                database.create_table(name, schema=schema)
            self.manifest = replace(self.manifest, format=FORMAT)
            write_manifest(self.folder, self.manifest)

    def refresh(self) -> None:
        """See what other processes have written since."""
        self.manifest = read_manifest(self.folder)
        self._connect()

    def commit(self, segments: pa.Table | None, files: Sequence[FileRecord]) -> None:
        """Add new segments, then say which paths hold them. Each step is atomic, in this order.

        Raises:
            IndexWriteError: the disk is full or fails; what was committed before is whole.
        """
        import pyarrow as pa

        with telling(self.folder):
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
        self._delete(self.files, "path", paths)

    def drop_orphans(self, before: Iterable[FileRecord] = ()) -> int:
        """Remove segments of videos that lie at no known path; return how many videos that were.

        Args:
            before: what was known when the run began. While lost paths are being sought (:data:`SEEKING`),
                only what was known then and is no more is removed.
        """
        held = {record.video_id for record in self.read_files().values()}
        orphans = self.video_ids() - {one for one in held if one}
        if self.seeking.exists():
            orphans &= {one.video_id for one in before if one.video_id is not None}
        self.drop_videos(sorted(orphans))
        return len(orphans)

    def drop_videos(self, video_ids: Sequence[str]) -> None:
        """Remove the segments of videos; their tags stay, for the day on which a video comes back."""
        self._delete(self.segments, "video_id", video_ids)

    @property
    def tables(self) -> list[Any]:
        """All tables that can be opened."""
        return [self.segments, self.files, *self._notes.values()]

    @property
    def seeking(self) -> Path:
        """The file that says that lost paths are being sought."""
        return self.folder / SEEKING

    def rewrite(
        self, table: Literal["segments", "files"], schema: pa.Schema, rows: Iterator[pa.RecordBatch]
    ) -> None:
        """Replace all rows of a table in one commit; while writing."""
        import pyarrow as pa

        with telling(self.folder):
            reader = pa.RecordBatchReader.from_batches(schema, rows)
            getattr(self, table).add(reader, mode="overwrite")

    def _delete(self, table: Any, column: str, values: Sequence[str]) -> None:
        with telling(self.folder):
            for start in range(0, len(values), 500):
                some = ", ".join(map(tags_and_captions.quoted, values[start : start + 500]))
                table.delete(f"{column} IN ({some})")

    def read_tags(self) -> dict[str, set[str]]:
        """Return the tags of every video that has any, by its identity.

        Raises:
            IndexFolderError: the table is damaged.
        """
        return self._read_notes("tags", tags_and_captions.read_tags)

    def notes_table(self, name: tags_and_captions.NoteName) -> Any | None:
        """Return a table of notes; None where there is none, or it cannot be opened."""
        return self._notes.get(name)

    def _read_notes(
        self, name: tags_and_captions.NoteName, read: Callable[[Any], dict[str, T]]
    ) -> dict[str, T]:
        table = self._notes.get(name)
        if table is None and name not in self.damaged_notes:
            return {}
        found = self.damaged_notes[name] if table is None else tried(lambda: read(table))
        if isinstance(found, str):
            raise IndexFolderError(
                f"the {name} of the index {self.folder} cannot be read: {found}; everything else can be "
                f"searched; mend them with: vidsift index check --repair --index {self.folder}"
            )
        return found

    def set_tags(self, video_id: str, tags: Iterable[str]) -> None:
        """Give a video these tags and no others. An indexing run may go on meanwhile.

        Raises:
            ValueError: there is no such video in the index, or a tag cannot be kept.
            IndexFolderError: the index may not be written, or its table of tags is damaged.
            IndexWriteError: the disk is full or fails.
        """
        import pyarrow as pa

        kept = tags_and_captions.clean_tags(tags)
        self.refresh()
        if not self.files.count_rows(f"video_id = {tags_and_captions.quoted(video_id)}"):
            raise ValueError(f"there is no video {video_id!r} in the index {self.folder}")
        if self.manifest.format < _FORMAT_WITH_NOTES:
            with self.writing():
                pass
        if "tags" in self.damaged_notes:
            self.read_tags()
        rows = pa.Table.from_pylist(
            [{"video_id": video_id, "tags": kept}], schema=tags_and_captions.tags_schema()
        )
        with locked(self.folder, NOTES_LOCK, NOTES_PATIENCE_SECONDS), telling(self.folder):
            merge = self._notes["tags"].merge_insert("video_id")
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def read_captions(self) -> dict[str, list[str]]:
        """Return the captions of every video that has any, by its identity; raises as :meth:`read_tags`."""
        return self._read_notes("captions", tags_and_captions.read_captions)

    def write_captions(
        self, sources: Mapping[str, Mapping[str, Sequence[str]]], gone: Iterable[str] = ()
    ) -> int:
        """Keep what files of captions say, while writing.

        See :func:`vidsift.index.tags_and_captions.write_captions`.

        Raises:
            IndexFolderError: the table is damaged.
            IndexWriteError: the disk is full or fails.
        """
        before = self._read_notes("captions", tags_and_captions.captions_by_source)
        with telling(self.folder):
            return tags_and_captions.write_captions(self._notes["captions"], before, sources, gone)

    def caption_sources(self) -> set[str]:
        """Return the files of captions that the index knows; raises as :meth:`read_tags`."""
        return set(self._read_notes("captions", tags_and_captions.captions_by_source))

    def read_folders(self) -> list[Folder]:
        """Return what was asked to be indexed, in the order of paths; empty where nobody wrote it down."""
        try:
            values = json.loads((self.folder / FOLDERS).read_text(encoding="utf-8"))
            # Indexes of earlier versions say nothing of what was removed.
            return [
                Folder(
                    one["path"], tuple(one["include"]), tuple(one["exclude"]), tuple(one.get("removed", ()))
                )
                for one in values
            ]
        except FileNotFoundError:
            return []
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise IndexFolderError(
                f"the index {self.folder} is damaged: {FOLDERS} cannot be read ({plain_words(error)}); "
                "delete that file and name the folders again with vidsift index add"
            ) from error

    def write_folders(self, folders: Iterable[Folder]) -> None:
        """Remember what was asked to be indexed; while writing."""
        values = [asdict(one) for one in sorted(folders, key=lambda one: one.path)]
        with telling(self.folder):
            write_whole(self.folder / FOLDERS, values)

    def tidy(self) -> None:
        """Merge small pieces that many commits left, where there are many; while writing.

        Rows of segments are large: few are written anew at a time, and all of them once in many versions.
        """
        with telling(self.folder):
            if self.segments.version // _MANY_VERSIONS > self._version_before // _MANY_VERSIONS:
                merge_everything(self.segments, _KEEP_OLD_VERSIONS)
            else:
                merge_small(self.segments, "segment_id")
            if _in_many_pieces(self.files):
                merge_everything(self.files, _KEEP_OLD_VERSIONS)
            for name, table in self._notes.items():
                if _in_many_pieces(table):
                    # Who gives tags just now, or damage, of which a check tells, keeps no run from its end.
                    tried(partial(self._merge_notes, name, _KEEP_OLD_VERSIONS))

    def optimize(self, keep: timedelta = _KEEP_OLD_VERSIONS) -> None:
        """Merge all small pieces and remove versions that no reader can hold any more; while writing.

        Args:
            keep: how long a version is kept after a newer one has taken its place.
        """
        with telling(self.folder):
            for table in (self.segments, self.files):
                merge_everything(table, keep)
            for name in self._notes:
                self._merge_notes(name, keep)

    def _merge_notes(self, name: tags_and_captions.NoteName, keep: timedelta) -> None:
        """Merge the pieces of a table of notes; tags may be given meanwhile, and wait for it."""
        with locked(self.folder, NOTES_LOCK, NOTES_PATIENCE_SECONDS):
            # What was given since the table was opened counts.
            self._notes[name].checkout_latest()
            merge_everything(self._notes[name], keep)

    def bytes_on_disk(self) -> int:
        """What the folder takes, old versions included."""
        total = 0
        for one in self.folder.rglob("*"):
            with suppress(FileNotFoundError):  # a writer tidies meanwhile
                total += one.stat().st_size if one.is_file() else 0
        return total


def _in_many_pieces(table: Any) -> bool:
    statistics: Any = table.stats()
    return bool(statistics["fragment_stats"]["num_small_fragments"] >= _MANY_FRAGMENTS)


def _only_ours(folder: Path) -> bool:
    """Whether a folder without manifest is empty, or the rest of an index that was never finished."""
    tables = {f"{name}.lance" for name in ("segments", "files", *tags_and_captions.note_schemas())}
    files = {name + end for name in (MANIFEST, FOLDERS, MOUNTS, READER) for end in ("", ".new")}
    ours = tables | files | {_LOCK, NOTES_LOCK, SEEKING}
    return all(entry.name in ours for entry in folder.iterdir())
