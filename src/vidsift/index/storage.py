"""The index on disk: a folder with ``index.json`` and four LanceDB tables, each commit atomic.

``segments`` holds one row a segment: identity, place in the video, facts of the file, every prepared token
set of the method, a pooled vector, a thumbnail. ``files`` holds one row a path: what lies there, when it was
looked at, and why it failed if it did. A video is its content, so a copy or a moved file is another path of
the same rows. Segments are committed before the paths that point at them; rows without a path are invisible.
``tags`` and ``captions`` hold what is said of a video (:mod:`vidsift.index.tags_and_captions`),
``folders.json`` what was asked to be indexed, :mod:`vidsift.index.saved_file` what people saved by hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.errors import IndexFolderError
from vidsift.files.disk_errors import plain_words
from vidsift.index import tags_and_captions
from vidsift.index.folders import IndexedFolder, outermost_folders, read_folders, write_folders
from vidsift.index.manifest import FILES_BESIDE, MANIFEST, Manifest, read_manifest, write_manifest
from vidsift.index.schema import (
    FORMAT,
    FileRecord,
    TableName,
    captions_schema,
    files_schema,
    table_schemas,
    tags_schema,
)
from vidsift.index.tables import (
    Table,
    connect,
    explained_reading,
    make_whole,
    open_or_reason,
    table_folder,
    value_or_reason,
    was_written,
)
from vidsift.index.versions import TableReader
from vidsift.index.writing import explained_writing, not_writable, write_lock

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Store", "holds_nothing_else"]

SEEKING = "seeking-files"
"""Is there while rows wait for their files to be met again, after the table of files was lost."""

_LOCK = "writing.lock"
TAGS_LOCK = "notes.lock"  # the name that earlier versions lock, which may be running beside this one
_FORMAT_WITH_TAGS = 2
_KEEP_OLD_VERSIONS = timedelta(hours=1)
"""A search that opened a version before it was replaced has so long to read from it."""

_MANY_VERSIONS = 512
"""Listing versions gets slower with their number: after so many, all segments are merged and old ones go."""

TAGS_PATIENCE_SECONDS = 20.0
"""How long whoever changes tags waits for another who does, such as a run that merges their pieces."""

_READ_ROWS = 512

_TAGS_AND_CAPTIONS: tuple[TableName, ...] = ("tags", "captions")


class Store:
    """An index folder, open. One process writes at a time (:meth:`writing`); any number read.

    Attributes:
        folder: where it is.
        manifest: what it was made with.
        damaged: why tables of tags and captions cannot be opened; everything else works without them.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use :meth:`open` or :meth:`create`."""
        self.folder = folder
        self.manifest = manifest
        self._tables: dict[TableName, Table] = {}
        self.damaged: dict[TableName, str] = {}
        self._open_tables()
        self._version_before = self.version

    def _open_tables(self) -> None:
        """Open the tables as they are now."""
        try:
            database = connect(self.folder)
            self._tables = {name: Table(self.folder, name, database) for name in ("segments", "files")}
        except Exception as error:
            raise IndexFolderError(
                f"the index {self.folder} is damaged: {plain_words(error)}; see what can be repaired with "
                f"vidsift index check --index {self.folder}, else delete the folder and index again"
            ) from error
        self.damaged = {}
        # An index of format 1 has no tags and captions, until it is written to.
        for name in _TAGS_AND_CAPTIONS if self.manifest.format >= _FORMAT_WITH_TAGS else ():
            table = open_or_reason(self.folder, name, database)
            if isinstance(table, str):
                self.damaged[name] = table
            else:
                self._tables[name] = table

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
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or not holds_nothing_else(folder)):
            raise IndexFolderError(
                f"{folder} holds other files and no index; name an empty or a new folder with --index"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _LOCK).touch()
        except PermissionError as error:
            raise not_writable(folder) from error
        with write_lock(folder, _LOCK), explained_writing(folder):
            # Another process may have made it in the meantime.
            if not (folder / MANIFEST).exists():
                schemas = table_schemas(manifest.sets)
                if any(was_written(folder, name) for name in schemas):
                    raise IndexFolderError(
                        f"the index {folder} is damaged: {MANIFEST} is gone, its tables hold rows; put the "
                        "file back, or name another folder with --index, or delete this one and index again"
                    )
                for name, schema in schemas.items():
                    Table.create(folder, name, schema)
                # The manifest comes last: a folder without one is not yet an index.
                write_manifest(folder, manifest)
        return cls.open(folder)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the index for writing; the hold ends with the process, however it ends.

        Raises:
            IndexFolderError: another process holds it, or it may not be written.
        """
        with write_lock(self.folder, _LOCK):
            # What another process wrote between opening and holding counts.
            self.manifest = read_manifest(self.folder)
            if self.manifest.format < FORMAT:
                self._raise_format()
            self._open_tables()
            self._version_before = self.version
            yield

    def _raise_format(self) -> None:
        """Make an index of an older format one of this; if that ends half-way, it begins anew."""
        with explained_writing(self.folder):
            for name in _TAGS_AND_CAPTIONS:
                Table.create(self.folder, name, table_schemas(self.manifest.sets)[name])
            self.manifest = replace(self.manifest, format=FORMAT)
            write_manifest(self.folder, self.manifest)

    def refresh(self) -> None:
        """See what other processes have written since."""
        self.manifest = read_manifest(self.folder)
        self._open_tables()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Say in plain words why something cannot be read.

        Raises:
            IndexVersionGoneError: the versions that were opened may have been cleaned up since.
            IndexFolderError: the index is damaged.
        """
        with explained_reading(self.folder, self._tables.values()):
            yield

    # Segments and files

    @property
    def version(self) -> int:
        """Version of the segments; another one has other rows, or the same ones in other pieces."""
        return self._tables["segments"].version

    def count(self, table: TableName = "segments") -> int:
        """Number of segments, or of rows of another table that can be opened."""
        return self._tables[table].count()

    def segment_reader(self) -> TableReader:
        """Return what reads the segments at the version that is open; this store can write no more.

        Raises:
            IndexVersionGoneError: the version is cleaned up.
        """
        return TableReader(self._tables["segments"])

    def facts(self, columns: Sequence[str], video_ids: Collection[str] | None = None) -> pa.Table:
        """Return some columns of the segments, such as length and rate: all rows, or those of some videos."""
        table = self._tables["segments"]
        if not video_ids and video_ids is not None:
            return table.schema.empty_table().select(list(columns))
        if video_ids is not None:
            return table.read_where("video_id", sorted(video_ids), columns)
        return table.read(columns)

    def video_ids(self) -> set[str]:
        """Return the videos whose segments are stored."""
        return set(self.facts(["video_id"])["video_id"].to_pylist())

    def read_files(self) -> dict[str, FileRecord]:
        """Return every path with what was found there."""
        return {record.path: record for record in self.file_rows()}

    def file_rows(self) -> list[FileRecord]:
        """Return every row of the table of files; in a damaged index a path may have several."""
        return [FileRecord(**row) for row in self._tables["files"].read().to_pylist()]

    def commit(self, segments: pa.Table | None, files: Sequence[FileRecord]) -> None:
        """Add new segments, then say which paths hold them. Each step is atomic, in this order.

        Raises:
            IndexWriteError: the disk is full or fails; what was committed before is whole.
        """
        import pyarrow as pa

        with explained_writing(self.folder):
            if segments is not None and segments.num_rows:
                self._tables["segments"].add(segments)
            if files:
                rows = pa.Table.from_pylist([asdict(record) for record in files], schema=files_schema())
                self._tables["files"].upsert(["path"], rows)

    def drop_paths(self, paths: Sequence[str]) -> None:
        """Remove paths; segments that no path holds any more go with :meth:`drop_orphans`."""
        with explained_writing(self.folder):
            self._tables["files"].delete("path", paths)

    def drop_orphans(self, before: Iterable[FileRecord] = ()) -> int:
        """Remove segments of videos that lie at no known path; return how many videos that were.

        Args:
            before: what was known when the run began. While lost paths are being sought (:data:`SEEKING`),
                only what was known then and is no more is removed.
        """
        orphans = self.video_ids() - {record.video_id for record in self.read_files().values()}
        if self.lost_paths_marker.exists():
            orphans &= {record.video_id for record in before}
        self.drop_videos(sorted(orphans))
        return len(orphans)

    def drop_videos(self, video_ids: Sequence[str]) -> None:
        """Remove the segments of videos; their tags stay, for the day on which a video comes back."""
        with explained_writing(self.folder):
            self._tables["segments"].delete("video_id", video_ids)

    @property
    def lost_paths_marker(self) -> Path:
        """The file that says that lost paths are being sought."""
        return self.folder / SEEKING

    # Tags and captions

    def read_tags(self) -> dict[str, set[str]]:
        """Return the tags of every video that has any, by its identity.

        Raises:
            IndexFolderError: the table is damaged.
        """
        return tags_and_captions.tags_by_video(self._rows("tags"))

    def read_captions(self) -> dict[str, list[str]]:
        """Return the captions of every video that has any, by its identity; raises as :meth:`read_tags`."""
        return tags_and_captions.captions_by_video(self._rows("captions"))

    def caption_sources(self) -> set[str]:
        """Return the files of captions that the index knows; raises as :meth:`read_tags`."""
        return {row["source"] for row in self._rows("captions")}

    def _rows(self, name: TableName) -> list[dict[str, Any]]:
        """All rows of a table that may be damaged, or not there yet."""
        table = self._tables.get(name)
        if table is None and name not in self.damaged:
            return []
        rows = self.damaged[name] if table is None else value_or_reason(table.read)
        if isinstance(rows, str):
            raise IndexFolderError(
                f"the {name} of the index {self.folder} cannot be read: {rows}; everything else can be "
                f"searched; repair them with: vidsift index check --repair --index {self.folder}"
            )
        return list(rows.to_pylist())

    def set_tags(self, video_id: str, tags: Iterable[str]) -> None:
        """Give a video these tags and no others. An indexing run may go on meanwhile.

        Raises:
            ValueError: there is no such video in the index, or a tag cannot be stored.
            IndexFolderError: the index may not be written, or its table of tags is damaged.
            IndexWriteError: the disk is full or fails.
        """
        import pyarrow as pa

        row = {"video_id": video_id, "tags": tags_and_captions.clean_tags(tags)}
        self.refresh()
        if not self._tables["files"].count("video_id", video_id):
            raise ValueError(f"there is no video {video_id!r} in the index {self.folder}")
        if self.manifest.format < _FORMAT_WITH_TAGS:
            with self.writing():
                pass  # which raises the format
        if "tags" in self.damaged:
            self.read_tags()  # raises, and says what to do
        with write_lock(self.folder, TAGS_LOCK, TAGS_PATIENCE_SECONDS), explained_writing(self.folder):
            self._tables["tags"].upsert(["video_id"], pa.Table.from_pylist([row], schema=tags_schema()))

    def write_captions(
        self, sources: Mapping[str, Mapping[str, Sequence[str]]], gone: Iterable[str] = ()
    ) -> int:
        """Make the table say what files of captions say now, while writing; what is as it was is not written.

        Args:
            sources: for each file of captions what it says of each video.
            gone: files whose captions are forgotten.

        Returns:
            How many files said something new.

        Raises:
            IndexFolderError: the table is damaged.
            IndexWriteError: the disk is full or fails.
        """
        import pyarrow as pa

        before = tags_and_captions.captions_by_source(self._rows("captions"))
        now = {
            source: {video: list(some) for video, some in captions.items()}
            for source, captions in sources.items()
        }
        changed = {source: captions for source, captions in now.items() if captions != before.get(source, {})}
        lost = [source for source in gone if source in before]
        with explained_writing(self.folder):
            for source, captions in changed.items():
                rows = [
                    {"source": source, "video_id": video, "captions": some}
                    for video, some in sorted(captions.items())
                ]
                if not rows:
                    lost.append(source)
                    continue
                # One commit, so that no reader meets a video between its old captions and its new ones.
                self._tables["captions"].upsert(
                    ["source", "video_id"],
                    pa.Table.from_pylist(rows, schema=captions_schema()),
                    instead_of=("source", source),
                )
            self._tables["captions"].delete("source", lost)
        return len(changed.keys() | set(lost))

    def drop_captions(self, video_ids: Sequence[str]) -> None:
        """Remove what any source says of some videos; while writing, and where the table is not damaged."""
        with explained_writing(self.folder):
            self._tables["captions"].delete("video_id", video_ids)

    # Folders

    def read_folders(self) -> list[IndexedFolder]:
        """Return what was asked to be indexed, in the order of paths; empty where nobody wrote it down."""
        return read_folders(self.folder)

    def indexed_folders(self) -> list[IndexedFolder]:
        """Return what was asked to be indexed; where nobody wrote it down, the folders of its files."""
        return self.read_folders() or outermost_folders(self.read_files())

    def write_folders(self, folders: Iterable[IndexedFolder]) -> None:
        """Remember what was asked to be indexed; while writing."""
        with explained_writing(self.folder):
            write_folders(self.folder, folders)

    # Looking after: room on disk

    def compact(self) -> None:
        """Merge small pieces that many commits left, where there are many; while writing.

        Rows of segments are large: few are written anew at a time, and all of them once in many versions.
        """
        with explained_writing(self.folder):
            segments = self._tables["segments"]
            if segments.version // _MANY_VERSIONS > self._version_before // _MANY_VERSIONS:
                segments.merge_everything(_KEEP_OLD_VERSIONS)
            else:
                segments.merge_small("segment_id")
            for name, table in self._tables.items():
                if name == "segments" or not table.in_many_pieces():
                    continue
                if name == "files":
                    table.merge_everything(_KEEP_OLD_VERSIONS)
                else:
                    # Who gives tags just now, or damage, of which a check tells, keeps no run from its end.
                    value_or_reason(partial(self._merge_tags_or_captions, name, _KEEP_OLD_VERSIONS))

    def optimize(self, keep: timedelta = _KEEP_OLD_VERSIONS) -> None:
        """Merge all small pieces and remove versions that no reader can hold any more; while writing.

        Args:
            keep: how long a version is kept after a newer one has taken its place.
        """
        with explained_writing(self.folder):
            for name, table in self._tables.items():
                if name in _TAGS_AND_CAPTIONS:
                    self._merge_tags_or_captions(name, keep)
                else:
                    table.merge_everything(keep)

    def _merge_tags_or_captions(self, name: TableName, keep: timedelta) -> None:
        """Merge the pieces of a table; tags may be given meanwhile, and wait for it."""
        with write_lock(self.folder, TAGS_LOCK, TAGS_PATIENCE_SECONDS):
            # What was given since the table was opened counts.
            self._tables[name].see_newest()
            self._tables[name].merge_everything(keep)

    def bytes_on_disk(self) -> int:
        """What the folder takes, old versions included."""
        total = 0
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):  # a writer may remove old versions meanwhile
                total += path.stat().st_size if path.is_file() else 0
        return total

    # Looking after: damage

    def readable_tables(self) -> list[TableName]:
        """Return the tables that could be opened."""
        return list(self._tables)

    def has_its_columns(self, name: TableName) -> bool:
        """Whether a table has the columns of the format, and no others."""
        return bool(self._tables[name].schema.equals(table_schemas(self.manifest.sets)[name]))

    def why_unreadable(self, name: TableName) -> str | None:
        """Read every byte of a table, and return why that cannot be done; None where it can."""
        reason = value_or_reason(lambda: sum(batch.num_rows for batch in self.batches(name)))
        return reason if isinstance(reason, str) else None

    def batches(self, name: TableName) -> Iterator[pa.RecordBatch]:
        """Yield all rows of a table with all columns of the format."""
        yield from self._tables[name].batches(table_schemas(self.manifest.sets)[name].names, _READ_ROWS)

    def salvage(self, name: TableName) -> Iterator[pa.RecordBatch | None]:
        """Yield every row of a damaged table that can be read, in order, and None for each that cannot."""
        yield from self._tables[name].salvage(table_schemas(self.manifest.sets)[name].names)

    def keep_salvaged(self, name: TableName) -> None:
        """Leave of a damaged table, in one commit, what can be read of it; while writing."""
        rows = (batch for batch in self.salvage(name) if batch is not None)
        with explained_writing(self.folder):
            self._tables[name].replace_all(table_schemas(self.manifest.sets)[name], rows)

    def repair_tags(self) -> int:
        """Make a damaged table of tags whole again, with what can be read of it; while writing.

        Returns:
            Of how many videos tags could be saved.
        """
        with write_lock(self.folder, TAGS_LOCK, TAGS_PATIENCE_SECONDS), explained_writing(self.folder):
            saved = make_whole(self.folder, "tags", tags_schema())
        self.refresh()
        return saved

    def empty_captions(self) -> None:
        """Make a damaged table of captions an empty one, which the next run fills; while writing."""
        with write_lock(self.folder, TAGS_LOCK, TAGS_PATIENCE_SECONDS), explained_writing(self.folder):
            Table.create(self.folder, "captions", captions_schema())
        self.refresh()


def holds_nothing_else(folder: Path) -> bool:
    """Whether a folder without manifest is empty, or the rest of an index that was never finished."""
    tables = {table_folder(folder, name).name for name in ("segments", "files", *_TAGS_AND_CAPTIONS)}
    files = {name + end for name in (MANIFEST, *FILES_BESIDE) for end in ("", ".new")}
    known = tables | files | {_LOCK, TAGS_LOCK, SEEKING}
    return all(entry.name in known for entry in folder.iterdir())
