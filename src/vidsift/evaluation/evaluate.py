"""How well a model finds videos by their captions, and under which protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidsift import __version__
from vidsift.data.folder import Entry, captions_of
from vidsift.data.loading import Feed
from vidsift.data.video_batches import OrderedVideos
from vidsift.evaluation.metrics import recall, rsum, summary
from vidsift.evaluation.ranks import (
    VideoToText,
    choice_ranks,
    text_to_video_ranks,
    video_to_text_ranks,
)
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.model import Model
from vidsift.types import Features

__all__ = [
    "SelectionOnTestError",
    "evaluate_entries",
    "headline",
    "judge",
    "owners",
    "read_gallery",
    "refuse_test",
]

Progress = Callable[[int], None]


class SelectionOnTestError(ValueError):
    """Somebody wants to choose a model by its score on the test split."""


def refuse_test(split: str, purpose: str) -> None:
    """Refuse the test split where something is chosen by the result.

    Raises:
        SelectionOnTestError: if ``split`` is a test split.
    """
    if "test" in split.lower():
        raise SelectionOnTestError(
            f"{purpose} on the split {split!r}: what is chosen by its score on test has no test score left; "
            "use a validation split"
        )


def owners(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """Return for each caption, video by video, the number of its video, ``(Q,)``."""
    return np.repeat(np.arange(len(entries)), [len(entry.captions) for entry in entries])


def judge(
    sim_QV: ArrayLike, entries: Sequence[Entry], *, video_to_text: VideoToText = "closest_caption"
) -> dict[str, Any]:
    """Turn similarities into numbers.

    Args:
        sim_QV: every caption of the entries, in order, with every video, in order.
        entries: what is true: captions, tags, groups of hard negatives.
        video_to_text: protocol with several captions a video, see
            :func:`~vidsift.evaluation.ranks.video_to_text_ranks`.

    Returns:
        ``text_to_video`` and ``video_to_text`` (R@1, R@5, R@10, MdR, MnR, questions), ``rsum``, and where the
        entries have them: ``by_tag`` (text to video, for each tag), ``by_novelty`` ("seen", "unseen"),
        ``choice`` (percentage of captions that pick the right video among its hard negatives, overall and by
        tag, with the percentage that chance gives).

    Raises:
        NonFiniteScoresError: if a similarity is NaN or infinite.
    """
    owner_Q = owners(entries)
    found = text_to_video_ranks(sim_QV, owner_Q)
    back = video_to_text_ranks(sim_QV, owner_Q, video_to_text)
    result: dict[str, Any] = {"text_to_video": summary(found), "video_to_text": summary(back)}
    result["rsum"] = rsum(result["text_to_video"], result["video_to_text"])
    tag_Q = np.asarray([entry.tag for entry in entries])[owner_Q]
    if any(tag_Q):
        result["by_tag"] = {str(tag): summary(found[tag_Q == tag]) for tag in dict.fromkeys(tag_Q) if tag}
    novelty_Q = np.asarray([_novelty(entry) for entry in entries])[owner_Q]
    if any(novelty_Q):
        kinds = sorted({str(kind) for kind in novelty_Q if kind})
        result["by_novelty"] = {kind: summary(found[novelty_Q == kind]) for kind in kinds}
    choice = _choice(sim_QV, owner_Q, entries, tag_Q)
    return result | ({"choice": choice} if choice else {})


def _novelty(entry: Entry) -> str:
    return "" if entry.unseen is None else "unseen" if entry.unseen else "seen"


def _choice(
    sim_QV: ArrayLike, owner_Q: NDArray[np.int64], entries: Sequence[Entry], tag_Q: NDArray[np.str_]
) -> dict[str, Any]:
    names = {name: number for number, name in enumerate(sorted({entry.group for entry in entries}))}
    group_V = np.asarray([names[entry.group] for entry in entries])
    ranks, size_Q = choice_ranks(sim_QV, owner_Q, group_V)
    named_Q = np.asarray([bool(entry.group) for entry in entries])[owner_Q]
    asked_Q = named_Q & (size_Q > 1)
    if not asked_Q.any():
        return {}

    def row(chosen: NDArray[np.bool_]) -> dict[str, float]:
        return {
            "right": recall(ranks[chosen], 1),
            "chance": 100.0 * float((1 / size_Q[chosen]).mean()),
            "questions": int(chosen.sum()),
        }

    tags = {str(tag): row(asked_Q & (tag_Q == tag)) for tag in dict.fromkeys(tag_Q[asked_Q]) if tag}
    return {"all": row(asked_Q)} | ({"by_tag": tags} if tags else {})


def read_gallery(
    model: Model,
    entries: Sequence[Entry],
    *,
    workers: int = 1,
    batch_size: int = 8,
    progress: Progress | None = None,
) -> tuple[list[Entry], Features, list[tuple[str, str]], list[tuple[str, str]]]:
    """Decode and encode the videos, worker processes decoding ahead.

    Returns:
        The entries that could be read, their prepared sets in the same order, path and reason of those that
        could not, and of those that gave a part only.

    Raises:
        ValueError: if no video can be read.
    """
    maker = OrderedVideos(tuple(entry.path for entry in entries), model.reading, batch_size)
    kept: list[Entry] = []
    parts: list[Features] = []
    failed: list[tuple[str, str]] = []
    partial: list[tuple[str, str]] = []
    with Feed(maker, stop=maker.batches, workers=workers) as feed:
        for batch in feed:
            failed += batch.failed
            partial += batch.partial
            if len(batch.rows):
                pixels = [one[real] for one, real in zip(batch.pixels, batch.mask, strict=True)]
                times = [one[real] for one, real in zip(batch.times_seconds, batch.mask, strict=True)]
                parts.append(model.encode_frames(pixels, times, batch_size=batch_size))
                kept += [entries[row] for row in batch.rows]
            if progress is not None:
                progress(len(batch.rows) + len(batch.failed))
    if not kept:
        raise ValueError(
            f"not one of {len(entries)} videos can be read; the first: {failed[0][0]}: {failed[0][1]}"
        )
    return kept, concatenate_features(parts), failed, partial


def evaluate_entries(
    model: Model,
    entries: Sequence[Entry],
    *,
    split: str,
    video_to_text: VideoToText = "closest_caption",
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate a model on videos and their captions.

    Videos that cannot be read are left out with their captions, and listed.

    Args:
        model: what is judged.
        entries: videos and captions, of one split.
        split: its name, for the record.
        video_to_text: see :func:`judge`.
        workers: processes that decode.
        progress: called with the number of videos after each batch.

    Returns:
        What :func:`judge` gives, with ``protocol`` (all that the numbers depend on), ``failed`` and
        ``partial``.
    """
    kept, videos, failed, partial = read_gallery(model, entries, workers=workers, progress=progress)
    captions = captions_of(kept)
    sim_QV = model.similarity(model.encode_text(captions), videos).float().cpu().numpy()
    protocol = {
        "split": split,
        "videos": len(kept),
        "captions": len(captions),
        "ties": "expected values over random order",
        "video_to_text": video_to_text,
        "frames": model.reading.frames,
        "sampling": model.reading.sampling,
        "size_px": model.reading.size_px,
        "max_words": model.max_words,
        "precision": str(model.precision).removeprefix("torch."),
        "model": model.name,
        "method": model.method_name,
        "fingerprint": model.fingerprint,
        "version": __version__,
    }
    report = {"protocol": protocol} | judge(sim_QV, kept, video_to_text=video_to_text)
    return report | {"failed": _listed(failed), "partial": _listed(partial)}


def _listed(found: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"video": str(Path(path)), "reason": reason} for path, reason in found]


def headline(report: Mapping[str, Any]) -> str:
    """Return one line of the numbers that matter."""
    there, back = report["text_to_video"], report["video_to_text"]
    return (
        f"text to video R@1 {there['R@1']:.1f}  R@5 {there['R@5']:.1f}  R@10 {there['R@10']:.1f}  "
        f"MdR {there['MdR']:.1f}  video to text R@1 {back['R@1']:.1f}"
    )
