"""Which patches of the picture a segment's tokens come from: the image tower runs again over its frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidsift.errors import QueryError
from vidsift.index.schema import FileRecord
from vidsift.methods.model import Model
from vidsift.types import Features, Frames, PatchShares, Span
from vidsift.video import read_frames
from vidsift.video.preprocessing import Preprocessing

__all__ = ["read_as_indexed", "traced_patches"]

_SAME_SECONDS = 1e-3


def read_as_indexed(records: Sequence[FileRecord], span: Span, preprocessing: Preprocessing) -> Frames:
    """Read what a model looked at in a stretch of a video, from the first of its files that is unchanged.

    Raises:
        QueryError: every file of the video has changed since it was indexed.
        VideoReadError: the file cannot be read.
        OSError: none of the files is there.
    """
    away: OSError | None = None
    for record in records:
        try:
            status = Path(record.path).stat()
        except OSError as error:
            away = error
            continue
        if (status.st_size, status.st_mtime_ns) == (record.size_bytes, record.modified_ns):
            return read_frames(record.path, preprocessing.wanted_times(span), size_px=preprocessing.size_px)
    if away is not None:
        raise away
    named = records[0].path if records else "the file"
    raise QueryError(f"{named} is not the file that was indexed; index it again: vidsift index update")


def traced_patches(model: Model, frames: Frames, video: Features) -> dict[str, PatchShares]:
    """Trace a segment's tokens back to patches.

    Args:
        model: whose tokens they are.
        frames: what it looked at in the segment.
        video: the segment's sets, one row each.

    Returns:
        For every set that the method can trace which patches its tokens come from, one row; empty where it
        can trace none.

    Raises:
        QueryError: the frames are not those that the tokens come from.
    """
    if not model.method.traced_sets:
        return {}
    traced = model.patch_shares(frames)
    for name, one in traced.items():
        times_N, mask_N = video[name].times_seconds, video[name].mask[0]
        alike = one.shares.shape[1] == len(mask_N)
        if alike and times_N is not None:
            seen = np.unique(times_N[0][mask_N].cpu().numpy())
            alike = len(seen) == len(frames) and bool(
                np.allclose(seen, frames.times_seconds, rtol=0, atol=_SAME_SECONDS)
            )
        if not alike:
            raise QueryError(
                f"the {len(frames)} frames given are not those that the segment's tokens come from; read "
                "them with Index.frames_of(segment)"
            )
    return traced
