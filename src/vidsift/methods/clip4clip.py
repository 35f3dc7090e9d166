"""CLIP4Clip: an empirical study of CLIP for end to end video clip retrieval (arXiv 2104.08860).

A sentence is its end-of-text token. A video is the class tokens of its frames, with or without a head across
them. Three of the four similarities are the cosine with the mean frame; the fourth lets a transformer
read sentence and frames together.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.temporal import TemporalMean
from vidsift.interactions.base import Interaction
from vidsift.interactions.cross import CrossTransformer
from vidsift.interactions.dot import MeanDot
from vidsift.losses.contrastive import info_nce
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import (
    Temporal,
    check_choice,
    frame_set,
    sentence_set,
    start_from_text,
    temporal_head,
)
from vidsift.types import Features, TokenSet

__all__ = ["Clip4Clip", "Head"]

Head = Literal["meanP", "seqLSTM", "seqTransf", "tightTransf"]

_TEMPORAL: dict[str, Temporal] = {"meanP": "none", "seqLSTM": "lstm", "seqTransf": "transformer"}


class Clip4Clip(Method):
    """CLIP4Clip with one of its four similarity heads.

    Use it as the baseline that later papers measure against, and where a library is large: a scan reads one
    vector a segment. It needs training, meanP of CLIP alone; the heads across frames learn weights of their
    own and need more captions. It gives up the words: a sentence is one vector, so no explanation says which
    word was met. tightTransf gives up the account altogether, and ranks candidates only.

    Source: ArrowLuo/CLIP4Clip modules/modeling.py (``sim_header``).
    Differs: padded frames take no part anywhere; a video without a real frame is refused, not NaN.

    Args:
        towers: the CLIP towers.
        head: "meanP" (mean of the frames), "seqLSTM" or "seqTransf" (the mean after an LSTM or a transformer
            across the frames), "tightTransf" (a transformer over sentence and frames together: a black box,
            for which a search finds candidates as meanP does).
        temporal_layers: blocks of seqTransf.
        cross_layers: blocks of tightTransf.
        max_frames: longest video, in frames, that seqTransf and tightTransf know positions for.

    Raises:
        ValueError: if ``head`` is not one of the four.

    Example:
        ``Model.create("clip4clip", *clip, arguments={"head": "seqTransf", "temporal_layers": 2})``
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        head: Head = "meanP",
        temporal_layers: int = 4,
        cross_layers: int = 4,
        # CLIP's text tower has 77 positions; the first one is the sentence's in tightTransf.
        max_frames: int = 76,
    ) -> None:
        """See the class."""
        check_choice("clip4clip", "head", head, get_args(Head))
        interaction: Interaction = MeanDot()
        if head == "tightTransf":
            interaction = CrossTransformer(towers.dim, layers=cross_layers, max_positions=max_frames + 1)
            start_from_text(interaction, towers)
        # What cannot scan has meanP find its candidates.
        stage = [] if interaction.scans else [Term("sentence", "frame", MeanDot())]
        super().__init__(towers, [Term("sentence", "frame", interaction)], stage)
        self.head = head
        self.temporal: nn.Module = (
            TemporalMean()
            if head == "tightTransf"
            else temporal_head(_TEMPORAL[head], towers, temporal_layers, max_frames)
        )

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return the set "sentence" ``(Q, 1, D)``: the end-of-text token."""
        return {"sentence": sentence_set(self.towers.encode_text(ids_QT, mask_QT), mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the set "frame" ``(B, F, D)``: class tokens, after the head across frames."""
        # fp32 from here on: only the towers are ever rounded for inference.
        frames_BFD = self.towers.encode_frame_classes(pixels_BF3SS, mask_BF).float()
        return {"frame": frame_set(self.temporal(frames_BFD, mask_BF), mask_BF, times_BF)}

    def loss(self, text: Features, video: Features) -> dict[str, Tensor]:
        """Return the symmetric cross-entropy; tightTransf's similarities are logits already, unscaled."""
        scale = 1.0 if self.head == "tightTransf" else self.scale
        return {"loss": info_nce(self.similarity(text, video), scale)}
