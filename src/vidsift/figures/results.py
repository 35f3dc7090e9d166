"""Saved evaluations with the videos that they speak of, for pictures of what was found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidsift.data.catalog import DEFAULT, open_source
from vidsift.data.entries import Entry
from vidsift.errors import SavedResultError
from vidsift.evaluation.saved import PLAIN, SavedResult, video_ids

__all__ = ["recall_of_videos", "scores_of", "videos_of"]


def videos_of(result: SavedResult) -> list[Entry]:
    """Open the data set that was evaluated, and return its videos in the order of the evaluation.

    Raises:
        CaptionsError: the data set is not where it was.
        SavedResultError: the report does not say where it was, or it has other videos now.
    """
    protocol = result.report["protocol"]
    if "data" not in protocol:
        raise SavedResultError(
            f"{result.folder} does not say where its videos lie; make it anew with vidsift evaluate --save"
        )
    source = open_source(protocol.get("source") or DEFAULT, protocol["data"], protocol.get("annotations"))
    named = protocol["split"] in source.split_names()
    entries = source.entries(protocol["split"] if named else None)
    by_id = dict(zip(video_ids(entries), entries, strict=True))
    absent = [name for name in result.video_ids if name not in by_id]
    if absent:
        raise SavedResultError(
            f"{result.folder} speaks of {absent[0]}, which {source.where} does not list any more "
            f"({len(absent)} of {len(result.video_ids)}); evaluate once more"
        )
    return [by_id[name] for name in result.video_ids]


def scores_of(result: SavedResult) -> NDArray[np.float32]:
    """Return every caption with every video, ``(Q, V)``; minus infinity for videos that were missing."""
    # Of a missing video nothing was measured: it stands behind all others.
    return np.where(result.present, result.similarity, np.float32(-np.inf))


def recall_of_videos(result: SavedResult) -> list[float]:
    """Return for each video that was there the percentage of its captions that find it first."""
    first_Q = result.ranks[PLAIN].text_to_video.within(1)
    videos = len(result.video_ids)
    sums_V = np.bincount(result.video_of_caption, weights=first_Q, minlength=videos)
    recall_V = 100 * sums_V / np.bincount(result.video_of_caption, minlength=videos)
    return [float(percent) for percent in recall_V[result.present]]
