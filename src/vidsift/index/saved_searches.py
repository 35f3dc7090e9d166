"""Searches that people saved under a name: the question as it was set, to be asked again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidsift.index.manifest import SAVED_SEARCHES
from vidsift.index.saved_file import SavedFile, clean_line, new_id, now_seconds

__all__ = ["NamedSearch", "SavedSearches"]

MOST_SEARCHES = 200
LONGEST_QUESTION = 100_000
"""Letters of a question as JSON: more than any that a search takes."""


@dataclass(frozen=True)
class NamedSearch:
    """A question under a name.

    Attributes:
        entry_id: its identity.
        name: that a person gave it; no other has it.
        question: the sentences and how they are asked, as whoever asks them writes it down; JSON holds it.
        created_seconds: when it was saved, since 1970.
    """

    entry_id: str
    name: str
    question: Mapping[str, Any]
    created_seconds: float

    def as_json(self) -> dict[str, Any]:
        """What the file holds of it."""
        return {
            "id": self.entry_id,
            "name": self.name,
            "question": dict(self.question),
            "created_seconds": self.created_seconds,
        }


class SavedSearches(SavedFile[NamedSearch]):
    """The saved searches of an index, the first one that was saved first.

    Args:
        index: its folder.
    """

    def __init__(self, index: str | Path) -> None:
        """See the class; nothing is read yet."""
        super().__init__(Path(index), SAVED_SEARCHES, _parsed, most=MOST_SEARCHES)

    def add(self, name: str, question: Mapping[str, Any]) -> NamedSearch:
        """Save a question under a name that no other has.

        Raises:
            ValueError: the name cannot be saved or is taken, the question is too long, or there are too many.
            IndexFolderError, IndexWriteError: as :meth:`remove`.
        """
        if len(json.dumps(dict(question))) > LONGEST_QUESTION:
            raise ValueError(f"the question of {name!r} is too long to be saved; shorten it or its filter")
        return self._append(NamedSearch(new_id(), clean_line(name, "name"), question, now_seconds()))


def _parsed(value: Mapping[str, Any]) -> NamedSearch:
    return NamedSearch(
        str(value["id"]), str(value["name"]), dict(value["question"]), float(value["created_seconds"])
    )
