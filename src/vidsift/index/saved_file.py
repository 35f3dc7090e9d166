"""Lists that people make, in JSON files of an index: read whole, changed by one at a time, replaced at once.

They are small and belong to people, so they stand beside the tables and not in them: no run touches them, a
table that rots does not take them along, and an index that is made anew beside them goes on with them.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from vidsift.errors import IndexFolderError, MissingSavedError
from vidsift.files.disk_errors import plain_words
from vidsift.index.manifest import COLLECTIONS, SAVED_LOCK, SAVED_SEARCHES, read_manifest
from vidsift.index.writing import explained_writing, put_aside, write_json, write_lock

__all__ = ["SAVED_FILES", "SavedFile", "clean_line", "new_id", "now_seconds"]

SAVED_FILES = {SAVED_SEARCHES: "saved searches", COLLECTIONS: "collections"}
"""What the files hold, in words."""

PATIENCE_SECONDS = 20.0
"""How long whoever changes such a file waits for another who does; writing one takes milliseconds."""

_FORMAT = 1
_LONGEST_NAME = 100


class _Named(Protocol):
    """A dataclass with an identity and a name, that JSON can hold."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def entry_id(self) -> str: ...

    @property
    def name(self) -> str: ...

    def as_json(self) -> dict[str, Any]: ...


EntryT = TypeVar("EntryT", bound=_Named)


class SavedFile(Generic[EntryT]):
    """A list of named entries in one file of an index; any number of processes may read and change it.

    Args:
        index: the folder of the index.
        file: its name, one of :data:`SAVED_FILES`.
        parse: makes an entry of what JSON holds.
        most: how many entries it takes.

    Attributes:
        what: it holds, in words.
    """

    def __init__(
        self, index: Path, file: str, parse: Callable[[Mapping[str, Any]], EntryT], *, most: int
    ) -> None:
        """See the class; nothing is read yet."""
        self._index = index
        self._file = file
        self._parse = parse
        self._most = most
        self.what = SAVED_FILES[file]

    def read(self) -> list[EntryT]:
        """Return what is saved, in the order in which it was; nothing where nobody has saved anything.

        Raises:
            IndexFolderError: the file is damaged, or of a newer version.
        """
        path = self._index / self._file
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if (version := values["format"]) != _FORMAT:
                raise IndexFolderError(
                    f"the {self.what} of the index {self._index} have format {version!r}, this vidsift reads "
                    f"{_FORMAT}; use the vidsift that wrote them"
                )
            return [self._parse(value) for value in values["entries"]]
        except FileNotFoundError:
            return []
        except IndexFolderError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise IndexFolderError(
                f"the {self.what} of the index {self._index} cannot be read: {plain_words(error)}, in "
                f"{self._file}; everything else works without; put an older copy of the file back, "
                f"or move it aside with: vidsift index check --repair --index {self._index}"
            ) from error

    def why_unreadable(self) -> str | None:
        """Return why what is saved cannot be read; None where it can."""
        try:
            self.read()
        except IndexFolderError as error:
            return str(error).partition("; ")[0]  # whoever asks says what to do
        return None

    def move_damaged_aside(self) -> Path | None:
        """Put a damaged file out of the way, so that people can go on; return where it is now, if it was."""
        path = self._index / self._file
        with write_lock(self._index, SAVED_LOCK, PATIENCE_SECONDS), explained_writing(self._index):
            try:
                self.read()
            except IndexFolderError as error:
                if error.__cause__ is None:  # of a newer version, and whole
                    return None
                return put_aside(path)
        return None

    def find(self, entry_id: str) -> EntryT:
        """Return an entry by its identity.

        Raises:
            MissingSavedError: there is none.
            IndexFolderError: as :meth:`read`.
        """
        return self._entry_of(self.read(), entry_id)

    def rename(self, entry_id: str, name: str) -> EntryT:
        """Give an entry another name.

        Raises:
            ValueError: the name cannot be saved, or is taken.
            MissingSavedError, IndexFolderError, IndexWriteError: as :meth:`remove`.
        """
        line = clean_line(name, "name")
        return self._change(entry_id, lambda entry, _all: replace(entry, name=line))

    def remove(self, entry_id: str) -> None:
        """Delete an entry.

        Raises:
            MissingSavedError: there is none.
            IndexFolderError: as :meth:`read`; or there is no index, or it may not be written.
            IndexWriteError: the disk is full or fails; what was saved before is whole.
        """
        with self._changing() as entries:
            entries.remove(self._entry_of(entries, entry_id))

    def _append(self, entry: EntryT) -> EntryT:
        """Save an entry; raises as :meth:`remove`, and ValueError if its name is taken, or at too many."""
        with self._changing() as entries:
            if len(entries) >= self._most:
                raise ValueError(
                    f"there are {len(entries)} {self.what}, as many as an index takes; delete one first"
                )
            self._check_name(entries, entry.name)
            entries.append(entry)
        return entry

    def _change(self, entry_id: str, changed: Callable[[EntryT, Sequence[EntryT]], EntryT]) -> EntryT:
        """Put another entry in the place of one; raises as :meth:`remove`, and ValueError as :meth:`_append`.

        Args:
            entry_id: of the one.
            changed: makes it, of the one that is there and of all entries.
        """
        with self._changing() as entries:
            before = self._entry_of(entries, entry_id)
            after = changed(before, entries)
            self._check_name((entry for entry in entries if entry is not before), after.name)
            entries[entries.index(before)] = after
        return after

    @contextmanager
    def _changing(self) -> Iterator[list[EntryT]]:
        """All entries, to be changed; they are written at the end, unless something was wrong."""
        read_manifest(self._index)  # raises where there is no index to keep them in
        with write_lock(self._index, SAVED_LOCK, PATIENCE_SECONDS):
            entries = self.read()
            yield entries
            with explained_writing(self._index):
                values = [entry.as_json() for entry in entries]
                write_json(self._index / self._file, {"format": _FORMAT, "entries": values})

    def _entry_of(self, entries: Iterable[EntryT], entry_id: str) -> EntryT:
        for entry in entries:
            if entry.entry_id == entry_id:
                return entry
        raise MissingSavedError(
            f"none of the {self.what} has the identity {entry_id!r}; it may have been deleted"
        )

    def _check_name(self, others: Iterable[EntryT], name: str) -> None:
        if any(other.name.casefold() == name.casefold() for other in others):
            raise ValueError(f"the name {name!r} is taken by another of the {self.what}; choose another")


def clean_line(text: str, what: str, longest: int = _LONGEST_NAME, *, empty: bool = False) -> str:
    """Return a line of text without spaces around it.

    Args:
        text: as a person typed it.
        what: it is, for the error.
        longest: how many letters it may have.
        empty: it may have none.

    Raises:
        ValueError: it is empty or too long, or holds control characters.
    """
    line = text.strip()
    if not (line or empty) or len(line) > longest or not line.isprintable():
        shown = repr(line if len(line) <= longest else line[:longest] + "\u2026")
        raise ValueError(
            f"the {what} {shown} cannot be saved; expected {0 if empty else 1} to {longest} printable letters"
        )
    return line


def new_id() -> str:
    """Return an identity that nothing has yet."""
    return secrets.token_hex(8)


def now_seconds() -> float:
    """Seconds since 1970, to the millisecond."""
    return round(time.time(), 3)
