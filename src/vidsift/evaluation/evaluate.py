"""How well a model finds videos by their captions, and under which protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.data.entries import Entry, absent_videos, captions_of
from vidsift.data.loading import Feed
from vidsift.data.video_batches import OrderedVideos
from vidsift.errors import SelectionOnTestError
from vidsift.evaluation.bootstrap import SEED, bootstrap_intervals
from vidsift.evaluation.missing import RULES, MissingPolicy, missing_note, refuse_missing
from vidsift.evaluation.post_processed import Bank, BankSource, bank_similarities, post_processed_row
from vidsift.evaluation.protocol import code_version, hardware, model_facts
from vidsift.evaluation.ranks import RightVideos, VideoToText
from vidsift.evaluation.retrieval import BothWays, both_ways, retrieval_metrics, video_of_caption
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.model import Model
from vidsift.postprocess.apply import PostProcessing
from vidsift.types import Features
from vidsift.video.preprocessing import Preprocessing

__all__ = [
    "EncodedGallery",
    "Evaluation",
    "encode_gallery",
    "evaluate_entries",
    "evaluate_gallery",
    "evaluate_model",
    "gallery_similarity",
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


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model measured on a gallery: the numbers, and what they were made of.

    Attributes:
        report: see :func:`evaluate_entries`.
        similarity: every caption with every video, fp32 ``(Q, V)``; 0 in columns of missing videos.
        entries: the videos that count, with their captions.
        present: which of them are there, bool ``(V,)``.
        ranks: where the right answers stand, both ways.
        post_processed: the same with post-processed similarities, by name, where both ways are.
        gallery: the videos, encoded; None unless they were asked for.
    """

    report: dict[str, Any]
    similarity: NDArray[Any]
    entries: list[Entry]
    present: NDArray[np.bool_]
    ranks: BothWays
    post_processed: dict[str, BothWays]
    gallery: EncodedGallery | None = None


def gallery_similarity(model: Model, gallery: EncodedGallery, texts: Features) -> NDArray[Any]:
    """Return every text with every video of a gallery, ``(Q, V)``; what no video gave is 0."""
    present_QV: NDArray[Any] = model.similarity(texts, gallery.videos).float().cpu().numpy()
    if gallery.present.all():
        return present_QV
    # Never read, see retrieval_metrics.
    sim_QV = np.zeros((len(present_QV), len(gallery.entries)), present_QV.dtype)
    sim_QV[:, gallery.present] = present_QV
    return sim_QV


def evaluate_gallery(
    model: Model, gallery: EncodedGallery, *, video_to_text: VideoToText = "closest_caption"
) -> dict[str, Any]:
    """Look for the captions of a gallery in its videos.

    Returns:
        What :func:`retrieval_metrics` gives; ``protocol`` with the numbers of videos and captions, and the
        policy for missing videos, its rule, how many they are and which; ``failed`` (the missing ones) and
        ``partial``.
    """
    sim_QV = gallery_similarity(model, gallery, model.encode_text(captions_of(gallery.entries)))
    return _report(gallery, sim_QV, video_to_text, None)


def _report(
    gallery: EncodedGallery, sim_QV: NDArray[Any], video_to_text: VideoToText, positives: RightVideos | None
) -> dict[str, Any]:
    failed = _listed(gallery.failed)
    protocol = {
        "videos": len(gallery.entries),
        "captions": len(sim_QV),
        "missing_policy": gallery.policy,
        "missing_rule": RULES[gallery.policy],
        "missing": {"count": len(failed), "of": gallery.named, "videos": failed},
    }
    report = {"protocol": protocol} | retrieval_metrics(
        sim_QV, gallery.entries, video_to_text=video_to_text, present=gallery.present, positives=positives
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
    """Evaluate a model on videos and their captions; :func:`evaluate_model` gives the matrix too.

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
        What :func:`retrieval_metrics` gives, with ``intervals`` (see
        :func:`~vidsift.evaluation.bootstrap.bootstrap_intervals`), ``post_processed`` (rows by name),
        ``protocol`` (all that the numbers depend on), ``failed`` (the missing videos) and ``partial``.

    Raises:
        MissingVideosError: with "refuse", if a video is missing; see :func:`encode_gallery`.
        ValueError: if no video can be read.
    """
    return evaluate_model(
        model,
        entries,
        split=split,
        missing=missing,
        video_to_text=video_to_text,
        workers=workers,
        progress=progress,
    ).report


def evaluate_model(
    model: Model,
    entries: Sequence[Entry],
    *,
    split: str,
    missing: MissingPolicy = "refuse",
    video_to_text: VideoToText = "closest_caption",
    workers: int = 1,
    progress: Progress | None = None,
    positives: RightVideos | None = None,
    post_processing: Sequence[PostProcessing] = (),
    bank: BankSource | None = None,
    facts: Mapping[str, Any] | None = None,
    with_gallery: bool = False,
) -> Evaluation:
    """Evaluate a model on videos and their captions, and keep what the numbers were made of.

    Args:
        model: what is judged.
        entries: videos and captions, of one split.
        split: its name, for the record.
        missing: see :func:`evaluate_entries`.
        video_to_text: see :func:`retrieval_metrics`.
        workers: processes that decode.
        progress: called with the number of videos after each batch.
        positives: for each caption of the entries, in order, the places of all entries that are right for it,
            as :class:`~vidsift.data.positives.Positives` has them; None where nobody says.
        post_processing: which rows of post-processed numbers to add.
        bank: questions for "qbnorm".
        facts: what else the protocol shall say.
        with_gallery: whether the encoded videos are returned too; they stay in memory as long.

    Raises:
        MissingVideosError: with "refuse", if a video is missing; see :func:`encode_gallery`.
        ValueError: if no video can be read; "qbnorm" without a bank.
    """
    if "qbnorm" in post_processing and bank is None:
        raise ValueError("qbnorm needs a bank of other questions: name the split that they are of")
    clock = _Stopwatch()
    gallery = encode_gallery(model, entries, missing=missing, workers=workers, progress=progress)
    clock.lap("videos")
    texts = model.encode_text(captions_of(gallery.entries))
    clock.lap("texts")
    sim_QV = gallery_similarity(model, gallery, texts)
    clock.lap("similarity")
    right = None if positives is None else _among_counted(positives, entries, gallery.entries)
    report = _report(gallery, sim_QV, video_to_text, right)
    owner_Q = video_of_caption(gallery.entries)
    ranks = both_ways(sim_QV, owner_Q, video_to_text=video_to_text, present=gallery.present)
    report["intervals"] = bootstrap_intervals(ranks, owner_Q)
    clock.lap("metrics")
    compared = _compared_bank(model, bank if "qbnorm" in post_processing else None, gallery, texts, workers)
    rows, post_ranks = _post_processed(post_processing, sim_QV, gallery, video_to_text, compared)
    if rows:
        report["post_processed"] = rows
        clock.lap("post_processing")
    known = {"post_processing": list(rows), "seconds": clock.laps} | dict(facts or {})
    report["protocol"] = _protocol(model, split, video_to_text, report["protocol"], known)
    shown = gallery if with_gallery else None
    return Evaluation(report, sim_QV, gallery.entries, gallery.present, ranks, post_ranks, shown)


def _post_processed(
    names: Sequence[PostProcessing],
    sim_QV: NDArray[Any],
    gallery: EncodedGallery,
    video_to_text: VideoToText,
    bank: Bank | None,
) -> tuple[dict[str, Any], dict[str, BothWays]]:
    owner_Q = video_of_caption(gallery.entries)
    rows: dict[str, Any] = {}
    ranks: dict[str, BothWays] = {}
    for name in names:
        rows[name], both = post_processed_row(
            name, sim_QV, owner_Q, video_to_text=video_to_text, present=gallery.present, bank=bank
        )
        if both is not None:
            ranks[name] = both
            rows[name]["intervals"] = bootstrap_intervals(both, owner_Q)
    return rows, ranks


def _protocol(
    model: Model, split: str, video_to_text: VideoToText, counted: dict[str, Any], known: dict[str, Any]
) -> dict[str, Any]:
    """All that the numbers depend on, so that two reports can be told comparable or not."""
    seeds = {"intervals": SEED} | known.pop("seeds", {})
    return {
        "split": split,
        **counted,
        "ties": "expected values over random order",
        "video_to_text": video_to_text,
        **model_facts(model),
        **known,
        "seeds": seeds,
        **code_version(),
        "hardware": hardware(model.device),
    }


def _compared_bank(
    model: Model, bank: BankSource | None, gallery: EncodedGallery, texts: Features, workers: int
) -> Bank | None:
    if bank is None:
        return None
    videos = None
    if bank.videos:
        rng = np.random.default_rng(bank.seed)
        drawn = sorted(rng.permutation(len(bank.entries))[: bank.videos])
        chosen = [bank.entries[place] for place in drawn]
        # One that cannot be read is one question less.
        videos = encode_gallery(model, chosen, missing="skip", workers=workers).videos
    return bank_similarities(model, bank, texts, gallery.videos, videos)


def _among_counted(
    positives: RightVideos, named: Sequence[Entry], counted: Sequence[Entry]
) -> list[list[int]]:
    """Number the right videos among those that count; the others are right and cannot be found."""
    owner_Q = video_of_caption(named)
    if len(positives) != len(owner_Q):
        raise ValueError(f"right videos are given for {len(positives)} captions; there are {len(owner_Q)}")
    place = {entry.name: number for number, entry in enumerate(counted)}
    # Captions of videos that are left out go with them.
    return [
        [place[named[number].name] for number in right if named[number].name in place]
        for owner, right in zip(owner_Q, positives, strict=True)
        if named[owner].name in place
    ]


class _Stopwatch:
    """Wall time of the parts of an evaluation, in seconds."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


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
