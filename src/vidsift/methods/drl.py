"""DRL: disentangled representation learning for text-video retrieval (arXiv 2203.07111).

A sentence is all its words (or its end-of-text token), a video the class tokens of its frames after a head
across them. How the two meet is the paper's question: dot product (DP), token-wise (TI), weighted
token-wise (WTI, the paper's answer) or a cross transformer (XTI). Channel decorrelation (CDCR) is added to
the contrastive loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.interactions.base import Interaction
from vidsift.interactions.cross import CrossTransformer
from vidsift.interactions.dot import MeanDot
from vidsift.interactions.token_wise import Padding, TokenWise, WeightedTokenWise
from vidsift.losses.contrastive import info_nce
from vidsift.losses.decorrelation import MatchForm, decorrelation
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import (
    Temporal,
    frame_set,
    keep_padded,
    sentence_set,
    start_from_text,
    temporal_head,
    word_set,
)
from vidsift.types import Features, TokenSet

__all__ = ["Cdcr", "Drl", "DrlInteraction"]

DrlInteraction = Literal["dp", "ti", "wti", "xti"]
Cdcr = Literal["auto", "none", "single", "random", "best_match", "best_match_summed", "weighted"]

_TEXT_SET = {"dp": "sentence", "ti": "word", "wti": "word", "xti": "sentence"}
_CDCR: dict[str, MatchForm | None] = {"dp": "single", "ti": "best_match", "wti": "weighted", "xti": None}


class Drl(Method):
    """DRL with one of its interactions.

    Source: foolwood/DRL tvr/models/modeling.py.
    Differs: padding is left out of every maximum (``padding="zero"`` gives the released rule); CDCR follows
        the paper's alpha and the interaction's own matches (the released scripts set alpha 0).

    Args:
        towers: the CLIP towers.
        interaction: "dp", "ti", "wti" or "xti".
        weight_layers: fully connected layers of each weight head of WTI: 1, 2 or 3.
        temporal: the head across frames: "none", "lstm" or "transformer".
        temporal_layers: blocks of the transformer across frames.
        cross_layers: blocks of XTI.
        max_frames: longest video, in frames, that the transformers know positions for.
        cdcr: form of the decorrelation, see :func:`~vidsift.losses.decorrelation.decorrelation`; "auto" takes
            "single" for DP, "best_match" for TI, "weighted" for WTI and "none" for XTI.
        cdcr_alpha: weight of the redundancy between channels.
        cdcr_on_diagonal: weight of the agreement within channels.
        cdcr_lambda: weight of the decorrelation beside InfoNCE.
        shift_blocks: blocks of the image tower in which tokens move between frames (from TS2-Net).
        shift_n_div: how many tokens move, see :func:`~vidsift.encoders.token_shift.shift_tokens`.
        padding: "zero" for the released treatment of padding in TI and WTI: padding is encoded and counts as
            similarity 0; texts and videos are then padded to full width.

    Raises:
        ValueError: if an argument is not one of its choices, or CDCR is asked of XTI.
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        interaction: DrlInteraction = "wti",
        weight_layers: int = 2,
        temporal: Temporal = "transformer",
        temporal_layers: int = 4,
        cross_layers: int = 4,
        max_frames: int = 76,
        cdcr: Cdcr = "auto",
        cdcr_alpha: float = 0.06,
        cdcr_on_diagonal: float = 1.0,
        cdcr_lambda: float = 0.001,
        shift_blocks: Sequence[int] = (),
        shift_n_div: int = 7,
        padding: Padding = "excluded",
    ) -> None:
        """See the class."""
        _check("interaction", interaction, get_args(DrlInteraction))
        _check("cdcr", cdcr, get_args(Cdcr))
        _check("padding", padding, get_args(Padding))
        meeting = _meeting(
            interaction,
            towers,
            weight_layers=weight_layers,
            cross_layers=cross_layers,
            max_frames=max_frames,
            padding=padding,
        )
        super().__init__(towers, [Term(_TEXT_SET[interaction], "frame", meeting)])
        self.temporal = temporal_head(temporal, towers, temporal_layers, max_frames)
        self.cdcr = _CDCR[interaction] if cdcr == "auto" else None if cdcr == "none" else cdcr
        if self.cdcr is not None and meeting.black_box:
            raise ValueError(f"drl: cdcr={cdcr} needs matched tokens, xti is a black box; use cdcr=none")
        self.cdcr_alpha = cdcr_alpha
        self.cdcr_on_diagonal = cdcr_on_diagonal
        self.cdcr_lambda = cdcr_lambda
        self.shift_blocks = tuple(shift_blocks)
        self.shift_n_div = shift_n_div
        self.full_width = padding == "zero" and interaction in ("ti", "wti")

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return the set "word" ``(Q, T, D)``, or "sentence" ``(Q, 1, D)`` for DP and XTI."""
        name = self.terms[0].text
        seen_QT = torch.ones_like(mask_QT) if self.full_width else mask_QT
        tokens_QTD = self.towers.encode_text(ids_QT, seen_QT)
        return {name: (word_set if name == "word" else sentence_set)(tokens_QTD, mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the set "frame" ``(B, F, D)``: class tokens, after the head across frames."""
        seen_BF = torch.ones_like(mask_BF) if self.full_width else mask_BF
        frames_BFD = self.towers.encode_frame_classes(
            pixels_BF3SS, seen_BF, self.shift_blocks, shift_n_div=self.shift_n_div
        ).float()
        if self.full_width:
            frames_BFD = keep_padded(self.temporal, frames_BFD, mask_BF)
        else:
            frames_BFD = self.temporal(frames_BFD, mask_BF)
        return {"frame": frame_set(frames_BFD, mask_BF, times_BF)}

    def loss(self, text: Features, video: Features) -> dict[str, Tensor]:
        """Return InfoNCE plus lambda times CDCR, and both parts (DRL Eq. 9).

        Source: foolwood/DRL tvr/models/modeling.py, forward.
        Differs: Eq. 7 adds the two directions of InfoNCE; the code, like ours, halves them, so lambda counts
            twice as much against it as the paper's formula says.
        """
        contrast = info_nce(self.similarity(text, video), self.scale)
        if self.cdcr is None:
            return {"loss": contrast, "info_nce": contrast.detach()}
        (term,) = self.terms
        text_set, video_set = text[term.text], video[term.video]
        alignment = None
        if self.cdcr not in ("single", "random"):
            alignment = term.interaction.align(text_set, video_set)
        parts = decorrelation(text_set, video_set, self.cdcr, alignment)
        redundancy = parts.total(self.cdcr_alpha, self.cdcr_on_diagonal)
        loss = contrast + self.cdcr_lambda * redundancy
        return {"loss": loss, "info_nce": contrast.detach(), "cdcr": redundancy.detach()}


def _meeting(
    interaction: str,
    towers: ClipTowers,
    *,
    weight_layers: int,
    cross_layers: int,
    max_frames: int,
    padding: Padding,
) -> Interaction:
    if interaction == "dp":
        return MeanDot()
    if interaction == "ti":
        return TokenWise(padding)
    if interaction == "wti":
        return WeightedTokenWise(towers.dim, weight_layers, padding)
    cross = CrossTransformer(towers.dim, layers=cross_layers, max_positions=max_frames + 1)
    start_from_text(cross, towers)
    return cross


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"drl: {name} is {value!r}, expected one of {', '.join(known)}")
