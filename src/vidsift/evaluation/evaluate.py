"""How well a model finds videos by their captions, and under which protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidsift import __version__
from vidsift.data.entries import Entry, absent_videos, captions_of
from vidsift.data.loading import Feed
from vidsift.data.video_batches import OrderedVideos
from vidsift.errors import SelectionOnTestError
from vidsift.evaluation.metrics import recall, rsum, summary
from vidsift.evaluation.missing import RULES, MissingPolicy, missing_note, refuse_missing
from vidsift.evaluation.ranks import (
    Ranks,
    VideoToText,
    choice_ranks,
    ranks_with_unanswered,
    require_finite_scores,
    text_to_video_ranks,
    video_to_text_ranks,
)
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


def video_of_caption(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """Return for each caption, video by video, the number of its video, ``(Q,)``."""
    return np.repeat(np.arange(len(entries)), [len(entry.captions) for entry in entries])


def retrieval_metrics(
    sim_QV: ArrayLike,
    entries: Sequence[Entry],
    *,
    video_to_text: VideoToText = "closest_caption",
    present: ArrayLike | None = None,
) -> dict[str, Any]:
    """Turn similarities into numbers.

    A video that is not ``present`` counts as not found, and the gallery stays as large as it is: its captions
    are in no R@K and take the rank behind the last video; asked for its captions, it takes the rank behind
    the last one; among hard negatives its captions are wrong. To the captions of other videos it is no rival,
    as nobody knows where it would stand (with K missing, such a caption may stand up to K ranks better), so a
    model that guesses scores what it would with all videos there. Its captions stay rivals to other videos.

    Args:
        sim_QV: every caption of the entries, in order, with every video, in order.
        entries: what is true: captions, tags, groups of hard negatives.
        video_to_text: protocol with several captions a video, see
            :func:`~vidsift.evaluation.ranks.video_to_text_ranks`.
        present: bool ``(V,)``, False for videos that are missing, whose columns may hold anything; None where
            none is.

    Returns:
        ``text_to_video`` and ``video_to_text`` (R@1, R@5, R@10, MdR, MnR, questions), ``rsum``, and where the
        entries have them: ``by_tag`` (text to video, for each tag), ``by_novelty`` ("seen", "unseen"),
        ``choice`` (percentage of captions that pick the right video among its hard negatives, overall and by
        tag, with the percentage that chance gives).

    Raises:
        NonFiniteScoresError: if a similarity is NaN or infinite.
        ValueError: if every video is missing, or shapes do not fit.
    """
    owner_Q = video_of_caption(entries)
    present_V = np.ones(len(entries), bool) if present is None else np.asarray(present, bool)
    # Zeros where nothing was measured: no rank below reads them.
    scores_QV = np.asarray(sim_QV) if present_V.all() else np.where(present_V, sim_QV, 0.0)
    require_finite_scores(scores_QV)
    ranks_Q = _text_to_video(scores_QV, owner_Q, present_V)
    ranks_V = _video_to_text(scores_QV, owner_Q, present_V, video_to_text)
    result: dict[str, Any] = {"text_to_video": summary(ranks_Q), "video_to_text": summary(ranks_V)}
    result["rsum"] = rsum(result["text_to_video"], result["video_to_text"])
    tag_Q = np.asarray([entry.tag for entry in entries])[owner_Q]
    if any(tag_Q):
        result["by_tag"] = {str(tag): summary(ranks_Q[tag_Q == tag]) for tag in dict.fromkeys(tag_Q) if tag}
    novelty_Q = np.asarray([_novelty(entry) for entry in entries])[owner_Q]
    if any(novelty_Q):
        kinds = sorted({str(kind) for kind in novelty_Q if kind})
        result["by_novelty"] = {kind: summary(ranks_Q[novelty_Q == kind]) for kind in kinds}
    choice = _choice(scores_QV, owner_Q, present_V, entries, tag_Q)
    return result | ({"choice": choice} if choice else {})


def _novelty(entry: Entry) -> str:
    return "" if entry.unseen is None else "unseen" if entry.unseen else "seen"


def _among_present(
    sim_QV: NDArray[Any], owner_Q: NDArray[np.int64], present_V: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the captions of the videos that are there with those videos, and the owners counted anew."""
    if present_V.all():
        return sim_QV, owner_Q
    present_Q = present_V[owner_Q]
    # Old number of a video -> its number among those that are there.
    return sim_QV[present_Q][:, present_V], (np.cumsum(present_V) - 1)[owner_Q[present_Q]]


def _text_to_video(sim_QV: NDArray[Any], owner_Q: NDArray[np.int64], present_V: NDArray[np.bool_]) -> Ranks:
    # Only videos that are there are rivals; a caption of a missing one stands behind all V.
    ranks = text_to_video_ranks(*_among_present(sim_QV, owner_Q, present_V))
    return ranks_with_unanswered(ranks, present_V[owner_Q], len(present_V))


def _video_to_text(
    sim_QV: NDArray[Any],
    owner_Q: NDArray[np.int64],
    present_V: NDArray[np.bool_],
    protocol: VideoToText,
) -> Ranks:
    ranks = video_to_text_ranks(sim_QV, owner_Q, protocol)
    # Ranks come for the videos that have a caption, ascending.
    answered_V = present_V[np.unique(owner_Q)]
    items = len(owner_Q) if protocol == "closest_caption" else len(answered_V)
    return ranks_with_unanswered(ranks[answered_V], answered_V, items)


def _choice(
    sim_QV: NDArray[Any],
    owner_Q: NDArray[np.int64],
    present_V: NDArray[np.bool_],
    entries: Sequence[Entry],
    tag_Q: NDArray[np.str_],
) -> dict[str, Any]:
    # Videos without a group share the name ""; named_Q takes them out below.
    names = {name: number for number, name in enumerate(sorted({entry.group for entry in entries}))}
    group_V = np.asarray([names[entry.group] for entry in entries])
    scores, owner = _among_present(sim_QV, owner_Q, present_V)
    present_ranks, present_size = choice_ranks(scores, owner, group_V[present_V])
    answered_Q = present_V[owner_Q]
    ranks = ranks_with_unanswered(present_ranks, answered_Q, len(entries))
    # A guess hits one of the videos that are there, and never one that is missing.
    chance_Q = np.zeros(len(owner_Q))
    chance_Q[answered_Q] = 1 / present_size
    named_Q = np.asarray([bool(entry.group) for entry in entries])[owner_Q]
    # Alone in a group there is nothing to choose from.
    in_group_Q = named_Q & (np.bincount(group_V)[group_V[owner_Q]] > 1)
    if not in_group_Q.any():
        return {}

    def row(chosen: NDArray[np.bool_]) -> dict[str, float]:
        return {
            "right": recall(ranks[chosen], 1),
            "chance": 100.0 * float(chance_Q[chosen].mean()),
            "questions": int(chosen.sum()),
        }

    tags = {str(tag): row(in_group_Q & (tag_Q == tag)) for tag in dict.fromkeys(tag_Q[in_group_Q]) if tag}
    return {"all": row(in_group_Q)} | ({"by_tag": tags} if tags else {})


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
