"""The tables of an index: LanceDB is spoken in this file alone.

A :class:`Table` takes and gives Arrow tables. Whoever reads or writes an index asks
:class:`~vidsift.index.storage.Store`, which holds the tables and hides them.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import IndexFolderError, IndexVersionGoneError
from vidsift.files.disk_errors import plain_words
from vidsift.index.schema import ROW_ID, TableName

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Table",
    "age_of_unread",
    "connect",
    "explained_reading",
    "make_whole",
    "open_or_reason",
    "table_folder",
    "table_names",
    "value_or_reason",
    "was_written",
]

_MERGED_PIECES = 16
_MERGED_ROWS_AT_MOST = 1 << 14
_MANY_SMALL_PIECES = 16
_NEVER = timedelta(days=36_500)  # no version is so old: merging by itself, though LanceDB's call also removes
_MARGIN = timedelta(seconds=10)  # until LanceDB takes the age off its own now, time goes on
_VALUES_IN_A_FILTER = 500
_SALVAGED_ROWS = 64
_SET_ASIDE = "damaged"

T = TypeVar("T")


def connect(folder: Path) -> Any:
    """Return what opens the tables of an index."""
    import lancedb

    return lancedb.connect(folder)


class Table:
    """One table of an index, open at the version that was the newest then; own writes are seen.

    Args:
        folder: of the index.
        name: of the table.
        database: see :func:`connect`; several tables of an index open faster through one.

    Raises:
        Exception: it is not there or cannot be read; LanceDB's own errors, of many kinds.
    """

    def __init__(self, folder: Path, name: str, database: Any = None) -> None:
        """See the class."""
        self.folder = folder
        self.name = name
        self._table: Any = (connect(folder) if database is None else database).open_table(name)

    @classmethod
    def create(cls, folder: Path, name: TableName, schema: pa.Schema) -> Table:
        """Make an empty table; what lies in its place goes."""
        shutil.rmtree(table_folder(folder, name), ignore_errors=True)
        connect(folder).create_table(name, schema=schema)
        return cls(folder, name)

    @property
    def version(self) -> int:
        """Number of the version that is open."""
        return int(self._table.version)

    @property
    def schema(self) -> pa.Schema:
        """Columns as they are stored; none where what describes the table was blanked."""
        return self._table.schema

    def see_newest(self) -> None:
        """See what others have written since."""
        self._table.checkout_latest()

    def stay(self) -> None:
        """Stay at the version that is open, and write no more."""
        self._table.checkout(self.version)

    def replaced(self) -> bool:
        """Whether there is a newer version than the open one, so that this one may be cleaned up."""
        try:
            # Opened anew: the handle at hand may be held at its version.
            return Table(self.folder, self.name).version != self.version
        except (RuntimeError, OSError, ValueError):
            return False

    # Reading

    def count(self, column: str | None = None, value: str = "") -> int:
        """Number of rows; with a column, of those that have the value there."""
        chosen = None if column is None else f"{column} = {_literal(value)}"
        return int(self._table.count_rows(chosen))

    def read(self, columns: Sequence[str] | None = None, *, row_ids: bool = False) -> pa.Table:
        """Return all rows.

        Args:
            columns: which; all when None.
            row_ids: with the column :data:`ROW_ID`.
        """
        return self._query(columns, row_ids).to_arrow()

    def read_where(self, column: str, values: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Return the rows that have one of the values in a column; at least one value."""
        import pyarrow as pa

        chosen = (self._query(columns, False).where(words).to_arrow() for words in _is_one_of(column, values))
        return pa.concat_tables(chosen)

    def batches(
        self, columns: Sequence[str], rows: int, *, row_ids: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """Yield all rows, at most so many at a time."""
        yield from self._query(columns, row_ids).to_batches(batch_size=rows)

    def take(self, row_ids: NDArray[np.uint64], columns: Sequence[str]) -> pa.Table:
        """Return rows by their ids, in the order of the ids."""
        taken = self._table.take_row_ids(row_ids.tolist()).select(list(columns)).with_row_id().to_arrow()
        ids = taken[ROW_ID].to_numpy()
        if np.array_equal(ids, row_ids):
            return taken
        # LanceDB answers in an order of its own, and with a row that is asked for twice once.
        order = np.argsort(ids)
        return taken.take(order[np.searchsorted(ids, row_ids, sorter=order)])

    def salvage(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch | None]:
        """Yield every row that can be read, in its order, and None for each that cannot."""
        count = self.count()
        for start in range(0, count, _SALVAGED_ROWS):
            yield from self._salvage(columns, range(start, min(start + _SALVAGED_ROWS, count)))

    def _salvage(self, columns: Sequence[str], offsets: range) -> Iterator[pa.RecordBatch | None]:
        """Halve what cannot be read as a whole until the rows are known that cannot."""
        rows = value_or_reason(
            lambda: self._table.take_offsets(list(offsets)).select(list(columns)).to_arrow()
        )
        if not isinstance(rows, str):
            yield from rows.to_batches()
        elif len(offsets) == 1:
            yield None
        else:
            middle = len(offsets) // 2
            yield from self._salvage(columns, offsets[:middle])
            yield from self._salvage(columns, offsets[middle:])

    def _query(self, columns: Sequence[str] | None, row_ids: bool) -> Any:
        query = self._table.search()
        query = query if columns is None else query.select(list(columns))
        return query.with_row_id(True) if row_ids else query

    # Writing: each call is one commit.

    def add(self, rows: pa.Table) -> None:
        """Add rows."""
        self._table.add(rows)

    def replace_all(self, schema: pa.Schema, rows: Iterable[pa.RecordBatch]) -> None:
        """Put these rows in the place of all."""
        import pyarrow as pa

        self._table.add(pa.RecordBatchReader.from_batches(schema, rows), mode="overwrite")

    def upsert(
        self, keys: Sequence[str], rows: pa.Table, *, instead_of: tuple[str, str] | None = None
    ) -> None:
        """Write rows over those of the same keys, and add those that have none.

        Args:
            keys: columns that tell rows apart.
            rows: what to write.
            instead_of: a column and a value; rows that have it there, and are none of the new ones, go.
        """
        merge = self._table.merge_insert(list(keys)).when_matched_update_all().when_not_matched_insert_all()
        if instead_of is not None:
            column, value = instead_of
            merge = merge.when_not_matched_by_source_delete(f"{column} = {_literal(value)}")
        merge.execute(rows)

    def delete(self, column: str, values: Sequence[str]) -> None:
        """Remove the rows that have one of the values in a column; many values take several commits."""
        for words in _is_one_of(column, values):
            self._table.delete(words)

    # Looking after: commits leave pieces and old versions behind.

    def pieces(self) -> int:
        """In how many pieces the rows lie."""
        return int(self._table.stats()["fragment_stats"]["num_fragments"])

    def in_many_pieces(self) -> bool:
        """Whether so many small pieces lie there that merging them is worth it."""
        return bool(self._table.stats()["fragment_stats"]["num_small_fragments"] >= _MANY_SMALL_PIECES)

    def merge_small(self, key: str) -> int:
        """Make one piece of sixteen that are of the same order of size, in one commit.

        So a row is written anew once for every sixteenfold growth of what was added after it, and a table has
        about sixteen pieces for every order of size. Readers meet the old pieces or the new one.

        Args:
            key: the column that tells rows apart.

        Returns:
            How many rows were written anew; 0 where nothing was to do, or the pieces are so large that only
            :meth:`merge_everything` should.
        """
        if self.pieces() < _MERGED_PIECES:
            return 0
        rows = self.read([key], row_ids=True)
        # Merging by key would make one row of two with the same; such damage is the check's to report.
        if not rows.num_rows or len(rows[key].unique()) != rows.num_rows:
            return 0
        row_ids = rows[ROW_ID].to_numpy()
        # A row's id is the number of its piece and its place in it.
        pieces, sizes = np.unique(row_ids >> 32, return_counts=True)
        orders = np.floor(np.log(sizes) / np.log(_MERGED_PIECES)).astype(int)
        for order in np.unique(orders):
            alike = orders == order
            if alike.sum() < _MERGED_PIECES or sizes[alike].sum() > _MERGED_ROWS_AT_MOST:
                continue
            chosen = row_ids[np.isin(row_ids >> 32, pieces[alike])]
            taken = self._table.take_row_ids(chosen.tolist()).to_arrow().select(self.schema.names)
            # Rows written over themselves land in one new piece, and the old pieces are left empty.
            self._table.merge_insert(key).when_matched_update_all().execute(taken)
            return len(chosen)
        return 0

    def merge_everything(self, keep: timedelta) -> None:
        """Make one piece of all, and remove versions that no reader can hold any more.

        Args:
            keep: how long a version is kept after a newer one has taken its place.
        """
        # Merging takes its time, which must not count as the age of a version.
        self._table.optimize(cleanup_older_than=_NEVER)
        made = [version["timestamp"] for version in self._table.list_versions()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that nothing may be kept was asked for
            self._table.optimize(cleanup_older_than=age_of_unread(made, keep))


@contextmanager
def explained_reading(folder: Path, tables: Iterable[Table]) -> Iterator[None]:
    """Say in plain words what it means that something stored cannot be read.

    Args:
        folder: of the index.
        tables: those that are read, open at some version.

    Raises:
        IndexVersionGoneError: there is a newer version, so that this one may have been cleaned up.
        IndexFolderError: it is the newest one.
    """
    try:
        yield
    except IndexFolderError:
        raise
    except (RuntimeError, OSError, ValueError) as error:
        if any(table.replaced() for table in tables):
            raise IndexVersionGoneError(
                f"the index {folder} has changed since it was opened, and the version that was read is "
                "cleaned up; call refresh() and ask again"
            ) from error
        raise IndexFolderError(
            f"the index {folder} is damaged: {plain_words(error)}; delete the folder and index again"
        ) from error


def value_or_reason(read: Callable[[], T]) -> T | str:
    """What can be read, or why it cannot."""
    try:
        return read()
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):  # say nothing of the table
        raise
    except BaseException as error:  # damage makes LanceDB panic, which is no Exception
        return plain_words(error)


def open_or_reason(folder: Path, name: str, database: Any = None) -> Table | str:
    """Open a table, or say why it cannot be opened."""
    table = value_or_reason(lambda: Table(folder, name, database))
    # LanceDB opens one whose description was blanked as a table of nothing.
    if not isinstance(table, str) and not table.schema.names:
        return "what describes it is blank"
    return table


def make_whole(folder: Path, name: TableName, schema: pa.Schema) -> int:
    """Put a whole table in the place of a damaged one.

    Args:
        folder: of the index.
        name: of the table.
        schema: its columns.

    Returns:
        How many rows could be saved: all that can be read of the last version that opens.
    """
    table = open_or_reason(folder, name)
    while isinstance(table, str) and _set_newest_version_aside(folder, name):
        table = open_or_reason(folder, name)
    if isinstance(table, str):
        Table.create(folder, name, schema)
        return 0
    saved = [batch for batch in table.salvage(schema.names) if batch is not None]
    table.replace_all(schema, saved)
    return sum(batch.num_rows for batch in saved)


def age_of_unread(made: Sequence[datetime], keep: timedelta) -> timedelta:
    """Age beyond which a version was replaced more than ``keep`` ago.

    LanceDB removes versions by the time at which they were made. One that was made long ago may be what
    everybody reads, or was until a moment ago.

    Args:
        made: when each version was.
        keep: how long one is kept after it was replaced.
    """
    if not keep:
        return timedelta(microseconds=1)
    now = datetime.now().astimezone()
    current_then = max((time for time in map(_local, made) if time <= now - keep), default=now - keep)
    return now - current_then + _MARGIN


def table_folder(folder: Path, name: str) -> Path:
    """Where a table lies in the folder of its index."""
    return folder / f"{name}.lance"


def table_names(folder: Path) -> list[str]:
    """Names of the tables that lie in the folder of an index, ascending."""
    return sorted(path.stem for path in folder.glob("*.lance"))


def was_written(folder: Path, name: str) -> bool:
    """Whether rows were ever written to a table, as far as its files tell."""
    return any(table_folder(folder, name).glob("data/*"))


def _set_newest_version_aside(folder: Path, name: str) -> bool:
    """Make the version before the newest the newest one; whether there was any.

    Nothing is deleted: the reason may be a disk that fails for the moment.
    """
    place = table_folder(folder, name)
    versions = sorted((place / "_versions").glob("*.manifest"), key=lambda path: _version_number(path.stem))
    if not versions:
        return False
    (place / _SET_ASIDE).mkdir(exist_ok=True)
    versions[-1].replace(place / _SET_ASIDE / versions[-1].name)
    return True


def _version_number(stem: str) -> int:
    """Number of a version by the name of its file; LanceDB counts names down from the largest number."""
    number = int(stem) if stem.isdigit() else 0
    return number if number < 1 << 63 else (1 << 64) - 1 - number


def _is_one_of(column: str, values: Sequence[str]) -> Iterator[str]:
    """Filters in SQL, each over so many values as a filter may hold."""
    for start in range(0, len(values), _VALUES_IN_A_FILTER):
        some = ", ".join(map(_literal, values[start : start + _VALUES_IN_A_FILTER]))
        yield f"{column} IN ({some})"


def _literal(text: str) -> str:
    # Standard SQL: a quote is doubled, and a backslash is a letter like any other.
    return "'" + text.replace("'", "''") + "'"


def _local(time: datetime) -> datetime:
    return time.astimezone()
