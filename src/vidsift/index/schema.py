"""Columns of the index, and token sets to columns and back.

Tokens are stored in fp16 as one block of bytes a row, padded to the set's number of slots: measured over
20,000 rows of 12 x 512, fixed-size bytes read in 0.30 s, a fixed-size list of halves in 0.38 s, a list of
fixed-size lists in 0.78 s, and blocks of varying length in 1.1 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

    from vidsift.types import Features, Span, TokenSet

__all__ = [
    "FORMAT",
    "READABLE_FORMATS",
    "ROW_ID",
    "SINGLE_PICTURE",
    "FileRecord",
    "SetLayout",
    "TableName",
    "captions_schema",
    "files_schema",
    "layout_of",
    "parts_from_table",
    "segment_id",
    "segments_schema",
    "set_to_columns",
    "sets_from_table",
    "stored_tokens",
    "table_schemas",
    "tags_schema",
    "token_columns",
]

TableName: TypeAlias = Literal["segments", "files", "tags", "captions"]

FORMAT = 2
"""Version of the layout on disk; raised by every change that an older reader cannot ignore.

1: tables ``segments`` and ``files``. 2: also ``tags`` and ``captions``, and ``folders.json``.
"""

READABLE_FORMATS = frozenset({1, 2})
"""Formats that this reads; what is older than :data:`FORMAT` is raised to it when it is written to."""

ROW_ID = "_rowid"
"""Column of row ids beside those that were asked for; they find a row again in the same version."""

SINGLE_PICTURE = "is a single picture, no video"
"""The reason that stands with a file which holds one picture; earlier versions show it as one that failed."""

_PARTS = ("weights", "times_seconds", "frame", "group")
_STORED_AS: dict[str, type[np.generic]] = {
    "mask": np.uint8,
    "weights": np.float32,
    "times_seconds": np.float64,
    "frame": np.int32,
    "group": np.int32,
}


@dataclass(frozen=True)
class FileRecord:
    """What was found at a path when it was last looked at.

    Attributes:
        path: absolute.
        size_bytes, modified_ns: to tell in a moment whether the file changed.
        video_id: identity of its content; None if it could not be read.
        reason: why it could not be read; None if it could.
        damage: why a readable file gave less than it should have; None for a whole one.
    """

    path: str
    size_bytes: int
    modified_ns: int
    video_id: str | None = None
    reason: str | None = None
    damage: str | None = None

    @property
    def single_picture(self) -> bool:
        """Whether the file is a photo or a drawing that was met in a folder: no video, and no failure."""
        return self.reason == SINGLE_PICTURE

    @property
    def modified(self) -> datetime:
        """When the file was last written, in UTC."""
        return datetime.fromtimestamp(self.modified_ns / 1e9, UTC)

    @property
    def failed(self) -> bool:
        """Whether a video lies there that cannot be read."""
        return self.reason is not None and not self.single_picture


@dataclass(frozen=True)
class SetLayout:
    """How a token set lies in a row.

    Attributes:
        slots: tokens that a row has room for; a short video leaves some masked.
        dim: channels.
        parts: what it has beside tokens and mask, of "weights", "times_seconds", "frame", "group".
    """

    slots: int
    dim: int
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        """Take lists from JSON, and refuse what no row can be laid out by."""
        object.__setattr__(self, "parts", tuple(self.parts))
        if self.slots < 1 or self.dim < 1 or not set(self.parts) <= set(_PARTS):
            raise TypeError(
                f"no layout has {self.slots} slots of {self.dim} channels with parts {self.parts}"
            )


def layout_of(features: Features) -> dict[str, SetLayout]:
    """Layout for sets like these, which must come from a video with all its frames."""
    return {
        name: SetLayout(
            slots=tokens.tokens.shape[1],
            dim=tokens.tokens.shape[2],
            parts=tuple(part for part in _PARTS if getattr(tokens, part) is not None),
        )
        for name, tokens in features.items()
    }


def segment_id(video_id: str, span: Span) -> str:
    """Name of a segment: its video's content and its place in it, to the millisecond."""
    return f"{video_id}-{round(span.start_seconds * 1000):09d}-{round(span.end_seconds * 1000):09d}"


def segments_schema(sets: Mapping[str, SetLayout]) -> pa.Schema:
    """Columns of the table of segments."""
    import pyarrow as pa

    fields = [
        pa.field("segment_id", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("start_seconds", pa.float64(), nullable=False),
        pa.field("end_seconds", pa.float64(), nullable=False),
        pa.field("duration_seconds", pa.float64(), nullable=False),
        pa.field("width_px", pa.int32(), nullable=False),
        pa.field("height_px", pa.int32(), nullable=False),
        pa.field("codec", pa.string(), nullable=False),
        pa.field("fps", pa.float64()),
        pa.field("pooled", pa.list_(pa.float32(), next(iter(sets.values())).dim), nullable=False),
        pa.field("thumbnail", pa.binary(), nullable=False),
    ]
    for name, layout in sets.items():
        fields.append(pa.field(f"{name}_tokens", pa.binary(layout.slots * layout.dim * 2), nullable=False))
        for part in ("mask", *layout.parts):
            kind = pa.from_numpy_dtype(_STORED_AS[part])
            fields.append(pa.field(f"{name}_{part}", pa.list_(kind, layout.slots), nullable=False))
    return pa.schema(fields)


def files_schema() -> pa.Schema:
    """Columns of the table of files."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("size_bytes", pa.int64(), nullable=False),
            pa.field("modified_ns", pa.int64(), nullable=False),
            pa.field("video_id", pa.string()),
            pa.field("reason", pa.string()),
            pa.field("damage", pa.string()),
        ]
    )


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


def table_schemas(sets: Mapping[str, SetLayout]) -> dict[TableName, pa.Schema]:
    """Columns of every table of an index that holds these sets."""
    return {
        "segments": segments_schema(sets),
        "files": files_schema(),
        "tags": tags_schema(),
        "captions": captions_schema(),
    }


def token_columns(sets: Mapping[str, SetLayout]) -> list[str]:
    """Names of the columns that hold token sets."""
    return [f"{name}_{part}" for name, layout in sets.items() for part in ("tokens", "mask", *layout.parts)]


def set_to_columns(name: str, tokens: TokenSet, layout: SetLayout) -> dict[str, pa.Array]:
    """Lay a prepared set out in columns.

    Args:
        name: of the set.
        tokens: ``(B, N, D)`` with N at most the layout's slots.
        layout: as the index has it.

    Raises:
        ValueError: the set does not fit the layout.
    """
    import pyarrow as pa

    rows, count, dim = tokens.tokens.shape
    if count > layout.slots or dim != layout.dim:
        raise ValueError(
            f"token set {name!r} has {count} tokens of {dim} channels; the index has room for "
            f"{layout.slots} of {layout.dim}"
        )
    padded = np.zeros((rows, layout.slots, dim), np.float16)
    # Slots beyond stay zero, and masked: a scan multiplies them all the same.
    padded[:, :count] = tokens.tokens.cpu().numpy()
    columns: dict[str, pa.Array] = {
        # The bytes as they lie in memory; from a list of values pyarrow would copy each of them.
        f"{name}_tokens": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(layout.slots * dim * 2), rows, [None, pa.py_buffer(padded)]
        )
    }
    for part in ("mask", *layout.parts):
        values: NDArray[Any] = np.zeros((rows, layout.slots), _STORED_AS[part])
        values[:, :count] = getattr(tokens, part).cpu().numpy()
        columns[f"{name}_{part}"] = pa.FixedSizeListArray.from_arrays(
            pa.array(values.reshape(-1)), layout.slots
        )
    return columns


def parts_from_table(
    table: pa.Table | pa.RecordBatch, sets: Mapping[str, SetLayout]
) -> dict[str, NDArray[Any]]:
    """Read all that sets have beside tokens, as stored: ``{column: (rows, slots)}``."""
    return {
        f"{name}_{part}": _values(table, f"{name}_{part}", (table.num_rows, layout.slots))
        for name, layout in sets.items()
        for part in ("mask", *layout.parts)
    }


def sets_from_table(
    table: pa.Table | pa.RecordBatch,
    sets: Mapping[str, SetLayout],
    known: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, TokenSet]:
    """Read prepared sets back: fp32 tokens (of stored fp16), ``(rows, slots, dim)``.

    Args:
        table: has the columns, see :func:`token_columns`.
        sets: layout of the index.
        known: columns that need not be read, of the same rows, as :func:`parts_from_table` gives them.
    """
    import torch

    from vidsift.types import TokenSet

    features: dict[str, TokenSet] = {}
    in_memory = {} if known is None else known
    for name, layout in sets.items():
        shape = (table.num_rows, layout.slots)
        halves = stored_tokens(table, name, layout)
        values = {
            part: in_memory[column]
            if (column := f"{name}_{part}") in in_memory
            else _values(table, column, shape)
            for part in ("mask", *layout.parts)
        }
        parts = {
            # Stored in 32 bits, but torch indexes with 64.
            part: torch.from_numpy(value.astype(np.int64 if part in ("frame", "group") else value.dtype))
            for part, value in values.items()
            if part != "mask"
        }
        features[name] = TokenSet(
            tokens=torch.from_numpy(halves.astype(np.float32)),
            mask=torch.from_numpy(values["mask"].astype(bool)),
            **parts,
        )
    return features


def stored_tokens(table: pa.Table | pa.RecordBatch, name: str, layout: SetLayout) -> NDArray[np.float16]:
    """Tokens of a set as they are stored, fp16 ``(rows, slots, dim)``, without a copy."""
    stored = _whole(table.column(f"{name}_tokens"))
    width = layout.slots * layout.dim * 2
    # A batch may be a slice of what was read, which the buffer itself does not show.
    data = memoryview(stored.buffers()[1])[stored.offset * width :]
    halves = np.frombuffer(data, np.float16, count=table.num_rows * layout.slots * layout.dim)
    return halves.reshape(table.num_rows, layout.slots, layout.dim)


def _values(table: pa.Table | pa.RecordBatch, name: str, shape: tuple[int, int]) -> NDArray[Any]:
    # flatten() keeps to the slice that a batch may be; .values gives the whole buffer.
    flat: NDArray[Any] = _whole(table.column(name)).flatten().to_numpy()
    return flat.reshape(shape)


def _whole(column: pa.ChunkedArray | pa.Array) -> Any:
    import pyarrow as pa

    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
