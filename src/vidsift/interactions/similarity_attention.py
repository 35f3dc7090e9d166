"""Attention over the similarity matrix (X-CLIP): strong meetings weigh more, along words and along frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidsift.interactions.base import UnitTokens
from vidsift.interactions.masked import masked_max, masked_softmax
from vidsift.types import Alignment, TokenSet

__all__ = ["SimilarityAttention", "attend"]

_VALUES_AT_ONCE = 2**20


def attend(values_XN: Tensor, mask_XN: Tensor, mixing_NN: Tensor | None, temperature: float = 0.01) -> Tensor:
    """Weigh similarities by a sharp softmax of themselves, passed through a learned matrix.

    Args:
        values_XN: similarities, any leading dimensions.
        mask_XN: bool, broadcastable to them, True at real tokens.
        mixing_NN: learned; row i says where the attention paid to token i goes. Its first N rows and columns
            are read. None for a set that is one token, whose weight is 1.
        temperature: of the softmax.

    Returns:
        Weights like ``values_XN``, 0 where masked. With the matrix at its start, the identity, they sum to 1;
        a learned one may give any sum, and negative weights.

    Raises:
        ValueError: if there are more tokens than the matrix knows.

    Source: X-CLIP (arXiv 2207.07285), AOSM; xuguohai/X-CLIP modules/modeling_xclip.py, 313-348.
    Differs: nothing is masked there. The matrices are in the code only, not in the paper's equations.
    """
    count, known = values_XN.shape[-1], 1 if mixing_NN is None else len(mixing_NN)
    if count > known:
        raise ValueError(
            f"a set has {count} tokens, this attention knows {known}; use shorter texts (max_words) or fewer "
            "frames, or build and train the method for more"
        )
    if mixing_NN is None:
        return mask_XN.to(values_XN.dtype).expand_as(values_XN)
    attention_XN = masked_softmax(values_XN / temperature, mask_XN)
    return (attention_XN @ mixing_NN[:count, :count]).masked_fill(~mask_XN, 0)


class SimilarityAttention(UnitTokens):
    """The similarity matrix of a pair, pooled along words and along frames by attention over its own entries.

    Words are pooled first and then frames, frames first and then words, and the two results are averaged. A
    side that is one token (a sentence, a whole video) has nothing to pool. So four of these are X-CLIP's four
    granularities: 1 x 1 (sentence and video), words x 1, 1 x frames, words x frames.

    :meth:`align` is exact: the score is a weighted sum of similarities. But the weights are made from the
    similarities of the pair, so unlike WTI's they say nothing about a sentence or a video alone; and once the
    learned matrices have left the identity, they need not sum to 1.

    Use it where both single words and whole sentences should count, as X-CLIP does with four of these. It
    needs the most tokens of either side to be known when it is built, and all products of a pair at once. It
    gives up scanning in int8 and sets longer than it was built for.

    Source: X-CLIP (arXiv 2207.07285), AOSM (attention over similarity matrix); xuguohai/X-CLIP
        modules/modeling_xclip.py, 310-348.
    Differs: padded tokens take no part: they are -inf before the softmax, and what the learned matrices would
        send to them is dropped. The released code has no mask here; masks that are True throughout reproduce
        it (``padding="included"`` of :class:`~vidsift.methods.xclip.XClip`). Sets shorter than the learned
        matrices use their first rows and columns; there they are an error.

    Args:
        dim: channels, where tokens are compared through a learned matrix, ``s W v``; None for their cosine.
        max_text: most text tokens; 1 where the text is one token.
        max_video: most video tokens; 1 where the video is one token.
        temperature: of the attention.

    Example:
        The best meeting, of the first word with the first frame, gets the attention.

        >>> text = TokenSet(torch.eye(2)[None], torch.ones(1, 2).bool())
        >>> video = TokenSet(torch.tensor([[[1.0, 0.0], [0.6, 0.8]]]), torch.ones(1, 2).bool())
        >>> meet = SimilarityAttention(max_text=2, max_video=2)
        >>> f"{meet.score(text, video).item():.3f}"
        '1.000'
    """

    def __init__(
        self, *, dim: int | None = None, max_text: int = 1, max_video: int = 1, temperature: float = 0.01
    ) -> None:
        """See the class."""
        super().__init__()
        self.temperature = temperature
        both = max_text > 1 and max_video > 1
        self.channels = None if dim is None else nn.Parameter(torch.eye(dim))
        self.words_first = _identity(max_text, max_text > 1)
        self.frames_first = _identity(max_video, max_video > 1)
        self.words_last = _identity(max_text, both)
        self.frames_last = _identity(max_video, both)

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Pool the similarity matrix of every pair; ``sim_QV``.

        Without gradients some videos are scored at a time, so that memory does not grow with their number.

        Raises:
            ValueError: if a set has more tokens than the attention knows.
        """
        # With gradients all products are kept anyway.
        at_once = max(1, _VALUES_AT_ONCE // (text.mask.numel() * video.mask.shape[1]))
        if torch.is_grad_enabled() or len(video) <= at_once:
            return self._score(text, video)
        starts = range(0, len(video), at_once)
        return torch.cat([self._score(text, video[at : at + at_once]) for at in starts], dim=1)

    def _score(self, text: TokenSet, video: TokenSet) -> Tensor:
        words_TD = self._through(text.tokens).flatten(0, 1)
        values_TN = words_TD.to(video.tokens.dtype) @ video.tokens.flatten(0, 1).t()
        # In fp32: bf16 rounds a cosine by up to 0.002, and the softmax divides by 0.01.
        values_QVTN = values_TN.float().view(*text.mask.shape, *video.mask.shape).transpose(1, 2)
        return (self._weights(values_QVTN, text.mask[:, None], video.mask) * values_QVTN).sum(dim=(2, 3))

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:
        """Give each meeting its similarity times the weight that the pair's attention pays to it.

        A token's weight is the sum over its meetings.
        """
        values_BTN = self._through(text.tokens) @ video.tokens.transpose(1, 2)
        weights_BTN = self._weights(values_BTN, text.mask, video.mask)
        both = text.mask[:, :, None] & video.mask[:, None, :]
        return Alignment(
            values=values_BTN.masked_fill(~both, 0),
            contributions=weights_BTN * values_BTN,
            best_video_token=masked_max(values_BTN, video.mask[:, None, :], dim=2)[1],
            best_text_token=masked_max(values_BTN, text.mask[:, :, None], dim=1)[1],
            text_weights=weights_BTN.sum(dim=2),
            video_weights=weights_BTN.sum(dim=1),
        )

    def _through(self, tokens_BTD: Tensor) -> Tensor:
        return tokens_BTD if self.channels is None else tokens_BTD @ self.channels

    def _weights(self, values_XTN: Tensor, text_XT: Tensor, video_XN: Tensor) -> Tensor:
        """What each meeting counts, ``(X, T, N)``: the score is the sum of weight times similarity."""
        # What attend reduces stands last: words of a frame (X, N, T), then frames of a word (X, T, N).
        values_XNT, temperature = values_XTN.transpose(-1, -2), self.temperature
        words_XTN = attend(values_XNT, text_XT[..., None, :], self.words_first, temperature).transpose(-1, -2)
        frames_XTN = attend(values_XTN, video_XN[..., None, :], self.frames_first, temperature)
        if self.words_last is None or self.frames_last is None:
            return words_XTN * frames_XTN
        # Second step of either way, over what the first one pooled: (X, N) and (X, T).
        frames_XN = attend((words_XTN * values_XTN).sum(dim=-2), video_XN, self.frames_last, temperature)
        words_XT = attend((frames_XTN * values_XTN).sum(dim=-1), text_XT, self.words_last, temperature)
        return (words_XTN * frames_XN[..., None, :] + frames_XTN * words_XT[..., :, None]) / 2


def _identity(size: int, needed: bool) -> nn.Parameter | None:
    return nn.Parameter(torch.eye(size)) if needed else None
