"""Versions of an index: its segments read at one of them, and a watch for new ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import IndexFolderError
from vidsift.index.manifest import MANIFEST
from vidsift.index.tables import Table, explained_reading, table_names

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TableReader", "VersionWatcher"]


class TableReader:
    """A table at one version, whatever is written or cleaned up meanwhile.

    Every method raises :class:`IndexVersionGoneError` where the version is cleaned up, and
    :class:`IndexFolderError` where the table is damaged.

    Args:
        table: open; it stays at its version, and can no longer be written.
    """

    def __init__(self, table: Table) -> None:
        """See the class."""
        self._table = table
        with self._reading():
            table.stay()

    @property
    def version(self) -> int:
        """Number of the version."""
        return self._table.version

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return all rows, with the column :data:`~vidsift.index.schema.ROW_ID`."""
        with self._reading():
            return self._table.read(columns, row_ids=True)

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield all rows, at most so many at a time, with the column :data:`~vidsift.index.schema.ROW_ID`."""
        with self._reading():
            yield from self._table.batches(columns, rows, row_ids=True)

    def take(self, row_ids: NDArray[np.uint64], columns: Sequence[str]) -> pa.Table:
        """Return rows by their ids, in the order of the ids."""
        with self._reading():
            return self._table.take(row_ids, columns)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with explained_reading(self._table.folder, [self._table]):
            yield


class VersionWatcher:
    """Says what changes whenever an index does, at the cost of milliseconds.

    Args:
        folder: of the index, which need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        """See the class; nothing is read yet."""
        self._folder = folder
        self._made: tuple[int, int] | None = None
        self._tables: list[Table] = []

    def versions(self) -> tuple[object, ...]:
        """When the index was made, and the versions of its tables now; empty where there is no index.

        Raises:
            IndexFolderError: it cannot be read.
        """
        try:
            status = (self._folder / MANIFEST).stat()
        except FileNotFoundError:
            self._made = None
            return ()
        # An index that is made anew in the same place counts its versions from 1 again.
        made = (status.st_mtime_ns, status.st_ino)
        try:
            if self._made != made:
                self._tables = [Table(self._folder, name) for name in table_names(self._folder)]
                self._made = made
            for table in self._tables:
                table.see_newest()
            return (made, *(table.version for table in self._tables))
        except Exception as error:
            self._made = None
            raise IndexFolderError(f"the index {self._folder} cannot be read") from error
