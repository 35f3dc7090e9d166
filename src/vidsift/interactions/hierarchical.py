"""Sentence and mean frame compared at several depths of the towers, gated by the sentence: DRL's HI."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from vidsift.encoders.init import init_linears
from vidsift.interactions.base import Interaction, weights_of
from vidsift.interactions.dot import MeanDot
from vidsift.interactions.masked import unit_tokens
from vidsift.types import Alignment, TokenSet

__all__ = ["Hierarchical", "level_vectors"]


class Hierarchical(Interaction):
    """Cosine of the sentence with the mean frame at each level, weighted by a gate that reads the sentence.

    A token's ``group`` is its level. A text has one token at each level, in their order; a video has one for
    each frame at each. Within a level, frames are treated as by :class:`~vidsift.interactions.dot.MeanDot`
    (one level gives its score), and the gate's softmax over levels makes the score a weighted mean of
    cosines. A frame keeps the weight ``1 / (n |mean|)`` of its level, so that the score is a sum over the
    frames of all levels.

    Use it to let each sentence choose among depths of the towers, since early blocks see other things than
    late ones. It needs towers that give their states at each level, projected. It gives up words, like the
    mean dot product, and its vectors are S times as wide.

    Source: DRL (arXiv 2203.07111) Eq. 2, Table 1 (S = 3 levels, light parameters).
    Differs: not in the released code. Eq. 2 leaves open what a level is and how the gate is computed; here
        the gate is one linear layer over the deepest sentence token, as encoded.

    Args:
        dim: channels of the tokens.
        levels: S, how many depths are compared.

    Example:
        >>> text = TokenSet(torch.ones(1, 2, 4), torch.ones(1, 2).bool(), group=torch.tensor([[0, 1]]))
        >>> video = TokenSet(torch.ones(1, 4, 4), torch.ones(1, 4).bool(), group=torch.tensor([[0, 1, 0, 1]]))
        >>> meet = Hierarchical(dim=4, levels=2)
        >>> f"{meet.score(meet.prepare_text(text), meet.prepare_video(video)).item():.3f}"
        '1.000'
    """

    text_preparation = video_preparation = None
    scans_int8 = True

    def __init__(self, dim: int, levels: int = 3) -> None:
        """See the class."""
        super().__init__()
        self.levels = levels
        self.gate = nn.Linear(dim, levels)
        init_linears(self.gate)

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        if text.tokens.shape[1] != self.levels:
            raise ValueError(
                f"a text has {text.tokens.shape[1]} tokens, expected one for each of {self.levels} levels"
            )
        # The deepest level comes last, and is read before it is made unit length.
        weights_QS = torch.softmax(self.gate(text.tokens[:, -1]), dim=-1)
        return text.replace(tokens=unit_tokens(text), weights=weights_QS)

    def _prepare_video(self, video: TokenSet) -> TokenSet:
        unit = video.replace(tokens=unit_tokens(video))
        # (V, S, N): which frames are of which level
        members_VSN = _members(unit, self.levels).to(unit.tokens.dtype)
        if not bool(members_VSN.any(dim=2).all()):
            raise ValueError(f"a video lacks tokens at some of the {self.levels} levels; give each frame all")
        length_VS = (members_VSN @ unit.tokens).norm(dim=-1).clamp_min(1e-12)
        return unit.replace(weights=(members_VSN / length_VS[..., None]).sum(dim=1))

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Return the gated mean of the levels' cosines, ``sim_QV``: one product of S x D channels."""
        # A gated sum of cosines is one dot product of the levels laid end to end.
        gated_Q1E = (text.tokens * weights_of(text)[..., None]).flatten(1).unsqueeze(1)
        return MeanDot().score(_one_token(gated_Q1E), self.compact_video(video))

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:
        """Give each frame, at each level, its gated and weighted cosine; other levels do not meet."""
        text_weights, video_weights = weights_of(text), weights_of(video)
        meets_BSN = _members(video, self.levels)
        values_BSN = (text.tokens @ video.tokens.transpose(1, 2)).masked_fill(~meets_BSN, 0)
        ranked_BSN = values_BSN.masked_fill(~meets_BSN, float("-inf"))
        return Alignment(
            values=values_BSN,
            contributions=values_BSN * text_weights[:, :, None] * video_weights[:, None, :],
            best_video_token=ranked_BSN.argmax(dim=2),
            best_text_token=ranked_BSN.argmax(dim=1),
            text_weights=text_weights,
            video_weights=video_weights,
        )

    def compact_video(self, video: TokenSet) -> TokenSet:
        """Put the unit means of a video's levels end to end: one token of S x D channels."""
        # Compact already: a set without levels is what this returned.
        if video.group is None:
            return video
        members_VSN = _members(video, self.levels).to(weights_of(video).dtype) * weights_of(video)[:, None]
        means_VSD = members_VSN @ video.tokens.to(members_VSN.dtype)
        # After the sum: a row of an int8 set has one scale for all levels.
        if video.scale is not None:
            means_VSD = means_VSD * video.scale[:, None, None]
        return _one_token(means_VSD.flatten(1).unsqueeze(1))


def level_vectors(tokens: TokenSet, levels: int) -> Tensor:
    """Return the unit mean of the real tokens of each level, whatever the gate, ``(B, S, D)``.

    Raises:
        ValueError: if the tokens do not say which level they belong to.
    """
    members_BSN = _members(tokens, levels).to(tokens.tokens.dtype)
    return normalize(members_BSN @ tokens.tokens, dim=-1)


def _members(tokens: TokenSet, levels: int) -> Tensor:
    """Which real tokens are of each level: bool ``(B, S, N)``."""
    if tokens.group is None:
        raise ValueError(
            "hierarchical tokens need a group, the level that each belongs to; got a set without"
        )
    return (one_hot(tokens.group, levels).bool() & tokens.mask[..., None]).transpose(1, 2)


def _one_token(tokens_B1E: Tensor) -> TokenSet:
    ones_B1 = tokens_B1E.new_ones(len(tokens_B1E), 1)
    return TokenSet(tokens=tokens_B1E, mask=ones_B1.bool(), weights=ones_B1)
