"""Saving what can be read of a damaged table, row by row."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.index.disk import locked, telling, tried
from vidsift.index.storage import NOTES_LOCK, NOTES_PATIENCE_SECONDS, Store
from vidsift.index.tags_and_captions import NoteName, note_schemas, open_notes

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["mend_notes", "salvage"]

_SALVAGED_ROWS = 64
_SET_ASIDE = "damaged"


def salvage(table: Any, names: list[str]) -> Iterator[pa.RecordBatch | None]:
    """Yield every row of a table that can be read, in its order, and None for each that cannot."""
    count = int(table.count_rows())
    for start in range(0, count, _SALVAGED_ROWS):
        yield from _salvage_some(table, names, range(start, min(start + _SALVAGED_ROWS, count)))


def _salvage_some(table: Any, names: list[str], offsets: range) -> Iterator[pa.RecordBatch | None]:
    found = tried(lambda: table.take_offsets(list(offsets)).select(names).to_arrow())
    if not isinstance(found, str):
        yield from found.to_batches()
    elif len(offsets) == 1:
        yield None
    else:
        middle = len(offsets) // 2
        yield from _salvage_some(table, names, offsets[:middle])
        yield from _salvage_some(table, names, offsets[middle:])


def mend_notes(store: Store, name: NoteName) -> str:
    """Make a damaged table of notes whole again; while writing.

    Tags are kept as far as they can be read: of the last version that opens, every row. Captions come from
    files, which the next run reads anew.

    Returns:
        What became of it, in words.
    """
    import lancedb
    import pyarrow as pa

    schema = note_schemas()[name]
    folder = store.folder / f"{name}.lance"
    with locked(store.folder, NOTES_LOCK, NOTES_PATIENCE_SECONDS), telling(store.folder):
        database = lancedb.connect(store.folder)
        table = open_notes(database, name)
        while isinstance(table, str) and _step_back(folder):
            table = open_notes(database, name)
        kept: list[pa.RecordBatch] = []
        if name == "tags" and not isinstance(table, str):
            kept = [rows for rows in salvage(table, schema.names) if rows is not None]
        if isinstance(table, str):
            shutil.rmtree(folder, ignore_errors=True)
            database.create_table(name, schema=schema)
        else:
            table.add(pa.RecordBatchReader.from_batches(schema, kept), mode="overwrite")
    store.refresh()
    if name == "captions":
        return "captions are read anew from their files by: vidsift index update"
    return f"the tags of {sum(rows.num_rows for rows in kept)} videos could be saved"


def _step_back(folder: Path) -> bool:
    """Set the newest version of a table aside; whether there was one.

    Nothing is deleted: the reason may be a disk that fails for the moment.
    """
    versions = sorted((folder / "_versions").glob("*.manifest"), key=lambda one: _version(one.stem))
    if not versions:
        return False
    (folder / _SET_ASIDE).mkdir(exist_ok=True)
    versions[-1].replace(folder / _SET_ASIDE / versions[-1].name)
    return True


def _version(stem: str) -> int:
    """Number of a version by the name of its file, where the store counts down from the largest number."""
    number = int(stem) if stem.isdigit() else 0
    return number if number < 1 << 63 else (1 << 64) - 1 - number
