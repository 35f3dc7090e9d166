"""Annotation files of published data sets: found by name, read strictly, refused with file and line."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidsift.data.entries import parsed_json
from vidsift.errors import AnnotationsMissingError, CaptionsError

__all__ = ["AnnotationFolder", "text_of"]

_DEEPEST = 4
_PICKLES = (".pkl", ".pickle")


@dataclass
class AnnotationFolder:
    """The annotation files of a data set, in a folder and in the folders below it.

    Projects give out the same annotations in different files: where a method takes several names, the first
    one that is there is read.

    Attributes:
        folder: where they lie.
        title: the data set's name, for messages.
    """

    folder: Path
    title: str
    _places: dict[str, list[Path]] | None = field(default=None, repr=False)

    def present(self, *names: str) -> str | None:
        """Return the first of some file names that is there; None where none is."""
        places = self._all_places()
        return next((name for name in names if name in places), None)

    def file(self, *names: str) -> Path:
        """Return the first of some files that is there: the one nearest to the folder.

        Raises:
            AnnotationsMissingError: none is there.
            CaptionsError: two of them are as near as each other.
        """
        places = self._all_places()
        name = self.present(*names)
        if name is None:
            raise AnnotationsMissingError(self._why_not(names))
        nearest = [path for path in places[name] if len(path.parts) == len(places[name][0].parts)]
        if len(nearest) > 1:
            raise CaptionsError(
                f"{nearest[0]} and {nearest[1]}: which one is {self.title}'s? Keep one of them there"
            )
        return nearest[0]

    def csv_rows(self, names: str | Sequence[str], *columns: str) -> Iterator[dict[str, str]]:
        """Read a file of comma-separated values that begins with the names of its columns.

        Raises:
            CaptionsError: it cannot be read, lacks one of the columns, or a value in one.
        """
        file = self.file(*_each(names))
        try:
            # newline="" leaves line ends within quoted sentences to csv; Excel begins a file with a mark.
            with file.open(encoding="utf-8-sig", newline="") as lines:
                # Strict: a quote that is left open would take in all lines that follow.
                table = csv.DictReader(lines, strict=True)
                if table.fieldnames is None:
                    raise CaptionsError(f"{file} is empty; expected the columns {', '.join(columns)}")
                absent = [column for column in columns if column not in (table.fieldnames or ())]
                if absent:
                    raise CaptionsError(f"{file}, line 1: no column {absent[0]!r}; expected {columns}")
                for row in table:
                    # A short row has None where its columns end.
                    empty = [column for column in columns if not row[column]]
                    if empty:
                        raise CaptionsError(f"{file}, line {table.line_num}: {empty[0]} is empty")
                    if None in row:
                        raise CaptionsError(
                            f"{file}, line {table.line_num}: more values than columns; a sentence with "
                            "commas stands in quotes"
                        )
                    yield row
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise CaptionsError(f"{file} cannot be read: {error}") from error

    def tab_rows(self, names: str | Sequence[str], columns: Sequence[str]) -> Iterator[dict[str, str]]:
        """Read a file of tab-separated values without a head; quotes are letters like others.

        Raises:
            CaptionsError: it cannot be read, or a line has fewer or more values than there are columns.
        """
        file = self.file(*_each(names))
        for number, line in enumerate(text_of(file).split("\n"), start=1):
            if not line.strip():
                continue
            values = line.rstrip("\r").split("\t")
            if len(values) != len(columns):
                raise CaptionsError(
                    f"{file}, line {number}: {len(values)} values between tabs, expected {len(columns)}: "
                    f"{', '.join(columns)}"
                )
            yield dict(zip(columns, values, strict=True))

    def json(self, *names: str) -> Any:
        """Read a JSON file.

        Raises:
            CaptionsError: it is not there, or is none.
        """
        file = self.file(*names)
        return parsed_json(text_of(file), str(file))

    def json_values(self, names: str | Sequence[str], *keys: str) -> list[Any]:
        """Read a file with a JSON object, and return the values of some of its keys, in this order.

        Raises:
            CaptionsError: it cannot be read, or lacks a key.
        """
        file = self.file(*_each(names))
        values = self.json(file.name)
        absent = [key for key in keys if not isinstance(values, dict) or key not in values]
        if absent:
            raise CaptionsError(f"{file}: no key {absent[0]!r}; expected an object with {', '.join(keys)}")
        return [values[key] for key in keys]

    def lines(self, *names: str) -> list[str]:
        """Read a file with one id, or other word, a line; empty lines are left out.

        Raises:
            CaptionsError: it cannot be read.
        """
        return [line.strip() for line in text_of(self.file(*names)).split("\n") if line.strip()]

    def word_captions(self, *names: str) -> dict[str, list[str]]:
        """Read captions by video id, each a sentence or a list of its words.

        So collaborative-experts gives them out, as a pickle (raw-captions.pkl) that ``vidsift data convert``
        makes JSON of.

        Raises:
            CaptionsError: the file is not there, or holds something else.
        """
        file = self.file(*names)
        values = self.json(file.name)
        if not isinstance(values, dict):
            raise CaptionsError(f"{file}: holds {type(values).__name__}, expected captions by video id")
        captions: dict[str, list[str]] = {}
        for video_id, said in values.items():
            sentences = [said] if isinstance(said, str) else said
            if not isinstance(sentences, list):
                raise CaptionsError(f"{file}: captions of {video_id} are {said!r}, expected a list")
            captions[video_id] = [
                " ".join(sentence) if isinstance(sentence, list) else sentence for sentence in sentences
            ]
        return captions

    def _all_places(self) -> dict[str, list[Path]]:
        """Where the files of each name lie, the nearest first; looked up once."""
        if self._places is None:
            places: dict[str, list[Path]] = {}
            for place, folders, names in os.walk(self.folder):
                depth = len(Path(place).relative_to(self.folder).parts)
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                if depth >= _DEEPEST:
                    folders.clear()
                for name in names:
                    places.setdefault(name, []).append(Path(place) / name)
            for paths in places.values():
                paths.sort(key=lambda path: (len(path.parts), str(path)))
            self._places = places
        return self._places

    def _why_not(self, names: Sequence[str]) -> str:
        if self.folder.is_file():
            return f"{self.folder} is a file; expected the folder of {self.title}'s annotation files"
        others = f", or else {', '.join(names[1:])}" if len(names) > 1 else ""
        why = (
            f"there is no {self.folder / names[0]}; expected the folder of {self.title}'s annotation files, "
            f"with {names[0]}{others}"
        )
        stems = {Path(name).stem for name in names}
        for name, paths in sorted(self._all_places().items()):
            if Path(name).suffix.lower() in _PICKLES and Path(name).stem in stems:
                return (
                    f"{why}. {paths[0]} is a pickle, which can run any program when it is loaded, and is not "
                    f"read: make plain JSON of it with: vidsift data convert {paths[0]}"
                )
        return why


def text_of(file: Path) -> str:
    """Return the text of an annotation file.

    Raises:
        CaptionsError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CaptionsError(f"{file} cannot be read: {error}") from error


def _each(names: str | Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names
