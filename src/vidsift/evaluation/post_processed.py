"""Rows of numbers with post-processed similarities, labelled by what they depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsift.data.entries import Entry, captions_of
from vidsift.evaluation.metrics import rsum, summary
from vidsift.evaluation.ranks import VideoToText
from vidsift.evaluation.retrieval import BothWays, both_ways
from vidsift.methods.model import Model
from vidsift.postprocess.apply import KINDS, PostProcessing, post_process
from vidsift.postprocess.dual_softmax import Direction
from vidsift.types import Features

__all__ = ["Bank", "BankSource", "bank_captions", "bank_similarities", "post_processed_row"]


@dataclass(frozen=True)
class BankSource:
    """Where the questions of a bank come from.

    Attributes:
        entries: videos of a split with their captions.
        split: its name.
        captions: most captions that are drawn of them, by the seed.
        videos: most videos that are drawn of them, for the bank of video to text; 0 for no such bank.
        transductive: whether it is the split that is measured.
        seed: of the draw.
    """

    entries: Sequence[Entry]
    split: str
    captions: int = 10_000
    videos: int = 0
    transductive: bool = False
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Bank:
    """Similarities of other questions, for QB-Norm.

    Attributes:
        texts: of other captions with the videos of the gallery that are there, ``(B, V)``.
        videos: of the captions of the gallery with other videos, ``(Q, B)``; None where there are none.
        source: where they come from.
    """

    texts: NDArray[Any]
    videos: NDArray[Any] | None
    source: BankSource

    def facts(self) -> dict[str, Any]:
        """Return what a protocol says of it."""
        return {
            "split": self.source.split,
            "captions": len(self.texts),
            "videos": 0 if self.videos is None else self.videos.shape[1],
            "seed": self.source.seed,
        }


def bank_captions(source: BankSource) -> list[str]:
    """Draw the captions of a bank: so many of the split, each once, by the seed."""
    captions = list(dict.fromkeys(captions_of(source.entries)))
    if len(captions) <= source.captions:
        return captions
    rng = np.random.default_rng(source.seed)
    return [captions[place] for place in sorted(rng.choice(len(captions), source.captions, replace=False))]


def bank_similarities(
    model: Model, source: BankSource, texts: Features, videos: Features, bank_videos: Features | None
) -> Bank:
    """Compare a bank with what is measured.

    Args:
        model: encodes the captions of the bank.
        source: of the bank.
        texts: prepared captions of the gallery.
        videos: its prepared videos.
        bank_videos: prepared videos of the bank, where it has any.
    """
    other = model.similarity(model.encode_text(bank_captions(source)), videos).float().cpu().numpy()
    back = None if bank_videos is None else model.similarity(texts, bank_videos).float().cpu().numpy()
    return Bank(other, back, source)


def post_processed_row(
    name: PostProcessing,
    sim_QV: NDArray[Any],
    owner_Q: NDArray[np.int64],
    *,
    video_to_text: VideoToText,
    present: NDArray[np.bool_],
    bank: Bank | None = None,
) -> tuple[dict[str, Any], BothWays | None]:
    """Score post-processed similarities.

    Args:
        name: which post-processing.
        sim_QV: plain similarities; columns of videos that are missing may hold anything.
        owner_Q: the video of each caption.
        video_to_text: see :func:`~vidsift.evaluation.ranks.video_to_text_ranks`.
        present: which videos are there, bool ``(V,)``; the others take no part in the post-processing.
        bank: for "qbnorm".

    Returns:
        The row: ``title``, ``settings``, ``transductive`` and what it ``uses``, ``text_to_video``,
        ``video_to_text`` and ``rsum`` (both None where there is no bank for them); and the ranks of both
        directions, where there are both.

    Raises:
        NonFiniteScoresError: a similarity is NaN or infinite.
        ValueError: "qbnorm" without a bank.
    """
    kind = KINDS[name]
    there = torch.from_numpy(np.ascontiguousarray(sim_QV[:, present]))

    def processed(direction: Direction, questions: NDArray[Any] | None) -> NDArray[Any]:
        other: Tensor | None = None if questions is None else torch.from_numpy(questions)
        result = post_process(name, there, direction, bank=other).cpu().numpy()
        if present.all():
            return result
        whole = np.zeros(sim_QV.shape, result.dtype)
        whole[:, present] = result
        return whole

    def ranked(to_video: NDArray[Any], to_text: NDArray[Any] | None) -> BothWays:
        return both_ways(to_video, owner_Q, video_to_text=video_to_text, present=present, to_text_QV=to_text)

    uses_bank = name == "qbnorm"
    one_way = uses_bank and bank is not None and bank.videos is None
    to_text = None if one_way else processed("video_to_text", bank.videos if uses_bank and bank else None)
    ranks = ranked(processed("text_to_video", bank.texts if uses_bank and bank else None), to_text)
    row: dict[str, Any] = {
        "title": kind.title,
        "settings": dict(kind.settings) | ({"bank": bank.facts()} if uses_bank and bank else {}),
        "transductive": bank.source.transductive if uses_bank and bank else True,
        "uses": kind.uses,
        "text_to_video": summary(ranks.text_to_video),
        "video_to_text": None if one_way else summary(ranks.video_to_text),
    }
    row["rsum"] = None if one_way else rsum(row["text_to_video"], row["video_to_text"])
    return row, None if one_way else ranks
