"""Judging a run of a grid with backbones: on validation, then question by question in several galleries.

Frozen towers look at the validation and test videos, and read their captions, once for each backbone; runs
look their tokens up, until the grid is done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vidsift.data.entries import Entry, absent_videos, captions_of
from vidsift.data.make_shards import open_cache
from vidsift.data.source import GridTestSet
from vidsift.encoders.feature_cache import CachedTowers
from vidsift.encoders.text_cache import CachedTexts
from vidsift.errors import VideoReadError
from vidsift.evaluation.evaluate import retrieval_metrics, video_of_caption
from vidsift.evaluation.group_likelihood import fit_scale, group_log_likelihood
from vidsift.evaluation.missing import refuse_missing
from vidsift.evaluation.paired_verdicts import MEASURES
from vidsift.evaluation.ranks import text_to_video_ranks
from vidsift.files.disk_errors import saving
from vidsift.files.whole import temporary_path, whole_folder
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.model import Model
from vidsift.training.grid import GridJob
from vidsift.types import Frames

__all__ = ["FEATURES", "judge_in_galleries", "judge_on_validation", "read_pictures", "remove_features"]

FEATURES = "towers"
"""Folder, inside that of a grid, of what towers make of the videos that judge."""

_AT_ONCE = 64
_MILLI = 1000.0


class _PicturedVideos(NamedTuple):
    """Videos with their pictures, all of one length: ``(V, F, S, S, 3)`` and ``(V, F)``."""

    name: str
    entries: Sequence[Entry]
    pixels: NDArray[np.uint8]
    times: NDArray[np.float64]


def judge_on_validation(model: Model, job: GridJob, folder: Path) -> dict[str, float]:
    """Score a model on validation, and fit the scale of its likelihood there.

    Returns:
        ``R@1`` in percent, ``log-likelihood`` in thousandths of a nat, ``scale``.
    """
    videos = _validation(model, job, folder)
    sim_QV = _similarities(model, job, folder, videos, len(videos.entries))[0]
    owner_Q, group_V = video_of_caption(videos.entries), _groups(videos.entries)
    scale = fit_scale(sim_QV, owner_Q, group_V)
    return {
        "R@1": round(float(100 * text_to_video_ranks(sim_QV, owner_Q).within(1).mean()), 4),
        "log-likelihood": round(_MILLI * group_log_likelihood(sim_QV, owner_Q, group_V, scale).mean(), 3),
        "scale": scale,
    }


def judge_in_galleries(model: Model, job: GridJob, folder: Path, scale: float) -> dict[str, Any]:
    """Score a model on the test videos, parted into galleries of equal size.

    Returns:
        ``report``: as of one gallery, the mean of them; ``groups``: for each measure the mean over the
        captions of each group of hard negatives; ``group_tags``.
    """
    videos = _test_videos(model, job, folder)
    size = len(videos.entries) // job.galleries
    reports: list[dict[str, Any]] = []
    means: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    tags: list[str] = []
    for number, sim_QV in enumerate(_similarities(model, job, folder, videos, size)):
        entries = videos.entries[number * size : (number + 1) * size]
        owner_Q, group_V = video_of_caption(entries), _groups(entries)
        reports.append(retrieval_metrics(sim_QV, entries))
        values = {
            MEASURES[0]: 100 * text_to_video_ranks(sim_QV, owner_Q).within(1),
            MEASURES[1]: _MILLI * group_log_likelihood(sim_QV, owner_Q, group_V, scale),
        }
        group_Q = group_V[owner_Q]
        for measure, value_Q in values.items():
            mean_G = np.bincount(group_Q, weights=value_Q) / np.bincount(group_Q)
            means[measure] += [round(float(mean), 3) for mean in mean_G]
        firsts = np.unique(group_V, return_index=True)[1]
        tags += [entries[first].tag for first in firsts]
    return {"report": _mean_of(reports), "groups": means, "group_tags": tags}


def remove_features(folder: Path) -> None:
    """Remove what towers made of the videos that judged: gigabytes, which a finished grid has no use for.

    Args:
        folder: of the grid.
    """
    # Away first: a folder of which a part is gone must not stand there as if it were whole.
    going = temporary_path(folder / FEATURES)
    with suppress(OSError):
        (folder / FEATURES).replace(going)
    shutil.rmtree(going, ignore_errors=True)


def _groups(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """Number the groups of hard negatives in the order in which they come, ``(V,)``."""
    numbers: dict[str | None, int] = {}
    return np.array([numbers.setdefault(entry.group, len(numbers)) for entry in entries], np.int64)


def _mean_of(reports: Sequence[Any]) -> Any:
    """Average reports number by number; a small gallery may lack a kind of question."""
    if isinstance(reports[0], dict):
        keys = dict.fromkeys(key for report in reports for key in report)
        return {key: _mean_of([report[key] for report in reports if key in report]) for key in keys}
    return float(np.mean(reports))


def _similarities(
    model: Model, job: GridJob, folder: Path, videos: _PicturedVideos, size: int
) -> list[NDArray[np.float32]]:
    """Score all captions of each gallery of so many videos with its videos."""
    towers = None
    if job.recipe.model.frozen_towers and not model.method.full_width:
        inputs = model.inputs

        def pixels_of(rows: slice) -> torch.Tensor:
            pixels = torch.from_numpy(np.array(videos.pixels[rows]))
            mask = torch.ones(pixels.shape[:2], dtype=torch.bool)
            return inputs.video(pixels, mask, torch.zeros(mask.shape)).pixels

        description = {**asdict(model.norm), "set": videos.name}
        # Of all galleries: files are found by the set that they are of.
        tokenized, place = inputs.tokenize(captions_of(videos.entries)), folder / FEATURES
        captions = CachedTexts(place, tokenized.ids, tokenized.mask)
        towers = CachedTowers(
            model.method.towers, place, len(videos.entries), pixels_of, description, texts=captions
        )
        model.method.towers = towers
    parts = []
    for first in range(0, len(videos.entries), size):
        features = []
        for start in range(first, first + size, _AT_ONCE):
            rows = np.arange(start, min(start + _AT_ONCE, first + size))
            with towers.clips(rows) if towers else nullcontext():
                features.append(
                    model.encode_frames(
                        list(videos.pixels[rows]), list(videos.times[rows]), batch_size=_AT_ONCE
                    )
                )
        together = concatenate_features(features)
        texts = model.encode_text(captions_of(videos.entries[first : first + size]))
        parts.append(model.similarity(texts, together).float().cpu().numpy())
    return parts


def _test_videos(model: Model, job: GridJob, folder: Path) -> _PicturedVideos:
    """Read the pictures of the test files, decoded once for all runs.

    Raises:
        MissingVideosError: a file is not there, or cannot be read.
    """
    test = job.recipe.data.test_set(folder, job.test_videos, job.test_seed)
    return _stacked(_set_name(test.name, model), test.entries, read_pictures(model, test, folder))


def _set_name(of: str, model: Model) -> str:
    """What pictures of a set of videos are called, as a model looks at them."""
    looks = model.preprocessing
    return f"{of}x{looks.frames}-{looks.sampling}-{looks.size_px}px"


def read_pictures(model: Model, test: GridTestSet, folder: Path) -> list[Frames]:
    """Read what a model looks at in the test files, decoded once for all runs of a grid.

    Args:
        model: whose frames they are.
        test: the files.
        folder: of the grid, where pictures are kept.

    Raises:
        MissingVideosError: a file is not there, or cannot be read.
    """
    refuse_missing(absent_videos(test.entries), len(test.entries), test.remedy)
    pictures = open_cache(folder / _set_name(test.name, model), test.entries, model.preprocessing)
    read_V = [pictures.read(row, entry) for row, entry in enumerate(test.entries)]
    failed = [
        (entry.name, frames.reason)
        for entry, frames in zip(test.entries, read_V, strict=True)
        if isinstance(frames, VideoReadError)
    ]
    refuse_missing(failed, len(read_V), test.remedy)
    return [frames for frames in read_V if isinstance(frames, Frames)]


def _stacked(name: str, entries: Sequence[Entry], frames: Sequence[Frames]) -> _PicturedVideos:
    pixels = np.stack([it.pixels for it in frames])
    return _PicturedVideos(name, entries, pixels, np.stack([it.times_seconds for it in frames]))


def _validation(model: Model, job: GridJob, folder: Path) -> _PicturedVideos:
    """Open the validation videos, rendered the first time."""
    data, looks, count = job.recipe.data, model.preprocessing, job.validation_videos
    name = _set_name(f"{data.source}-val-{count}", model)
    place = folder / name
    if not place.is_dir():
        drawn = data.validation_set("val", count, looks)
        if drawn.frames is None:
            raise ValueError(f"{data.title} has files to validate on; a grid with backbones draws its videos")
        made = _stacked(name, drawn.entries, drawn.frames)
        said = [[list(entry.captions), entry.tag, entry.group] for entry in drawn.entries]
        with saving("the validation videos", place), whole_folder(place) as temporary:
            np.save(temporary / "pixels.npy", made.pixels)
            np.save(temporary / "times.npy", made.times)
            (temporary / "said.json").write_text(json.dumps(said), encoding="utf-8")
    said = json.loads((place / "said.json").read_text(encoding="utf-8"))
    entries = [
        Entry(Path(f"val-{number}"), tuple(captions), tag, group, "val")
        for number, (captions, tag, group) in enumerate(said)
    ]
    return _PicturedVideos(name, entries, np.load(place / "pixels.npy"), np.load(place / "times.npy"))
