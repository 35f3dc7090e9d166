"""The kinds of post-processing by name: what ``vidsift evaluate --post`` offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from vidsift.errors import NonFiniteScoresError
from vidsift.postprocess.assignment import TIE_SEED, assigned_first
from vidsift.postprocess.dual_softmax import CLIP_SCALE, Direction, dual_softmax
from vidsift.postprocess.inverted_softmax import BETA, inverted_softmax, sinkhorn
from vidsift.postprocess.query_bank import query_bank_norm

__all__ = ["KINDS", "Kind", "PostProcessing", "post_process"]

PostProcessing = Literal["dsl", "inverted-softmax", "qbnorm", "sinkhorn", "tvh"]


@dataclass(frozen=True)
class Kind:
    """What is to be known of a kind of post-processing.

    Attributes:
        title: its name for people.
        settings: its fixed numbers; none is chosen by a score on a test split.
        uses: what its numbers depend on beside the question itself.
    """

    title: str
    settings: Mapping[str, float]
    uses: str


_TEST = "all test questions"
KINDS: Mapping[PostProcessing, Kind] = {
    "dsl": Kind("dual softmax", {"scale": CLIP_SCALE}, _TEST),
    "inverted-softmax": Kind("inverted softmax", {"beta": BETA}, _TEST),
    "qbnorm": Kind("QB-Norm (dynamic inverted softmax)", {"beta": BETA, "k": 1}, "a bank of other questions"),
    "sinkhorn": Kind("Sinkhorn's normalisation", {"scale": CLIP_SCALE}, _TEST),
    "tvh": Kind(
        "one-to-one assignment (ProST's TVH)",
        {"seed": TIE_SEED},
        f"{_TEST}, and that each has its own answer",
    ),
}


def post_process(
    name: PostProcessing,
    sim_QV: Tensor,
    direction: Direction = "text_to_video",
    *,
    bank: Tensor | None = None,
) -> Tensor:
    """Post-process similarities for one direction, in logarithms where numbers could underflow.

    Args:
        name: one of :data:`KINDS`.
        sim_QV: every query with every video, unscaled.
        direction: "text_to_video" gives what is to be compared within rows, "video_to_text" within columns.
        bank: for "qbnorm" the similarities of the bank: other texts with these videos ``(B, V)``, or these
            texts with other videos ``(Q, B)``.

    Returns:
        ``(Q, V)``, higher is better.

    Raises:
        NonFiniteScoresError: a similarity is NaN or infinite.
        ValueError: for an unknown name; "qbnorm" without its bank, or one that does not fit.
        ImportError: "tvh" without scipy.
    """
    if name not in get_args(PostProcessing):
        raise ValueError(f"post-processing {name!r}: expected one of {', '.join(get_args(PostProcessing))}")
    for what, values in (("similarity", sim_QV), ("similarity of the bank", bank)):
        if values is not None and not torch.isfinite(values).all():
            row, column = (int(place) for place in (~torch.isfinite(values)).nonzero()[0])
            raise NonFiniteScoresError(
                f"the {what} in row {row}, column {column} is {float(values[row, column])}; NaN and infinity "
                "spread over all scores: find out which encoder gave it"
            )
    if name == "qbnorm":
        return _with_bank(sim_QV, direction, bank)
    if name == "dsl":
        return dual_softmax(sim_QV, direction=direction, log=True)
    if name == "inverted-softmax":
        return inverted_softmax(sim_QV, direction=direction)
    return sinkhorn(sim_QV) if name == "sinkhorn" else assigned_first(sim_QV, direction=direction)


def _with_bank(sim_QV: Tensor, direction: Direction, bank: Tensor | None) -> Tensor:
    if bank is None:
        raise ValueError("qbnorm needs a bank: similarities of other questions with what is looked for")
    if direction == "text_to_video":
        return query_bank_norm(sim_QV, bank, log=True).similarities
    # Videos ask for texts: everything on its side.
    return query_bank_norm(sim_QV.T, bank.T, log=True).similarities.T
