"""Faithfulness: what a word gave to the score is what leaving it out costs.

A word's token has read its neighbours, so the others may say without it what it said, or fall silent with it;
then the account of a score is true and means nothing. Here the sentence is encoded once more without one of
its words, and the others are held to what they gave before.

Source: ours; deletion as a test of explanations as in Samek et al. 2017 (Evaluating the visualization of what
    a deep neural network has learned), made a loss.
"""

from __future__ import annotations

from torch import Tensor

from vidsift.interactions.base import weights_of
from vidsift.interactions.masked import masked_max
from vidsift.types import TokenSet

__all__ = ["faithfulness"]


def faithfulness(text: TokenSet, shortened: TokenSet, video: TokenSet, scale: Tensor) -> Tensor:
    """Say how far the words that stay give something else where one of their sentence is left out.

    Args:
        text: prepared words ``(B, T, D)`` with weights.
        shortened: the same sentences, each encoded without one word and prepared: every other word in its
            place, the one that is left out masked. A sentence that keeps all words counts as faithful.
        video: prepared, row i the video of sentence i; matched pairs alone are held to it, since among other
            videos a word is to say that its neighbours do not fit.
        scale: that the contrastive loss multiplies similarities with; the difference counts as that loss sees
            it, and the scale learns nothing from it.

    Returns:
        The mean over the sentences of the squared difference between what the others gave, averaged by their
        weights, before and after.

    Example:
        The second word matches the first frame only in the company of the first.

        >>> import torch
        >>> words = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
        >>> text = TokenSet(words, torch.tensor([[True, True]]), weights=torch.tensor([[0.5, 0.5]]))
        >>> alone = torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
        >>> shortened = TokenSet(alone, torch.tensor([[False, True]]), weights=torch.tensor([[0.0, 1.0]]))
        >>> video = TokenSet(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[True]]))
        >>> faithfulness(text, shortened, video, torch.tensor(2.0))
        tensor(4.)
    """
    before_B = _given(text, video, shortened.mask)
    after_B = _given(shortened, video, shortened.mask)
    return ((before_B - after_B) * scale.detach()).square().mean()


def _given(text: TokenSet, video: TokenSet, counted_BT: Tensor) -> Tensor:
    """Average the best matches of some of the words by their weights, ``(B,)``."""
    weights_BT = weights_of(text) * counted_BT
    values_BTN = text.tokens @ video.tokens.transpose(1, 2)
    best_BT, _ = masked_max(values_BTN, video.mask[:, None, :], dim=2)
    return (weights_BT * best_BT).sum(dim=1) / weights_BT.sum(dim=1)
