"""A transformer that reads the sentence and the frames together and gives one number: a black box."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.init import init_linears
from vidsift.encoders.temporal import TemporalBlock, copy_text_tower, temporal_weights_from_release
from vidsift.interactions.base import Interaction
from vidsift.types import TokenSet

__all__ = ["CrossTransformer", "cross_weights_from_release"]

_TOKENS_AT_ONCE = 16384
_VIDEOS_AT_ONCE = 64


class CrossTransformer(Interaction):
    """Similarity read off the end-of-text token of a small transformer over [text tokens; video tokens].

    The text is its end-of-text token alone (released code) or all its words (the paper).

    Use it to train and evaluate, and to re-rank the few candidates of a cheap first stage: every pair is a
    run of its own, thousands of times dearer than a product of tokens. It needs more data than simpler ones,
    as CLIP4Clip found. It gives up scanning and explanations: a score cannot be split into meetings of words
    and frames.

    Source: CLIP4Clip modules/modeling.py (tightTransf) and modules/module_cross.py; DRL Eq. 4, released as
        ``--interaction xti`` in tvr/models/modeling.py.
    Differs: padded tokens are -inf before the softmax (there -1e6, the same to rounding), and a video token's
        position counts the real text tokens before it, so that padding never changes a score. The released
        code knows only texts of one token and reads the first; Eq. 4 does not say where it reads, so of
        several words it is the last real one, which is the same token where there is one.

    Args:
        dim: channels of the tokens.
        layers: transformer blocks.
        heads: attention heads (the released code has 8, whatever the width).
        max_positions: most tokens that a pair may have together.
        dropout: of the embedded tokens in training.

    Example:
        >>> text = TokenSet(torch.randn(2, 1, 8), torch.ones(2, 1).bool())
        >>> video = TokenSet(torch.randn(3, 4, 8), torch.ones(3, 4).bool())
        >>> CrossTransformer(dim=8, layers=1, heads=2).score(text, video).shape
        torch.Size([2, 3])
    """

    explains = False
    scans = False

    def __init__(
        self, dim: int, layers: int = 4, heads: int = 8, max_positions: int = 77, dropout: float = 0.1
    ) -> None:
        """See the class."""
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}, expected at least 1")
        self.positions = nn.Parameter(torch.empty(max_positions, dim))
        self.blocks = nn.ModuleList(TemporalBlock(dim, heads) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        # 1e-12 is BERT's, from whose code the released one grew.
        self.pool_norm = nn.LayerNorm(dim, eps=1e-12)
        self.pool = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, 1)
        nn.init.normal_(self.positions, std=0.02)
        init_linears(self.pool, self.out)

    def init_from_text(self, towers: ClipTowers) -> None:
        """Start from CLIP's text tower: copy its first blocks and its positions.

        Blocks and positions beyond those of the text tower keep their fresh weights.

        Raises:
            ValueError: the text tower has another width, head count or hidden size.

        Source: ArrowLuo/CLIP4Clip modules/modeling.py (initialisation of ``cross``).
        Differs: there heads are not compared, and a text tower of 12 is copied into the 8 of ``cross``.
        """
        copy_text_tower(towers, self.blocks, self.positions)

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Run every pair through the transformer, some pairs at a time; ``sim_QV``, not bounded.

        Raises:
            ValueError: if a pair has more tokens than there are positions.
        """
        longest = int(text.mask.sum(dim=1).max()) + video.tokens.shape[1]
        if longest > len(self.positions):
            raise ValueError(
                f"a pair has {longest} tokens together, the cross transformer takes {len(self.positions)}; "
                "use fewer frames or shorter texts, or build and train it with larger max_positions"
            )
        if len(self.blocks) == 1 and not self.training:
            return self._score_by_one_block(text, video)
        width = text.tokens.shape[1] + video.tokens.shape[1]
        pairs_at_once = max(1, _TOKENS_AT_ONCE // width)
        # The last varies fastest, as in sim_QV.
        text_P, video_P = torch.cartesian_prod(
            torch.arange(len(text), device=text.mask.device),
            torch.arange(len(video), device=text.mask.device),
        ).unbind(dim=1)
        # Pairs are split, not texts or videos: one text with all videos may be too much already.
        scores = [
            self.score_pairs(text[text_index], video[video_index])
            for text_index, video_index in zip(
                torch.split(text_P, pairs_at_once), torch.split(video_P, pairs_at_once), strict=True
            )
        ]
        return torch.cat(scores).view(len(text), len(video))

    def score_pairs(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Score text i with video i, ``(B,)``; their tokens fit the positions as in :meth:`score`."""
        words, frames = text.tokens.shape[1], video.tokens.shape[1]
        index = torch.arange(max(words, frames), device=text.mask.device)
        # Frames count on from the last real word, not from the padded width: padding must not move them.
        video_index_BN = text.mask.sum(dim=1, keepdim=True) + index[:frames]
        # Padded words may lie beyond the table. They are masked, and only need some row.
        text_BTD = text.tokens + self.positions[index[:words].clamp_max(len(self.positions) - 1)]
        video_BND = video.tokens + self.positions[video_index_BN]
        state_BLD = self.dropout(torch.cat([text_BTD, video_BND], dim=1))
        padding_B11L = ~torch.cat([text.mask, video.mask], dim=1)[:, None, None, :]
        *blocks, last_block = self.blocks
        for block in blocks:
            state_BLD = block(state_BLD, padding_B11L)
        # Nothing else is read: most of the last block would be computed for nothing.
        return self._read(last_block(state_BLD, padding_B11L, text.mask.sum(dim=1) - 1)[:, 0])

    def _read(self, end_BD: Tensor) -> Tensor:
        """Read the scores off the end-of-text tokens, ``(..., D)``."""
        pooled_BD = self.pool(self.pool_norm(end_BD))
        score_B1: Tensor = self.out(pooled_BD * torch.sigmoid(1.702 * pooled_BD))  # QuickGELU
        return score_B1.squeeze(-1)

    def _score_by_one_block(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Score every pair by one block: what tokens show to others needs one side only, once for all pairs.

        A video's depends on how many words stand before it, so texts of one length go together.
        """
        (block,) = self.blocks
        assert isinstance(block, TemporalBlock)
        length_Q = text.mask.sum(dim=1)
        sim_QV = text.tokens.new_empty(len(text), len(video))
        for length in torch.unique(length_Q).tolist():
            rows = (length_Q == length).nonzero().squeeze(1)
            # (Q, T, D) to queries of the last word (Q, H, C), keys and values (Q, H, T, C)
            words_QTD = text.tokens[rows, :length] + self.positions[:length]
            query_QHTC, key_QHTC, value_QHTC = block.projected(block.attention_norm(words_QTD))
            query_QHC = query_QHTC[:, :, -1] * query_QHTC.shape[-1] ** -0.5
            score_QHT = (key_QHTC @ query_QHC[..., None]).squeeze(-1)
            for videos in torch.split(torch.arange(len(video), device=rows.device), _VIDEOS_AT_ONCE):
                frames_VND = video.tokens[videos] + self.positions[length : length + video.tokens.shape[1]]
                key_VHNC, value_VHNC = block.projected(block.attention_norm(frames_VND), "kv")
                hidden_V1N = ~video.mask[videos][:, None]
                tokens = (length + video.tokens.shape[1]) * len(videos)
                every = torch.arange(len(rows), device=rows.device)
                for part in torch.split(every, max(1, _TOKENS_AT_ONCE // tokens)):
                    score_QVHN = torch.einsum("qhc,vhnc->qvhn", query_QHC[part], key_VHNC)
                    score_QVHN = score_QVHN.masked_fill(hidden_V1N, float("-inf"))
                    words_QVHT = score_QHT[part][:, None].expand(-1, len(videos), -1, -1)
                    weight_QVHL = torch.cat([words_QVHT, score_QVHN], dim=-1).softmax(-1)
                    found_QVHC = torch.einsum(
                        "qvht,qhtc->qvhc", weight_QVHL[..., :length], value_QHTC[part]
                    ) + torch.einsum("qvhn,vhnc->qvhc", weight_QVHL[..., length:], value_VHNC)
                    end_QVD = block.after_attention(words_QTD[part, None, -1], found_QVHC.flatten(2))
                    sim_QV[rows[part][:, None], videos] = self._read(end_QVD)
        return sim_QV


_RELEASED = {
    "cross.embeddings.position_embeddings.weight": "positions",
    "cross.pooler.ln_pool.weight": "pool_norm.weight",
    "cross.pooler.ln_pool.bias": "pool_norm.bias",
    "cross.pooler.dense.weight": "pool.weight",
    "cross.pooler.dense.bias": "pool.bias",
    "similarity_dense.weight": "out.weight",
    "similarity_dense.bias": "out.bias",
}


def cross_weights_from_release(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a released cross transformer to the names used here.

    Args:
        weights: state dict entries ``cross.*`` and ``similarity_dense.*``, without a ``module.`` prefix.

    Returns:
        The state dict for :class:`CrossTransformer` (``max_positions`` = rows of ``positions``).

    Raises:
        ValueError: listing every key that does not belong to it.

    Source: ArrowLuo/CLIP4Clip modules/module_cross.py, foolwood/DRL tvr/models/module_cross.py (names).
    """
    blocks: dict[str, Tensor] = {}
    renamed: dict[str, Tensor] = {}
    unknown: list[str] = []
    for key, value in weights.items():
        if key in _RELEASED:
            renamed[_RELEASED[key]] = value
        elif key.startswith("cross.transformer."):
            # The same blocks as in the temporal transformer, under another name.
            blocks[key.replace("cross.transformer.", "transformerClip.", 1)] = value
        else:
            unknown.append(key)
    if unknown:
        raise ValueError(f"not part of a released cross transformer: {', '.join(sorted(unknown))}")
    return renamed | temporal_weights_from_release(blocks)
