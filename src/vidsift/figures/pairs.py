"""A sentence and a video, straight from the file: the account of their score without an index."""

from __future__ import annotations

from pathlib import Path

import torch

from vidsift.methods.model import Model
from vidsift.search.explain import Explanation, TermAccount, account_for, traced_patches
from vidsift.search.sums import QueryPart
from vidsift.types import Frames, Span
from vidsift.video import probe, read_frames

__all__ = ["explain_pair", "frames_seen", "timed_term"]


def frames_seen(model: Model, path: str | Path, span: Span | None = None) -> Frames:
    """Read what a model looks at in a video, or in a part of one.

    Raises:
        VideoReadError: the file cannot be read.
    """
    stretch = Span(0.0, probe(path).duration_seconds) if span is None else span
    return read_frames(path, model.wanted_times(stretch), size_px=model.preprocessing.size_px)


def explain_pair(
    model: Model, path: str | Path, sentence: str, span: Span | None = None
) -> tuple[Explanation, Frames]:
    """Account for the score of a sentence with a video, or with a part of one.

    Args:
        model: whose method has an account.
        path: the video file.
        sentence: what is asked.
        span: which part; the whole file when None.

    Returns:
        The account, and the pictures that the model looked at.

    Raises:
        NoAlignmentError: the method has no account.
        VideoReadError: the file cannot be read.
    """
    frames = frames_seen(model, path, span)
    video = model.encode_frames([frames.pixels], [frames.times_seconds])
    text = model.encode_text([sentence])
    with torch.inference_mode():
        account = model.method.align(text, video)
    terms = account_for(
        QueryPart(sentence, 1.0),
        pieces=model.tokenize([sentence]).pieces[0],
        method=model.method,
        text=text,
        video=video,
        account=account,
        traced=traced_patches(model, frames, video),
    )
    score = float(model.similarity(text, video)[0, 0])
    return Explanation(sentence, score, terms, path=str(path), segment=span), frames


def timed_term(explanation: Explanation) -> TermAccount:
    """Return the first term that compares words with what has a time.

    Raises:
        ValueError: there is none.
    """
    for term in explanation.terms:
        if term.times_seconds is not None and len(term.words) > 1:
            return term
    raise ValueError(
        "no term of this model compares words with frames; draw a model that does, such as drl or pidro"
    )
