"""Small libraries of videos, a tiny model on disk, and what an index holds of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
from tests.methods import tiny
from tests.video.making import Recipe, make

from vidsift.index.encode import segment_id, segment_table, sets_of
from vidsift.index.manifest import Manifest
from vidsift.index.schema import FileRecord, TableName
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.types import Span


def clip(folder: Path, name: str, *, frames: int = 12, gop: int = 12, fps: int = 12) -> Path:
    """One small clip; clips of different length have different content."""
    folder.mkdir(parents=True, exist_ok=True)
    return make(folder, Recipe(frames=frames, fps=fps, gop=gop), name)


def library(folder: Path, clips: int = 3) -> Path:
    """A folder of so many clips, all different."""
    for number in range(clips):
        clip(folder, f"clip{number}", frames=8 + number)
    return folder


def lance_table(folder: Path, name: TableName = "segments") -> Any:
    """A table of an index as LanceDB opens it, to look into it or to damage it behind the store's back."""
    return lancedb.connect(folder).open_table(name)


def rows(folder: Path) -> list[dict[str, Any]]:
    """Everything that is stored of the segments, in the order of ids."""
    stored: list[dict[str, Any]] = lance_table(folder).to_arrow().sort_by("segment_id").to_pylist()
    return stored


def manifest_of(model: Model) -> Manifest:
    """What an index says that this model made of videos, which it cut by ``auto``."""
    return Manifest(
        "",
        model.name,
        model.method_name,
        model.fingerprint,
        "auto",
        model.preprocessing.to_dict(),
        sets_of(model),
    )


def filled(
    folder: Path, model: Model, counts: Sequence[int], *, order: Sequence[int] | None = None, commits: int = 1
) -> Store:
    """An index of made-up videos with so many frames each, added in an order, in several commits.

    Video ``i`` has identity ``i`` and lies at ``/videos/{a or b}/{i}.mp4``; every third one has two segments.
    """
    manifest = manifest_of(model)
    store = Store.create(folder, manifest)
    pixels, times = tiny.videos(counts, seed=3)
    chosen = list(range(len(counts))) if order is None else list(order)
    for part in np.array_split(np.asarray(chosen), commits):
        names = [_names(int(number)) for number in part]
        features = model.encode_frames(
            [pixels[int(number)] for number in part],
            [times[int(number)] + span.start_seconds for number, (_, span) in zip(part, names, strict=True)],
            batch_size=1,
        )
        facts = [
            {
                "segment_id": segment_id(video, span),
                "video_id": video,
                "start_seconds": span.start_seconds,
                "end_seconds": span.end_seconds,
                "duration_seconds": float(int(number) + 1),
                "width_px": 64,
                "height_px": 48,
                "codec": "h264",
                "fps": 12.0,
                "thumbnail": b"jpeg%d" % number,
            }
            for number, (video, span) in zip(part, names, strict=True)
        ]
        paths = [f"/videos/{'ab'[int(video, 16) % 2]}/{int(video, 16)}.mp4" for video, _ in names]
        records = [FileRecord(path, 1, 1, video) for path, (video, _) in zip(paths, names, strict=True)]
        store.commit(
            segment_table(facts, features, manifest.sets),
            list({record.path: record for record in records}.values()),
        )
    return store


def findable(folder: Path, model: Model, counts: Sequence[int]) -> Path:
    """The index of :func:`filled` in a folder beside its model, which it finds by itself."""
    model.save(folder / "model")
    made = filled(folder / "made", model, counts)
    named = Store.create(folder / "index", replace(made.manifest, model=str(folder / "model")))
    records = made.read_files().values()
    named.commit(lance_table(made.folder).to_arrow(), [FileRecord(**vars(record)) for record in records])
    return named.folder


def _names(number: int) -> tuple[str, Span]:
    second = number % 3 == 2
    video = f"{number - 1 if second else number:032x}"
    return video, Span(6.0, 12.0) if second else Span(0.0, 6.0)
