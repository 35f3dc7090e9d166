"""What is said of videos beside what they show: the tables ``tags`` and ``captions`` of an index.

Both belong to a video's content, so they follow it when its file is moved, copied or renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vidsift.index.disk import tried

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "NoteName",
    "captions_by_source",
    "captions_schema",
    "clean_tags",
    "note_schemas",
    "open_notes",
    "quoted",
    "read_captions",
    "read_tags",
    "tags_schema",
    "write_captions",
]

NoteName: TypeAlias = Literal["tags", "captions"]

_LONGEST_TAG = 100
_MOST_TAGS = 100


def tags_schema() -> pa.Schema:
    """Columns of the table of tags: one row a video."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("video_id", pa.string(), nullable=False),
            pa.field("tags", pa.list_(pa.string()), nullable=False),
        ]
    )


def captions_schema() -> pa.Schema:
    """Columns of the table of captions: one row for a video in a file of captions."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("video_id", pa.string(), nullable=False),
            pa.field("captions", pa.list_(pa.string()), nullable=False),
        ]
    )


def note_schemas() -> dict[NoteName, pa.Schema]:
    """Columns of both tables."""
    return {"tags": tags_schema(), "captions": captions_schema()}


def open_notes(database: Any, name: NoteName) -> Any | str:
    """Open one of the tables, or say why it cannot be opened."""
    table = tried(lambda: database.open_table(name))
    # The store opens one whose description was blanked as a table of nothing.
    if not isinstance(table, str) and not table.schema.names:
        return "what describes it is blank"
    return table


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Return tags without spaces around them, each once, sorted.

    Raises:
        ValueError: one is empty, too long or holds control characters, or there are too many.
    """
    found = sorted({tag.strip() for tag in tags})
    for tag in found:
        if not tag or len(tag) > _LONGEST_TAG or not tag.isprintable():
            raise ValueError(
                f"the tag {tag!r} cannot be kept; expected 1 to {_LONGEST_TAG} printable letters"
            )
    if len(found) > _MOST_TAGS:
        raise ValueError(f"{len(found)} tags for one video, expected at most {_MOST_TAGS}")
    return found


def read_tags(table: Any) -> dict[str, set[str]]:
    """Return the tags of every video that has any."""
    return {row["video_id"]: set(row["tags"]) for row in table.to_arrow().to_pylist() if row["tags"]}


def read_captions(table: Any) -> dict[str, list[str]]:
    """Return the captions of every video that has any, each once, in the order of their files."""
    found: dict[str, dict[str, None]] = {}
    for row in sorted(table.to_arrow().to_pylist(), key=lambda one: one["source"]):
        found.setdefault(row["video_id"], {}).update(dict.fromkeys(row["captions"]))
    return {video: list(captions) for video, captions in found.items()}


def captions_by_source(table: Any) -> dict[str, dict[str, list[str]]]:
    """Return what each file of captions says of each video."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in table.to_arrow().to_pylist():
        found.setdefault(row["source"], {})[row["video_id"]] = row["captions"]
    return found


def write_captions(
    table: Any,
    before: Mapping[str, Mapping[str, list[str]]],
    sources: Mapping[str, Mapping[str, Sequence[str]]],
    gone: Iterable[str],
) -> int:
    """Make the table say what files of captions say now; what is as it was is not written.

    Args:
        table: of captions.
        before: what it says, see :func:`captions_by_source`.
        sources: for each file of captions what it says of each video.
        gone: files whose captions are forgotten.

    Returns:
        How many files said something new.
    """
    import pyarrow as pa

    changed = 0
    for source, captions in sources.items():
        said = {video: list(some) for video, some in captions.items()}
        if said == before.get(source, {}):
            continue
        changed += 1
        rows = [
            {"source": source, "video_id": video, "captions": some} for video, some in sorted(said.items())
        ]
        if not rows:
            table.delete(f"source = {quoted(source)}")
            continue
        # One commit, so that no reader meets a video between its old captions and its new ones.
        merge = table.merge_insert(["source", "video_id"]).when_matched_update_all()
        merge = merge.when_not_matched_insert_all()
        merge = merge.when_not_matched_by_source_delete(f"source = {quoted(source)}")
        merge.execute(pa.Table.from_pylist(rows, schema=captions_schema()))
    lost = [source for source in gone if source in before]
    if lost:
        table.delete(f"source IN ({', '.join(map(quoted, lost))})")
    return changed + len(lost)


def quoted(text: str) -> str:
    """Return text as a literal of the store's query language."""
    return "'" + text.replace("'", "''") + "'"
