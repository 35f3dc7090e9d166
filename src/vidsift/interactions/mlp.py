"""A perceptron that reads the sentence and the mean frame together and gives one number: a black box."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from vidsift.encoders.init import init_linears
from vidsift.interactions.base import Interaction
from vidsift.interactions.masked import masked_mean
from vidsift.types import TokenSet

__all__ = ["PairPerceptron"]

_NUMBERS_AT_ONCE = 1 << 22


class PairPerceptron(Interaction):
    """Similarity by fully connected layers over [sentence; mean frame], as encoded.

    The first layer is linear in each side, so its two halves are computed once for each text and video; what
    follows is a run of its own for every pair.

    Use it as DRL's table does, to see what a learned similarity without structure is worth, or to re-rank
    candidates. It needs training from the first layer on: fresh, it tells no pairs apart. It gives up
    scanning, explanations, and any bound of the score.

    Source: DRL (arXiv 2203.07111) Eq. 3 and section 7.3: L layers, the first of 2D channels to D, the last of
        D to one number, ReLU between them.
    Differs: the released code builds L = 2 (``similarity_dense`` in tvr/models/modeling.py) and never runs
        it; the paper counts L = 4, and so do we. Fresh weights as for the code's other heads, N(0, 0.02)
        and 0.

    Args:
        dim: channels of the tokens.
        layers: fully connected layers, the last one included.

    Raises:
        ValueError: if there are fewer than two layers.

    Example:
        >>> text = TokenSet(torch.randn(2, 1, 8), torch.ones(2, 1).bool())
        >>> video = TokenSet(torch.randn(3, 4, 8), torch.ones(3, 4).bool())
        >>> PairPerceptron(dim=8).score(text, video).shape
        torch.Size([2, 3])
    """

    explains = False
    scans = False

    def __init__(self, dim: int, layers: int = 4) -> None:
        """See the class."""
        super().__init__()
        if layers < 2:
            raise ValueError(f"perceptron of {layers} layer(s): expected at least 2 (DRL counts 4)")
        self.join = nn.Linear(2 * dim, dim)
        parts: list[nn.Module] = [nn.ReLU()]
        for _ in range(layers - 2):
            parts += [nn.Linear(dim, dim), nn.ReLU()]
        self.judge = nn.Sequential(*parts, nn.Linear(dim, 1))
        init_linears(self)

    def forward(self, pairs_PE: Tensor) -> Tensor:
        """Judge pairs put end to end, ``(P, 2D)`` -> ``(P, 1)``: the formula that :meth:`score` splits."""
        judged_P1: Tensor = self.judge(self.join(pairs_PE))
        return judged_P1

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Judge every pair, some at a time; ``sim_QV``, not bounded."""
        # W [t; v] = Wt t + Wv v: the first layer costs Q + V products and not Q x V.
        text_weight_DD, video_weight_DD = self.join.weight.chunk(2, dim=1)
        text_QD = linear(_mean(text).to(text_weight_DD.dtype), text_weight_DD, self.join.bias)
        video_VD = linear(_mean(video).to(video_weight_DD.dtype), video_weight_DD)
        # Both sides are cut: Q x V x D numbers are there for each layer.
        at_once = max(1, _NUMBERS_AT_ONCE // text_QD.shape[1])
        return torch.cat(
            [
                torch.cat(
                    [
                        self.judge(words_QD[:, None] + frames_VD).squeeze(2)
                        for words_QD in torch.split(text_QD, max(1, at_once // len(frames_VD)))
                    ]
                )
                for frames_VD in torch.split(video_VD, at_once)
            ],
            dim=1,
        )

    def compact_video(self, video: TokenSet) -> TokenSet:
        """Keep the mean of each video's frames, all that is compared: what Table 1 stores."""
        return TokenSet(_mean(video).unsqueeze(1), video.mask.any(dim=1, keepdim=True))


def _mean(tokens: TokenSet) -> Tensor:
    return masked_mean(tokens.tokens, tokens.mask)
