"""Heads that let the frames of a video see each other: none (mean), LSTM, transformer.

All take and give frame tokens ``(B, F, D)`` with a mask ``(B, F)``; the mean itself is taken by the interaction.
A padded frame never influences a real one, and padded frames come out as zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from vidsift.encoders.clip import ClipTowers

__all__ = ["TemporalLSTM", "TemporalMean", "TemporalTransformer", "temporal_weights_from_release"]


class TemporalMean(nn.Module):
    """Leaves frames as they are: the head of CLIP4Clip's meanP, named so that every method has one.

    Source: CLIP4Clip modules/modeling.py:354 (``sim_header == "meanP"``).
    """

    def forward(self, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        """Return ``frames_BFD`` with padded frames set to zero."""
        return frames_BFD * mask_BF.unsqueeze(-1).to(frames_BFD.dtype)


class TemporalLSTM(nn.Module):
    """One forward LSTM over the real frames, added to them (CLIP4Clip's and DRL's seqLSTM)."""

    def __init__(self, dim: int) -> None:
        """Build the head for tokens of ``dim`` channels."""
        super().__init__()
        self.dim = dim

    def forward(self, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        """Return frames that know what came before them, ``(B, F, D)``."""
        raise NotImplementedError


class TemporalTransformer(nn.Module):
    """A small transformer over the frames, added to them (CLIP4Clip's and DRL's seqTransf)."""

    def __init__(self, dim: int, layers: int = 4, heads: int | None = None, max_frames: int = 64) -> None:
        """Build the head; ``heads`` defaults to one for every 64 channels."""
        super().__init__()

    def forward(self, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        """Return frames that know the whole video, ``(B, F, D)``."""
        raise NotImplementedError

    def init_from_text(self, towers: ClipTowers) -> None:
        """Copy blocks 0..layers-1 and the positions of the text tower."""
        raise NotImplementedError


def temporal_weights_from_release(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a released temporal head to the names used here."""
    raise NotImplementedError
