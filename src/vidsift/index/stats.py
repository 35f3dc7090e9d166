"""Facts of an index for people: what it was made with, what is in it, and what room it takes."""

from __future__ import annotations

from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

from vidsift.errors import IndexFolderError
from vidsift.index.storage import Store

__all__ = ["describe"]


def describe(folder: str | Path) -> dict[str, Any]:
    """Facts of an index for people: model, sets, how much is in it, and its size.

    Raises:
        IndexFolderError: see :meth:`Store.open`.
    """
    store = Store.open(folder)
    folders = store.read_folders()
    manifest, files = store.manifest, store.read_files().values()
    columns = store.facts(["video_id", "duration_seconds"])
    lengths = dict(zip(columns["video_id"].to_pylist(), columns["duration_seconds"].to_pylist(), strict=True))
    hours = sum(lengths.values()) / 3600
    size = store.bytes_on_disk()
    return {
        "index": str(store.folder),
        "format": manifest.format,
        "model": manifest.model or manifest.model_name,
        "method": manifest.method,
        "fingerprint": manifest.fingerprint,
        "segment": manifest.segment,
        "token sets": {name: f"{one.slots} x {one.dim}" for name, one in manifest.sets.items()},
        "folders": [one.path for one in folders],
        "removed from them": sorted({path for one in folders for path in one.removed}),
        "videos": len({one.video_id for one in files if one.video_id}),
        "segments": store.count(),
        "files": sum(one.reason is None for one in files),
        "failed": sum(one.failed for one in files),
        "tagged": _count(store.read_tags),
        "captioned": _count(store.read_captions),
        "hours of video": round(hours, 3),
        "bytes on disk": size,
        "bytes per hour of video": round(size / hours) if hours else None,
    }


def _count(read: Callable[[], Sized]) -> int | str:
    """How many there are, or that the table of them is damaged."""
    try:
        return len(read())
    except IndexFolderError:
        return "damaged; see vidsift index check"
