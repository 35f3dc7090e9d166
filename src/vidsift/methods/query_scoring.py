"""CLIP-Hitchhiker: query-scoring of frames for long video retrieval (arXiv 2205.08508).

A sentence is its end-of-text token, a video the class tokens of its frames, as CLIP gives them. The sentence
scores every frame, and frames of high scores count more: what is seen for two seconds of a long video does
not drown in the mean of all. Nothing is learned, and the ends of it are two others: the mean over all frames,
and the best frame alone.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.interactions.base import Interaction
from vidsift.interactions.frame_softmax import FrameAverage, FrameSoftmax
from vidsift.interactions.token_wise import TokenWise
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import check_choice, frame_set, sentence_set
from vidsift.types import TokenSet

__all__ = ["FramePooling", "QueryScoring"]

FramePooling = Literal["softmax", "max", "token_wise"]


class QueryScoring(Method):
    """CLIP as it comes, frames weighed by the sentence.

    Use it to search recordings with a CLIP that nobody trained on video: a segment is found by what is seen
    in a part of it. It needs nothing but a CLIP, and every frame in the index. It gives up what only several
    frames together show (order, change), and the more one frame decides, the more one misleading frame does.

    Source: m-bain/clip-hitchhiker query_scoring.py, similarity_queryscoring (softmax); DRL (arXiv 2203.07111)
        Eq. 5 with one text token ("max" its half from text to video, "token_wise" both).
    Differs: frames are made unit length before they are averaged, there after; the released
        ``mean="scores"``, which is never called, multiplies the sentence with the lengths of the frames, and
        "cosine" averages what it was to average.

    Args:
        towers: the CLIP towers.
        pooling: "softmax" weighs frames by the softmax of their cosines; "max" takes the best frame, which is
            what a temperature near 0 does; "token_wise" the mean of the best frame's cosine and of all.
        temperature: of the softmax: the smaller, the fewer frames decide; a large one gives the mean. The
            paper's is 0.1; cosines of a CLIP lie within a few hundredths.
        average: what the softmax averages: "frame" (code) or "cosine", see
            :class:`~vidsift.interactions.frame_softmax.FrameSoftmax`.

    Raises:
        ValueError: if an argument is not one of its choices, or ``temperature`` is not above 0.

    Example:
        ``Model.create("query_scoring", *clip, arguments={"temperature": 0.02})``
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        pooling: FramePooling = "softmax",
        temperature: float = 0.1,
        average: FrameAverage = "frame",
    ) -> None:
        """See the class."""
        check_choice("query_scoring", "pooling", pooling, get_args(FramePooling))
        check_choice("query_scoring", "average", average, get_args(FrameAverage))
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(
                f"query_scoring: temperature is {temperature}, expected a number above 0; pooling='max' is "
                "its limit at 0"
            )
        meeting: Interaction
        if pooling == "softmax":
            meeting = FrameSoftmax(1 / temperature, "cosine", average)
        else:
            meeting = TokenWise(paths="t2v" if pooling == "max" else "dual")
        super().__init__(towers, [Term("sentence", "frame", meeting)])

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return the set "sentence" ``(Q, 1, D)``: the end-of-text token."""
        return {"sentence": sentence_set(self.towers.encode_text(ids_QT, mask_QT), mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the set "frame" ``(B, F, D)``: the class tokens."""
        return {
            "frame": frame_set(self.towers.encode_frame_classes(pixels_BF3SS, mask_BF), mask_BF, times_BF)
        }
