"""How well a model finds videos by their captions, and under which protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift import __version__
from vidsift.data.entries import Entry, absent_videos, captions_of
from vidsift.data.loading import Feed
from vidsift.data.video_batches import OrderedVideos
from vidsift.errors import SelectionOnTestError
from vidsift.evaluation.missing import RULES, MissingPolicy, missing_note, refuse_missing
from vidsift.evaluation.ranks import VideoToText
from vidsift.evaluation.retrieval import retrieval_metrics, video_of_caption
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.model import Model
from vidsift.types import Features
from vidsift.video.preprocessing import Preprocessing

__all__ = [
    "EncodedGallery",
    "encode_gallery",
    "evaluate_entries",
    "evaluate_gallery",
    "headline",
    "refuse_test_split",
    "require_readable",
    "retrieval_metrics",
    "video_of_caption",
]

Progress = Callable[[int], None]

_REMEDY = (
    "Nothing was evaluated: replace the files or take their captions out, or say what they count: "
    'missing="miss" (their captions are not found) or missing="skip" (left out, and the result says so)'
)


def refuse_test_split(split: str, test_splits: Collection[str], purpose: str, remedy: str = "") -> None:
    """Refuse a test split where a model learns or is chosen.

    Args:
        split: what was asked for.
        test_splits: those of the source, see :class:`~vidsift.data.source.DataSource`.
        purpose: what is done with it, for the message.
        remedy: how a person says that it is no test split, where that is possible.

    Raises:
        SelectionOnTestError: if ``split`` is a test split.
    """
    if split in test_splits:
        raise SelectionOnTestError(
            f"{purpose} on the split {split!r}, a test split: a model that was trained there, or chosen by "
            f"its score there, has no test score left; use another split. {remedy}".rstrip()
        )


@dataclass(frozen=True, eq=False)
class EncodedGallery:
    """The videos that captions are looked for in, those that are missing included where they count.

    Attributes:
        entries: videos that count, V of them: all that were named, or with the policy "skip" those that are
            there.
        present: which of them are there, bool ``(V,)``.
        videos: the prepared sets of those, in order.
        policy: what a missing video counts.
        named: how many videos were named.
        failed: path and reason of the missing ones.
        partial: path and reason of those that gave a part only; they count like any other.
    """

    entries: list[Entry]
    present: NDArray[np.bool_]
    videos: Features
    policy: MissingPolicy
    named: int
    failed: list[tuple[str, str]]
    partial: list[tuple[str, str]]


def encode_gallery(
    model: Model,
    entries: Sequence[Entry],
    *,
    missing: MissingPolicy = "refuse",
    workers: int = 1,
    batch_size: int = 8,
    progress: Progress | None = None,
) -> EncodedGallery:
    """Decode and encode the videos, worker processes decoding ahead.

    Args:
        model: encodes.
        entries: the videos.
        missing: what a video counts that is not there or cannot be read, see
            :data:`~vidsift.evaluation.missing.RULES`.
        workers: processes that decode.
        batch_size: videos that are encoded together.
        progress: called with the number of videos after each batch.

    Raises:
        MissingVideosError: with "refuse", if a file is not there (before anything is decoded) or cannot be
            read (after all were tried, so that all are named).
        ValueError: if no video can be read.
    """
    if missing == "refuse":
        refuse_missing(absent_videos(entries), len(entries), _REMEDY)
    parts: list[Features] = []
    present_V = np.zeros(len(entries), bool)
    failed: list[tuple[str, str]] = []
    partial: list[tuple[str, str]] = []
    maker = OrderedVideos(tuple(entries), model.preprocessing, batch_size)
    with Feed(maker, stop=maker.batches, workers=workers) as feed:
        for batch in feed:
            failed += batch.failed
            partial += batch.partial
            # Marked and not appended: rows of a batch are those that could be read.
            present_V[batch.rows] = True
            # What is refused at the end is only looked for further, not encoded.
            if len(batch.rows) and not (failed and missing == "refuse"):
                # Without padding, as encode_frames pads as the model wants; and copied, as a batch's own
                # pictures hold only until the next one.
                pixels = [values[real] for values, real in zip(batch.pixels, batch.mask, strict=True)]
                times = [values[real] for values, real in zip(batch.times_seconds, batch.mask, strict=True)]
                parts.append(model.encode_frames(pixels, times, batch_size=batch_size))
            if progress is not None:
                progress(len(batch.rows) + len(batch.failed))
    if missing == "refuse":
        refuse_missing(failed, len(entries), _REMEDY)
    if not parts:
        first = f"; the first: {failed[0][0]}: {failed[0][1]}" if failed else ""
        raise ValueError(f"not one of {len(entries)} videos can be read{first}")
    # With "skip" a missing video is no entry any more; with "miss" it stays, as one to be missed.
    counted = [entry for entry, there in zip(entries, present_V, strict=True) if there or missing == "miss"]
    there = present_V if missing == "miss" else np.ones(len(counted), bool)
    return EncodedGallery(counted, there, concatenate_features(parts), missing, len(entries), failed, partial)


def require_readable(
    entries: Sequence[Entry],
    preprocessing: Preprocessing,
    *,
    remedy: str,
    workers: int = 1,
    batch_size: int = 8,
) -> None:
    """Refuse missing videos before anything is made of them.

    Args:
        entries: the videos.
        preprocessing: how they will be looked at.
        remedy: what a person can do, for the message.
        workers: processes that decode.
        batch_size: videos that are decoded together.

    Raises:
        MissingVideosError: if files are not there, or else if some cannot be read.
    """
    refuse_missing(absent_videos(entries), len(entries), remedy)
    maker = OrderedVideos(tuple(entries), preprocessing, batch_size)
    with Feed(maker, stop=maker.batches, workers=workers) as feed:
        # Decoded and thrown away: nothing less tells that a file can be read.
        failed = [video for batch in feed for video in batch.failed]
    refuse_missing(failed, len(entries), remedy)


def evaluate_gallery(
    model: Model, gallery: EncodedGallery, *, video_to_text: VideoToText = "closest_caption"
) -> dict[str, Any]:
    """Look for the captions of a gallery in its videos.

    Returns:
        What :func:`retrieval_metrics` gives; ``protocol`` with the numbers of videos and captions, and the
        policy for missing videos, its rule, how many they are and which; ``failed`` (the missing ones) and
        ``partial``.
    """
    captions = captions_of(gallery.entries)
    sim_QV = model.similarity(model.encode_text(captions), gallery.videos).float().cpu().numpy()
    if not gallery.present.all():
        present_QV = sim_QV
        # What no video gave stays 0 and is never read, see retrieval_metrics.
        sim_QV = np.zeros((len(captions), len(gallery.entries)), present_QV.dtype)
        sim_QV[:, gallery.present] = present_QV
    failed = _listed(gallery.failed)
    protocol = {
        "videos": len(gallery.entries),
        "captions": len(captions),
        "missing_policy": gallery.policy,
        "missing_rule": RULES[gallery.policy],
        "missing": {"count": len(failed), "of": gallery.named, "videos": failed},
    }
    report = {"protocol": protocol} | retrieval_metrics(
        sim_QV, gallery.entries, video_to_text=video_to_text, present=gallery.present
    )
    return report | {"failed": failed, "partial": _listed(gallery.partial)}


def evaluate_entries(
    model: Model,
    entries: Sequence[Entry],
    *,
    split: str,
    missing: MissingPolicy = "refuse",
    video_to_text: VideoToText = "closest_caption",
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate a model on videos and their captions.

    Args:
        model: what is judged.
        entries: videos and captions, of one split.
        split: its name, for the record.
        missing: what a video counts that is not there or cannot be read: "refuse" evaluates nothing, "miss"
            counts its captions as not found (see :func:`retrieval_metrics`), "skip" leaves it out with them.
            One that gives a part only is used as far as it goes, and listed.
        video_to_text: see :func:`retrieval_metrics`.
        workers: processes that decode.
        progress: called with the number of videos after each batch.

    Returns:
        What :func:`retrieval_metrics` gives, with ``protocol`` (all that the numbers depend on), ``failed``
        (the missing videos) and ``partial``.

    Raises:
        MissingVideosError: with "refuse", if a video is missing; see :func:`encode_gallery`.
        ValueError: if no video can be read.
    """
    gallery = encode_gallery(model, entries, missing=missing, workers=workers, progress=progress)
    report = evaluate_gallery(model, gallery, video_to_text=video_to_text)
    # All that the numbers depend on, so that two reports can be told comparable or not.
    report["protocol"] = {
        "split": split,
        **report["protocol"],
        "ties": "expected values over random order",
        "video_to_text": video_to_text,
        "frames": model.preprocessing.frames,
        "sampling": model.preprocessing.sampling,
        "size_px": model.preprocessing.size_px,
        "max_words": model.max_words,
        "precision": str(model.precision).removeprefix("torch."),
        "model": model.name,
        "method": model.method_name,
        "fingerprint": model.fingerprint,
        "version": __version__,
    }
    return report


def _listed(videos: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"video": str(Path(path)), "reason": reason} for path, reason in videos]


def headline(report: Mapping[str, Any]) -> str:
    """Return one line of the numbers that matter, after how many videos are missing, if any."""
    to_video, to_text = report["text_to_video"], report["video_to_text"]
    note = missing_note(report)
    return (
        f"{note}{': ' if note else ''}"
        f"text to video R@1 {to_video['R@1']:.1f}  R@5 {to_video['R@5']:.1f}  R@10 {to_video['R@10']:.1f}  "
        f"MdR {to_video['MdR']:.1f}  video to text R@1 {to_text['R@1']:.1f}"
    )
