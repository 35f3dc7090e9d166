"""Collections: moments of videos that people put together by hand, under a name.

A moment names its video by content, as tags do: it follows a file that is moved, and one whose video has left
the index stays, with the path that it had, for the day on which the video comes back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vidsift.errors import MissingSavedError
from vidsift.index.manifest import COLLECTIONS
from vidsift.index.saved_file import SavedFile, clean_line, new_id, now_seconds

__all__ = ["MOST_MOMENTS", "CollectedMoment", "MomentCollection", "MomentCollections"]

MOST_COLLECTIONS = 200
MOST_MOMENTS = 500
"""In one collection."""

MOST_IN_ALL = 10_000
"""In all collections together: their file stays some megabytes small."""

LONGEST_NOTE = 500
_SAME_SECONDS = 5e-4


@dataclass(frozen=True)
class CollectedMoment:
    """A moment in a collection.

    Attributes:
        moment_id: its identity; empty until it is in a collection.
        video_id: identity of the video's content.
        path: where the video lay when the moment was added.
        start_seconds, end_seconds: in the video.
        note: what a person says of it; may be empty.
        added_seconds: when it was added, since 1970.
    """

    moment_id: str
    video_id: str
    path: str
    start_seconds: float
    end_seconds: float
    note: str = ""
    added_seconds: float = 0.0

    def is_same(self, other: CollectedMoment) -> bool:
        """Whether both are the same stretch of the same video, to half a millisecond."""
        return (
            self.video_id == other.video_id
            and abs(self.start_seconds - other.start_seconds) < _SAME_SECONDS
            and abs(self.end_seconds - other.end_seconds) < _SAME_SECONDS
        )


@dataclass(frozen=True)
class MomentCollection:
    """Moments under a name.

    Attributes:
        entry_id: its identity.
        name: that a person gave it; no other has it.
        created_seconds: when it was made, since 1970.
        moments: in the order in which they were added.
    """

    entry_id: str
    name: str
    created_seconds: float
    moments: tuple[CollectedMoment, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What the file holds of it."""
        return {
            "id": self.entry_id,
            "name": self.name,
            "created_seconds": self.created_seconds,
            "moments": [asdict(moment) for moment in self.moments],
        }


class MomentCollections(SavedFile[MomentCollection]):
    """The collections of an index, the first one that was made first.

    Args:
        index: its folder.
    """

    def __init__(self, index: str | Path) -> None:
        """See the class; nothing is read yet."""
        super().__init__(Path(index), COLLECTIONS, _parsed, most=MOST_COLLECTIONS)

    def add(self, name: str) -> MomentCollection:
        """Make an empty one under a name that no other has.

        Raises:
            ValueError: the name cannot be saved or is taken, or there are too many.
            IndexFolderError, IndexWriteError: as :meth:`remove`.
        """
        return self._append(MomentCollection(new_id(), clean_line(name, "name"), now_seconds()))

    def add_moments(self, collection_id: str, moments: Iterable[CollectedMoment]) -> MomentCollection:
        """Put moments at the end of a collection; those that it holds already are not added twice.

        Raises:
            ValueError: a span or a note cannot be saved, or there would be too many moments.
            MissingSavedError, IndexFolderError, IndexWriteError: as :meth:`remove`.
        """
        new = [_checked(moment) for moment in moments]

        def added(before: MomentCollection, every: Sequence[MomentCollection]) -> MomentCollection:
            held = list(before.moments)
            for moment in new:
                if not any(moment.is_same(other) for other in held):
                    held.append(replace(moment, moment_id=new_id(), added_seconds=now_seconds()))
            if len(held) > MOST_MOMENTS:
                raise ValueError(
                    f"the collection {before.name!r} would hold {len(held)} moments, expected at most "
                    f"{MOST_MOMENTS}; go on in another collection"
                )
            others = sum(len(collection.moments) for collection in every if collection is not before)
            if others + len(held) > MOST_IN_ALL:
                raise ValueError(
                    f"all collections together would hold {others + len(held)} moments, expected at most "
                    f"{MOST_IN_ALL}; delete a collection first"
                )
            return replace(before, moments=tuple(held))

        return self._change(collection_id, added)

    def remove_moment(self, collection_id: str, moment_id: str) -> MomentCollection:
        """Take a moment out of a collection; the video stays. Raises as :meth:`remove`."""

        def without(before: MomentCollection, _every: Sequence[MomentCollection]) -> MomentCollection:
            left = tuple(moment for moment in before.moments if moment.moment_id != moment_id)
            if len(left) == len(before.moments):
                raise MissingSavedError(
                    f"no moment of the collection {before.name!r} has the identity {moment_id!r}; it may "
                    "have been taken out"
                )
            return replace(before, moments=left)

        return self._change(collection_id, without)


def _checked(moment: CollectedMoment) -> CollectedMoment:
    if not 0 <= moment.start_seconds < moment.end_seconds < math.inf:
        raise ValueError(
            f"a moment from {moment.start_seconds:g} to {moment.end_seconds:g} seconds cannot be saved; its "
            "end must be after its start"
        )
    return replace(moment, note=clean_line(moment.note, "note", LONGEST_NOTE, empty=True))


def _parsed(value: Mapping[str, Any]) -> MomentCollection:
    moments = tuple(CollectedMoment(**moment) for moment in value["moments"])
    return MomentCollection(str(value["id"]), str(value["name"]), float(value["created_seconds"]), moments)
