"""Pictures of segments into rows of the index: the part of a run that needs the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from vidsift.index.decode_worker import Facts, Segment
from vidsift.index.schema import SetLayout, layout_of, segment_id, segments_schema, set_to_columns
from vidsift.interactions.base import pooled
from vidsift.interactions.batches import concatenate_features
from vidsift.types import Features, TokenSet
from vidsift.video.preprocessing import Preprocessing

if TYPE_CHECKING:
    from vidsift.methods.model import Model

__all__ = ["Encoder", "best_centred", "segment_id", "segment_table", "sets_of"]

_GPU_SEGMENTS = 32


def sets_of(model: Model) -> dict[str, SetLayout]:
    """Layout of the sets that a model gives, found by encoding a black video with all its frames."""
    size, frames = model.preprocessing.size_px, model.preprocessing.frames
    black = np.zeros((frames, size, size, 3), np.uint8)
    return layout_of(model.encode_frames([black], [np.arange(frames, dtype=np.float64)]))


def best_centred(tokens: TokenSet, times_seconds: np.ndarray[Any, np.dtype[np.float64]]) -> int:
    """Index of the picture nearest to the weighted middle of its segment.

    Args:
        tokens: one prepared row ``(1, N, D)``; weights and times decide where it has them.
        times_seconds: of the pictures, ``(F,)``.
    """
    middle = float(np.mean(times_seconds))
    if tokens.weights is not None and tokens.times_seconds is not None:
        weights = (tokens.weights * tokens.mask).double()
        if float(weights.sum()) > 0:
            middle = float((weights * tokens.times_seconds).sum() / weights.sum())
    return int(np.abs(times_seconds - middle).argmin())


@dataclass
class _Video:
    facts: Facts
    expected: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    features: list[Features] = field(default_factory=list)


class Encoder:
    """Gathers the segments of videos, encodes them, and hands finished videos out as a table.

    On a CPU every segment is encoded by itself: that costs no speed, and its row depends on nothing but the
    video. On a GPU several go together.

    Args:
        model: gives the features.
        sets: layout of the index.
    """

    def __init__(self, model: Model, sets: Mapping[str, SetLayout]) -> None:
        """See the class."""
        self._model = model
        self._sets = sets
        self._together = 1 if torch.device(model.device).type == "cpu" else _GPU_SEGMENTS
        self._open: dict[str, _Video] = {}
        self._waiting: list[tuple[_Video, Segment]] = []
        self._ended: list[_Video] = []

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model looks at a segment."""
        return self._model.preprocessing

    @property
    def finished_segments(self) -> int:
        """Segments of videos that have ended."""
        return sum(len(video.rows) for video in self._ended)

    def begin(self, path: str, facts: Facts) -> None:
        """A file can be read; its segments follow."""
        self._open[path] = _Video(facts)

    def add(self, path: str, segment: Segment) -> None:
        """Take one segment; it is encoded now or with others of the next calls."""
        self._waiting.append((self._open[path], segment))
        if len(self._waiting) >= self._together:
            self.flush()

    def end(self, path: str, *, keep: bool) -> str | None:
        """All segments of a file have come; return its video's identity, None if it is not kept."""
        video = self._open.pop(path, None)
        if video is None:
            return None
        if not keep:
            # Its segments that were encoded already went with it; those that wait need not be.
            self._waiting = [(owner, segment) for owner, segment in self._waiting if owner is not video]
            return None
        self._ended.append(video)
        return video.facts.video_id

    def flush(self) -> None:
        """Encode what waits."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        segments = [segment for _, segment in waiting]
        features = self._model.encode_frames(
            [segment.pixels for segment in segments],
            [segment.times_seconds for segment in segments],
            batch_size=self._together,
        )
        for row, (video, segment) in enumerate(waiting):
            segment_sets = {name: tokens[row : row + 1] for name, tokens in features.items()}
            video.features.append(segment_sets)
            video.rows.append(_facts_of(video.facts, segment, next(iter(segment_sets.values()))))

    def take_finished(self, stored: set[str]) -> tuple[pa.Table | None, set[str]]:
        """Hand out the rows of ended videos, once each, without those that are ``stored`` already.

        Call :meth:`flush` first.
        """
        ended, self._ended = self._ended, []
        new: dict[str, _Video] = {}
        for video in ended:
            # Two files of one content may have been read at the same time.
            if video.facts.video_id not in stored:
                new.setdefault(video.facts.video_id, video)
        rows = [row for video in new.values() for row in video.rows]
        if not rows:
            return None, set()
        # Padded to the longest of the batch; set_to_columns pads on, to the slots of the index.
        features = concatenate_features([sets for video in new.values() for sets in video.features])
        return segment_table(rows, features, self._sets), set(new)


def segment_table(
    rows: Sequence[Mapping[str, Any]], features: Features, sets: Mapping[str, SetLayout]
) -> pa.Table:
    """Put the facts of segments and their prepared sets together, as the index stores them.

    Args:
        rows: for each segment the columns that are neither tokens nor made from them.
        features: prepared sets of the same segments.
        sets: layout of the index.
    """
    schema = segments_schema(sets)
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in schema.names if name in rows[0]}
    columns["pooled"] = list(pooled(next(iter(features.values()))).cpu().numpy())
    for name, layout in sets.items():
        columns |= set_to_columns(name, features[name], layout)
    return pa.Table.from_arrays([_as_array(columns[part.name], part) for part in schema], schema=schema)


def _facts_of(facts: Facts, segment: Segment, tokens: TokenSet) -> dict[str, Any]:
    return {
        "segment_id": segment_id(facts.video_id, segment.span),
        "video_id": facts.video_id,
        "start_seconds": segment.span.start_seconds,
        "end_seconds": segment.span.end_seconds,
        "duration_seconds": facts.duration_seconds,
        "width_px": facts.width_px,
        "height_px": facts.height_px,
        "codec": facts.codec,
        "fps": facts.fps,
        "thumbnail": segment.thumbnails[best_centred(tokens.to(device="cpu"), segment.times_seconds)],
    }


def _as_array(values: Any, kind: pa.Field) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind.type)
