"""Does a search know when nothing fits: questions about videos of a library, and about nothing in it.

    OMP_NUM_THREADS=2 PYTHONPATH=src python benchmarks/found.py     # writes results/found.json and .md

Libraries of Shapes videos of several sizes (test split), searched with the bundled model. Questions about
nothing in a library are of three kinds: captions of videos of whole groups that are not in it, which hold of
none of its videos; captions of look-alikes, one of each group of four left out, whose three hard negatives,
alike but for the one fact that the caption states, are there; and everyday English, of which the model knows
nothing. What is found is decided by the confidence of the best hit, as in a search.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, command_line, machine, rows_of, where, write_results
from numpy.typing import NDArray

from vidsift.data.shapes import Clip, draw_split, render
from vidsift.index.encode import segment_id, segment_table, sets_of
from vidsift.index.storage import FileRecord, Manifest, Store
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.model import BUNDLED, Model, load
from vidsift.search.confidence import FOUND
from vidsift.search.searcher import Index
from vidsift.search.unrelated import UNRELATED
from vidsift.types import Features, Span

COMMAND = command_line(__file__, "OMP_NUM_THREADS=2 PYTHONPATH=src")
SPAN = Span(0.0, 4.0)
KINDS = {"other": "other videos", "alike": "look-alikes", "foreign": "everyday English"}
FALSE_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def encode(model: Model, clips: Sequence[Clip]) -> list[Features]:
    """Features of each clip, from its rendered pictures."""
    times = model.wanted_times(SPAN)
    side = model.reading.size_px
    found: list[Features] = []
    for clip in clips:
        found.append(model.encode_frames([render(clip.scene, times, side)], [times], batch_size=1))
    return found


def build(folder: Path, model: Model, clips: Sequence[Clip], features: Sequence[Features]) -> Index:
    manifest = Manifest(
        BUNDLED,
        model.name,
        model.method_name,
        model.fingerprint,
        "auto",
        model.reading.to_dict(),
        sets_of(model),
    )
    store = Store.create(folder, manifest)
    facts = [
        {
            "segment_id": segment_id(f"{hash_of(clip)}", SPAN),
            "video_id": hash_of(clip),
            "start_seconds": SPAN.start_seconds,
            "end_seconds": SPAN.end_seconds,
            "duration_seconds": SPAN.duration_seconds,
            "width_px": 64,
            "height_px": 64,
            "codec": "h264",
            "fps": 12.0,
            "thumbnail": b"",
        }
        for clip in clips
    ]
    table = segment_table(facts, concatenate_features(features), manifest.sets)
    store.commit(table, [FileRecord(f"/shapes/{clip.name}", 1, 1, hash_of(clip)) for clip in clips])
    return Index(Store.open(folder), model)


def hash_of(clip: Clip) -> str:
    import hashlib

    return hashlib.blake2b(clip.name.encode(), digest_size=16).hexdigest()


def best(index: Index, queries: Sequence[str]) -> tuple[NDArray[np.float64], list[str]]:
    """Confidence and video of the best hit of each question."""
    hits = [found[0] for found in index.search_many(list(queries), k=1)]
    return np.array([hit.confidence for hit in hits], np.float64), [hit.video_id for hit in hits]


def measure(
    folder: Path, model: Model, clips: list[Clip], features: list[Features], groups: int, seed: int
) -> Any:
    """One library: so many groups of four look-alikes, one of each left out."""
    rng = np.random.default_rng(seed)
    every = sorted({clip.group for clip in clips})
    chosen = set(rng.permutation(every)[:groups].tolist())
    left_out = {group: int(rng.integers(4)) for group in chosen}
    inside, alike, other = [], [], []
    for number, clip in enumerate(clips):
        if clip.group not in chosen:
            other.append(clip)
        elif number % 4 == left_out[clip.group]:
            alike.append(clip)
        else:
            inside.append(number)
    index = build(folder, model, [clips[one] for one in inside], [features[one] for one in inside])
    began = time.process_time()
    assert index.calibration is not None
    calibrating = time.process_time() - began
    asked = [(caption, clips[one]) for one in inside for caption in clips[one].captions]
    sure, videos = best(index, [caption for caption, _ in asked])
    right = np.array([hash_of(clip) == video for (_, clip), video in zip(asked, videos, strict=True)])
    chance = {
        "other": best(index, [caption for clip in other for caption in clip.captions][:1200])[0],
        "alike": best(index, [caption for clip in alike for caption in clip.captions])[0],
        "foreign": best(index, UNRELATED)[0],
    }
    return {
        "videos": len(inside),
        "sure": sure,
        "right": right,
        "chance": chance,
        "calibrating_s": calibrating,
    }


def rates(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the libraries of one size give together."""
    sure = np.concatenate([one["sure"] for one in runs])
    right = np.concatenate([one["right"] for one in runs])
    chance = {kind: np.concatenate([one["chance"][kind] for one in runs]) for kind in KINDS}
    curve = []
    for rate in FALSE_RATES:
        limits = {kind: float(np.quantile(own, 1 - rate)) for kind, own in chance.items()}
        curve.append(
            {
                "false": rate,
                **{f"kept_{kind}": float((sure > limit).mean()) for kind, limit in limits.items()},
                **{
                    f"kept_right_{kind}": float((sure[right] > limit).mean())
                    for kind, limit in limits.items()
                },
            }
        )
    return {
        "videos": runs[0]["videos"],
        "libraries": len(runs),
        "questions": len(sure),
        "right_first": float(right.mean()),
        "kept": float((sure >= FOUND).mean()),
        "kept_right": float((sure[right] >= FOUND).mean()),
        "false": {kind: float((own >= FOUND).mean()) for kind, own in chance.items()},
        "calibrating_cpu_s": float(np.median([one["calibrating_s"] for one in runs])),
        "curve": curve,
    }
