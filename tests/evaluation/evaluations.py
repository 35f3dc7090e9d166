"""An evaluation of three videos and four captions, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidsift.data.entries import Entry
from vidsift.evaluation.bootstrap import bootstrap_intervals
from vidsift.evaluation.evaluate import Evaluation
from vidsift.evaluation.post_processed import post_processed_row
from vidsift.evaluation.retrieval import both_ways, retrieval_metrics, video_of_caption

ENTRIES = [
    Entry(Path("/v/1.mp4"), ("a first", "a second"), "motion", id="a"),
    Entry(Path("/v/2.mp4"), ("b",), "motion", id="b c"),
    Entry(Path("/v/d.mp4"), ("d",), "detail"),
]
SIM = np.array([[0.9, 0.1, 0.2], [0.5, 0.6, 0.4], [0.3, 0.4, 0.95], [0.0, 0.15, 0.8]])


def evaluation(
    sim: Any = SIM,
    entries: list[Entry] = ENTRIES,
    *,
    video_to_text: Any = "closest_caption",
    present: Sequence[bool] | None = None,
    post_processing: Sequence[Any] = (),
    **protocol: Any,
) -> Evaluation:
    there = np.ones(len(entries), bool) if present is None else np.asarray(present)
    owner = video_of_caption(entries)
    ranks = both_ways(sim, owner, video_to_text=video_to_text, present=there)
    report = retrieval_metrics(sim, entries, video_to_text=video_to_text, present=there)
    report["intervals"] = bootstrap_intervals(ranks, owner)
    rows = {
        name: post_processed_row(name, np.asarray(sim), owner, video_to_text=video_to_text, present=there)
        for name in post_processing
    }
    report["post_processed"] = {name: row for name, (row, _) in rows.items()}
    report["protocol"] = {
        "model": "a model",
        "video_to_text": video_to_text,
        "missing_policy": "miss",
    } | protocol
    return Evaluation(
        report,
        np.asarray(sim),
        entries,
        there,
        ranks,
        {name: both for name, (_, both) in rows.items() if both},
    )
