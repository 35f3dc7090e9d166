"""Indexes of clips of Shapes that were never files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from vidsift.index.encode import segment_id, segment_table, sets_of
from vidsift.index.manifest import Manifest
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.model import BUNDLED, Model
from vidsift.search.searcher import Index
from vidsift.shapes.library import DrawnVideo
from vidsift.shapes.render import render
from vidsift.types import Span


def video_of(clip: DrawnVideo) -> str:
    """Identity of a clip in the index."""
    return hashlib.blake2b(clip.name.encode(), digest_size=16).hexdigest()


def shapes_index(folder: Path, model: Model, clips: Sequence[DrawnVideo]) -> Index:
    """An index of clips of Shapes, from their pictures as they are rendered."""
    span, side, sets = Span(0.0, 4.0), model.preprocessing.size_px, sets_of(model)
    times = model.wanted_times(span)
    preprocessing = model.preprocessing.to_dict()
    manifest = Manifest(
        BUNDLED, model.name, model.method_name, model.fingerprint, "auto", preprocessing, sets
    )
    facts = [
        {
            "segment_id": segment_id(video_of(clip), span),
            "video_id": video_of(clip),
            "start_seconds": 0.0,
            "end_seconds": 4.0,
            "duration_seconds": 4.0,
            "width_px": side,
            "height_px": side,
            "codec": "h264",
            "fps": 12.0,
            "thumbnail": b"",
        }
        for clip in clips
    ]
    features = [model.encode_frames([render(clip.scene, times, side)], [times]) for clip in clips]
    store = Store.create(folder, manifest)
    records = [FileRecord(f"/shapes/{clip.name}", 1, 1, video_of(clip)) for clip in clips]
    store.commit(segment_table(facts, concatenate_features(features), sets), records)
    return Index.open(folder, model)
