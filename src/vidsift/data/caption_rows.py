"""Rows of a captions file, whichever kind it is: JSON lines, JSON, CSV or Parquet.

- ``.jsonl``: an object a line; ``.json``: a list of objects; ``.parquet``: a row an object, null for what
  is absent;
- ``.csv``: the first line names the columns, an empty cell is absent.

The keys, or columns, are those of :mod:`vidsift.data.folder`. In tables, where a row has ``caption``, rows
about the same video are one video with several captions.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vidsift.data.annotation_files import text_of
from vidsift.data.entries import parsed_json
from vidsift.errors import CaptionsError

__all__ = ["CAPTIONS_FILES", "caption_rows", "captions_file_in"]

CAPTIONS_FILES = ("captions.jsonl", "captions.json", "captions.csv", "captions.parquet")
"""What a captions file in a folder is called."""

_NUMBERS = ("start", "end")
_TRUTH = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def captions_file_in(folder: Path) -> Path:
    """Return the captions file of a folder; ``captions.jsonl`` where there is none.

    Raises:
        CaptionsError: there are several.
    """
    present = [folder / name for name in CAPTIONS_FILES if (folder / name).is_file()]
    if len(present) > 1:
        names = ", ".join(path.name for path in present)
        raise CaptionsError(f"{folder} has several captions files, {names}; keep one of them")
    return present[0] if present else folder / CAPTIONS_FILES[0]


def caption_rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any] | CaptionsError]]:
    """Yield the rows of a captions file with their places; what is no row is given as its error.

    Raises:
        FileNotFoundError: there is no such file.
        CaptionsError: it cannot be read, or is of no kind that is known.
    """
    kind = file.suffix.lower()
    if not file.is_file():
        raise FileNotFoundError(file)
    if kind == ".csv":
        yield from _csv_rows(file)
    elif kind == ".parquet":
        yield from _parquet_rows(file)
    elif kind == ".json":
        rows = parsed_json(text_of(file), str(file))
        if not isinstance(rows, list):
            raise CaptionsError(f"{file}: holds {type(rows).__name__}, expected a list of objects")
        for number, row in enumerate(rows, start=1):
            place = f"{file}, object {number}"
            yield place, _object(row, place)
    else:
        yield from _json_lines(file)


def _json_lines(file: Path) -> Iterator[tuple[str, Mapping[str, Any] | CaptionsError]]:
    # At line feeds alone: splitlines() also parts a sentence that holds another mark (U+2028, U+0085).
    for number, line in enumerate(text_of(file).split("\n"), start=1):
        if line.strip():
            place = f"{file}, line {number}"
            try:
                yield place, _object(parsed_json(line, place), place)
            except CaptionsError as error:
                yield place, error


def _object(row: Any, place: str) -> Mapping[str, Any] | CaptionsError:
    if isinstance(row, dict):
        return row
    return CaptionsError(f"{place}: holds {type(row).__name__}, expected an object with video and captions")


def _csv_rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any] | CaptionsError]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, strict=True)
            names = list(table.fieldnames or ())
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise CaptionsError(f"{file}, line 1: two columns are called {twice[0]!r}; keep one of them")
            for row in table:
                place = f"{file}, line {table.line_num}"
                if None in row or None in row.values():
                    yield (
                        place,
                        CaptionsError(
                            f"{place}: more or fewer values than columns; a sentence with commas "
                            "stands in quotes"
                        ),
                    )
                    continue
                yield place, _typed({name: value for name, value in row.items() if value}, place)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaptionsError(f"{file} cannot be read: {error}") from error


def _typed(row: dict[str, Any], place: str) -> Mapping[str, Any] | CaptionsError:
    """A row of text with numbers and truth values as JSON would have them."""
    for name in _NUMBERS:
        if name in row:
            try:
                row[name] = float(row[name])
            except ValueError:
                return CaptionsError(f"{place}: {name} is {row[name]!r}, expected a number of seconds")
    if "unseen" in row:
        if row["unseen"].lower() not in _TRUTH:
            return CaptionsError(f"{place}: unseen is {row['unseen']!r}, expected true or false")
        row["unseen"] = _TRUTH[row["unseen"].lower()]
    return row


def _parquet_rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any] | CaptionsError]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as table:
            number = 0
            for batch in table.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield (
                        f"{file}, row {number}",
                        {name: value for name, value in row.items() if value is not None},
                    )
    except (OSError, pa.ArrowException) as error:
        raise CaptionsError(f"{file} cannot be read: {error}") from error
