"""Formulas as other projects released them, to measure beside."""

from __future__ import annotations

import torch
from torch import Tensor

from vidsift.types import TokenSet


def released_wti(text: TokenSet, video: TokenSet) -> Tensor:
    """WTI with texts x videos x words x frames all made, padding multiplied to zero: ``sim_QV``.

    Source: DRL, foolwood/DRL tvr/models/modeling.py, wti_interaction.
    """
    assert text.weights is not None
    assert video.weights is not None
    products_QVTF = torch.einsum("qtd,vfd->qvtf", text.tokens, video.tokens)
    products_QVTF = torch.einsum("qvtf,qt->qvtf", products_QVTF, text.mask.float())
    products_QVTF = torch.einsum("qvtf,vf->qvtf", products_QVTF, video.mask.float())
    text_to_video_QV = torch.einsum("qvt,qt->qv", products_QVTF.max(dim=-1).values, text.weights)
    video_to_text_QV = torch.einsum("qvf,vf->qv", products_QVTF.max(dim=-2).values, video.weights)
    return (text_to_video_QV + video_to_text_QV) / 2
