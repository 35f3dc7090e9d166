"""The sentence against the frames that it attends to: a pooled video for each sentence (X-Pool)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidsift.interactions.base import Interaction
from vidsift.interactions.channel_parts import ChannelParts
from vidsift.interactions.masked import masked_max, masked_softmax
from vidsift.types import Alignment, TokenSet

__all__ = ["AttentionPooling"]

_NUMBERS_AT_ONCE = 1 << 22


class AttentionPooling(Interaction):
    """Cosine of the sentence with the frames, pooled by the attention that this sentence pays them.

    Use it where a clip shows more than the sentence says, so that a mean over all frames is a mean over too
    much. It needs one text token (the sentence) and a set of frames. It scans, but it gives up speed and
    room: a video has no vector of its own, so that every pair costs a product of ``D x D``, and a frame is
    stored twice, as key and as value, which int8 does not speed up.

    With ``q`` the query of a sentence and ``k_f``, ``v_f`` key and value of a frame::

        a_f    = softmax over f of  q . k_f / sqrt(D)
        r      = LN2(sum over f of a_f v_f)
        score  = cosine of the sentence with  LN3(r + W r + b)

    The values are stored behind the attention's output projection, which commutes with the sum as the ``a_f``
    add up to 1.

    The account is exact, and is to be read for what it is. All that follows the attention is linear but for
    the deviations that both norms divide by and the length of the pooled video. These are held as they are
    for the pair: then a frame's value is what the pair would score with all attention on that frame, its
    contribution is ``a_f`` times that, and contributions sum to the score. With other attention the three
    divisors would differ too, so to leave a frame out changes the score by something else.

    Source: X-Pool (arXiv 2203.15086) Figure 2; layer6ai-labs/xpool modules/transformer.py.
    Differs: padded frames get no attention (there a short video repeats its last frame). One head, as in the
        paper and all released scripts.

    Args:
        dim: channels of the tokens.
        dropout: of the residual branch ``W r + b`` in training.

    Example:
        >>> meet = AttentionPooling(8).eval()
        >>> sentence = TokenSet(torch.ones(1, 1, 8).cumsum(2), torch.ones(1, 1, dtype=torch.bool))
        >>> frames = TokenSet(torch.eye(8)[None, :3], torch.ones(1, 3, dtype=torch.bool))
        >>> prepared = meet.prepare_text(sentence), meet.prepare_video(frames)
        >>> attention = meet.align(*prepared).video_weights
        >>> attention.shape, bool(attention.sum().isclose(torch.ones(())))
        (torch.Size([1, 3]), True)
    """

    text_preparation = video_preparation = None

    def __init__(self, dim: int, dropout: float = 0.3) -> None:
        """Start as the released code does: every projection the identity, every norm plain."""
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.linear = nn.Linear(dim, dim)
        self.input_norm, self.pooled_norm, self.output_norm = (nn.LayerNorm(dim) for _ in range(3))
        self.dropout = nn.Dropout(dropout)
        for part in (self.query, self.key, self.value, self.out, self.linear):
            nn.init.eye_(part.weight)
            nn.init.zeros_(part.bias)
        self.text_parts = ChannelParts(query=dim, sentence=dim)
        self.video_parts = ChannelParts(key=dim, value=dim)

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        if text.tokens.shape[1] != 1:
            raise ValueError(
                f"AttentionPooling got texts of {text.tokens.shape[1]} tokens; it asks with one token of a "
                "text, the sentence"
            )
        dim = text.tokens.shape[2]
        return self.text_parts.join(
            text,
            query=self.query(self.input_norm(text.tokens)) / dim**0.5,
            sentence=normalize(text.tokens, dim=2),
        )

    def _prepare_video(self, video: TokenSet) -> TokenSet:
        normed_VFD = self.input_norm(video.tokens)
        return self.video_parts.join(video, key=self.key(normed_VFD), value=self.out(self.value(normed_VFD)))

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Pool every video for every sentence, some pairs at a time; ``sim_QV`` in [-1, 1]."""
        # Sets may be in a narrower type (a scan's bf16) than the layers behind the attention.
        kind = self.linear.weight.dtype
        text_parts = {name: part[:, 0].to(kind) for name, part in self.text_parts.split(text).items()}
        key_VFD, value_VFD = (part.to(kind) for part in self.video_parts.split(video).values())
        attention_QVF = masked_softmax(torch.einsum("qd,vfd->qvf", text_parts["query"], key_VFD), video.mask)
        # Every pair has a pooled video of its own: Q x V x D numbers, the largest thing here.
        videos = max(1, _NUMBERS_AT_ONCE // (len(text) * value_VFD.shape[2]))
        scores = []
        for weights_QVF, block_VFD in zip(
            torch.split(attention_QVF, videos, dim=1), torch.split(value_VFD, videos), strict=True
        ):
            pooled_QVD = torch.einsum("qvf,vfd->qvd", weights_QVF, block_VFD)
            residual_QVD = self._with_residual(self.pooled_norm(pooled_QVD))
            unit_QVD = normalize(self.output_norm(residual_QVD), dim=2)
            scores.append((unit_QVD * text_parts["sentence"][:, None]).sum(dim=2))
        return torch.cat(scores, dim=1)

    def _with_residual(self, pooled_XD: Tensor) -> Tensor:
        out_XD: Tensor = pooled_XD + self.dropout(self.linear(pooled_XD))
        return out_XD

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:
        """Give each frame its attention times what the pair would score with all attention on it."""
        text_parts, frame_parts = self.text_parts.split(text), self.video_parts.split(video)
        logits_B1F = text_parts["query"] @ frame_parts["key"].transpose(1, 2)
        attention_B1F = masked_softmax(logits_B1F, video.mask[:, None])
        pooled_B1D = attention_B1F @ frame_parts["value"]
        residual_B1D = self._with_residual(self.pooled_norm(pooled_B1D))
        length_B1 = self.output_norm(residual_B1D).norm(dim=2)
        # Each frame as though all attention were on it, with the divisors of the pair: (B, F, D).
        frames_BFD = self._with_residual(_normed_like(self.pooled_norm, frame_parts["value"], pooled_B1D))
        alone_BFD = _normed_like(self.output_norm, frames_BFD, residual_B1D)
        values_BF = (alone_BFD * text_parts["sentence"]).sum(dim=2) / length_B1
        values_B1F = values_BF.masked_fill(~video.mask, 0)[:, None]
        return Alignment(
            values=values_B1F,
            contributions=attention_B1F * values_B1F,
            best_video_token=masked_max(values_B1F, video.mask[:, None], dim=2)[1],
            best_text_token=torch.zeros_like(video.mask, dtype=torch.int64),
            text_weights=text.mask.to(attention_B1F.dtype),
            video_weights=attention_B1F[:, 0],
        )


def _normed_like(norm: nn.LayerNorm, tokens_BND: Tensor, example_B1D: Tensor) -> Tensor:
    """Norm tokens, but divide by the deviation of an example: linear in the tokens."""
    deviation_B11 = (example_B1D.var(dim=2, correction=0, keepdim=True) + norm.eps).sqrt()
    centred_BND = tokens_BND - tokens_BND.mean(dim=2, keepdim=True)
    return centred_BND / deviation_B11 * norm.weight + norm.bias
