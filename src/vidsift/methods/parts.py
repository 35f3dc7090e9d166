"""What several papers build from: token sets with their places in time, and the head across frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers, end_of_text
from vidsift.encoders.temporal import TemporalLSTM, TemporalMean, TemporalTransformer, misfit_to_text
from vidsift.interactions.cross import CrossTransformer
from vidsift.types import TokenSet

__all__ = [
    "PaddedTokens",
    "Temporal",
    "check_choice",
    "frame_set",
    "keep_padded",
    "sentence_set",
    "start_from_text",
    "temporal_head",
    "until_the_end",
    "word_set",
]

Temporal = Literal["none", "lstm", "transformer"]
PaddedTokens = Literal["excluded", "included"]
"""Whether padding stays out of a method, or is encoded and compared like real tokens as in released code."""


def check_choice(method: str, name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse an argument of a method that is none of its choices.

    Raises:
        ValueError: with the value and the choices.
    """
    if value not in choices:
        raise ValueError(f"{method}: {name} is {value!r}, expected one of {', '.join(choices)}")


def temporal_head(
    kind: str, towers: ClipTowers, layers: int, max_frames: int, window: int | None = None
) -> nn.Module:
    """Build the head that lets frames see each other, initialised from the towers.

    Args:
        kind: "none", "lstm" or "transformer".
        towers: give the width; the transformer starts from their text tower, see :func:`start_from_text`.
        layers: blocks of the transformer.
        max_frames: positions that the transformer knows.
        window: of the transformer, see :class:`~vidsift.encoders.temporal.TemporalTransformer`.

    Raises:
        ValueError: if ``kind`` is another word, or has no window.

    Source: CLIP4Clip modules/modeling.py (``sim_header``); DRL tvr/models/modeling.py (``agg_module``).
    """
    if window is not None and kind != "transformer":
        raise ValueError(
            f"temporal_window is {window}, but the head across frames is {kind!r}; only 'transformer' has one"
        )
    if kind == "none":
        return TemporalMean()
    if kind == "lstm":
        return TemporalLSTM(towers.dim)
    if kind == "transformer":
        head = TemporalTransformer(towers.dim, layers=layers, max_frames=max_frames, window=window)
        start_from_text(head, towers)
        return head
    raise ValueError(f"temporal head {kind!r}: expected one of {', '.join(get_args(Temporal))}")


def keep_padded(head: nn.Module, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
    """Run a head across frames as the released code does, where padded frames come out with values.

    Real frames come out as they do from ``head`` itself; padded ones look at the real ones too (transformer),
    or are what came in, twice (LSTM).

    Source: foolwood/DRL tvr/models/modeling.py, agg_video_feat.
    """
    if isinstance(head, TemporalTransformer):
        state_BFD = frames_BFD + head.positions[: frames_BFD.shape[1]]
        for block in head.blocks:
            # Hidden from padded queries too.
            state_BFD = block(state_BFD, head.unseen(mask_BF))
        return state_BFD + frames_BFD
    if isinstance(head, TemporalLSTM):
        # Behind a video's end the released LSTM hands its input through, and the residual adds it again.
        return torch.where(mask_BF[..., None], head(frames_BFD, mask_BF), 2 * frames_BFD)
    return frames_BFD


def start_from_text(part: TemporalTransformer | CrossTransformer, towers: ClipTowers) -> None:
    """Copy the first blocks and the positions of the text tower, where they have the part's sizes.

    So it is for every head across frames and every CLIP that OpenAI published. Where width, heads or hidden
    channels differ, the part keeps its fresh weights: those of the tower would mean something else in it.
    """
    if not misfit_to_text(towers, part.blocks, part.positions):
        part.init_from_text(towers)


def word_set(tokens_QTD: Tensor, mask_QT: Tensor, *, ends: bool = True) -> TokenSet:
    """All tokens of the sentences in fp32, each in its place.

    Args:
        tokens_QTD: text tokens.
        mask_QT: bool, True at real ones, which stand first.
        ends: whether start and end of text are among them. A sentence of nothing else keeps both.
    """
    tokens = TokenSet(tokens=tokens_QTD.float(), mask=mask_QT)
    if ends:
        return tokens
    place_T = torch.arange(mask_QT.shape[1], device=mask_QT.device)
    inner_QT = (place_T > 0) & (place_T < mask_QT.sum(dim=1, keepdim=True) - 1)
    return tokens.replace(mask=torch.where(inner_QT.any(dim=1, keepdim=True), inner_QT, mask_QT))


def sentence_set(tokens_QTD: Tensor, mask_QT: Tensor) -> TokenSet:
    """The end-of-text token of each sentence as a set of one, in fp32."""
    sentence_Q1D = end_of_text(tokens_QTD, mask_QT).float()
    return TokenSet(tokens=sentence_Q1D, mask=mask_QT.new_ones(len(mask_QT), 1))


def frame_set(tokens_BFD: Tensor, mask_BF: Tensor, times_BF: Tensor) -> TokenSet:
    """One token for each frame, in fp32, with the second at which it is shown and its place in the row."""
    # fp64 for the times below: in fp32, seconds are 2 ms apart after 4.6 hours.
    frame_BF = torch.arange(mask_BF.shape[1], device=mask_BF.device).expand(mask_BF.shape)
    return TokenSet(
        tokens=tokens_BFD.float(), mask=mask_BF, times_seconds=times_BF.double(), frame=frame_BF.contiguous()
    )


def until_the_end(times_BF: Tensor, mask_BF: Tensor) -> Tensor:
    """Give padded frames the last real frame's second, for rules by which padding counts as frames.

    Args:
        times_BF: when each frame is shown, in seconds.
        mask_BF: bool, True at real frames; at least one in each row.
    """
    # Padding stands behind, but its zeros must not count as seconds.
    last_B1 = times_BF.masked_fill(~mask_BF, -torch.inf).amax(dim=1, keepdim=True)
    return torch.where(mask_BF, times_BF, last_B1)
