"""X-CLIP: end-to-end multi-grained contrastive learning for video-text retrieval (arXiv 2207.07285).

A sentence is its end-of-text token and its words; a video is one vector, the mean of its frames after a head
across them, and its frames as CLIP saw them. Each of the two meets each of the two; where one or both sides
have many tokens, attention over the similarity matrix says which meetings count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import torch
from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.interactions.masked import masked_mean, unit_tokens
from vidsift.interactions.similarity_attention import SimilarityAttention
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import (
    PaddedTokens,
    Temporal,
    check_choice,
    frame_set,
    sentence_set,
    temporal_head,
    until_the_end,
    word_set,
)
from vidsift.types import TokenSet

__all__ = ["XClip", "xclip_matrices_from_release"]


class XClip(Method):
    """X-CLIP: the mean of four similarities.

    Use it where some sentences are about the whole clip and others about a detail: both grains of the text
    meet both of the video. It needs a longest text and a longest video to be settled before training, as its
    attention has a weight for every place of them. It gives up weights that say something of a word or a
    frame by itself: its account is exact, but the weights in it are the pair's own.

    Source: xuguohai/X-CLIP modules/modeling_xclip.py.
    Differs: padded words and frames take no part (``padding="included"`` gives the released rule); texts and
        videos may be shorter than the learned matrices of the attention.

    Args:
        towers: the CLIP towers.
        temporal: the head across frames behind the video's vector: "none", "lstm" or "transformer". Frames
            meet words as they were before it.
        temporal_layers: blocks of the transformer across frames.
        max_words: longest text, in tokens, that the attention knows; the text tower's longest by default.
        max_frames: longest video, in frames, that attention and transformer know.
        padding: "included" for the released rule: padding is encoded and counts like any token, so that a
            score depends on the padded width; texts and videos are then padded to full width.

    Raises:
        ValueError: if an argument is not one of its choices.

    Example:
        ``Model.create("xclip", *clip, arguments={"max_frames": 24})``
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        temporal: Temporal = "transformer",
        temporal_layers: int = 4,
        max_words: int | None = None,
        max_frames: int = 76,
        padding: PaddedTokens = "excluded",
    ) -> None:
        """See the class."""
        check_choice("xclip", "padding", padding, get_args(PaddedTokens))
        # The attention has a weight for every place of a text and of a video: sizes are fixed here.
        words = towers.max_tokens if max_words is None else max_words
        # As released: a matrix of channels where the grains are alike, one of tokens on each side of many.
        meet = SimilarityAttention
        super().__init__(
            towers,
            [
                # Their order numbers the interactions that _RELEASED names; the released code divides by 4.
                Term("sentence", "video", meet(dim=towers.dim), 0.25),
                Term("word", "video", meet(max_text=words), 0.25),
                Term("sentence", "frame", meet(max_video=max_frames), 0.25),
                Term("word", "frame", meet(dim=towers.dim, max_text=words, max_video=max_frames), 0.25),
            ],
        )
        self.temporal = temporal_head(temporal, towers, temporal_layers, max_frames)
        self.full_width = padding == "included"

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return the sets "sentence" ``(Q, 1, D)`` and "word" ``(Q, T, D)``."""
        counted_QT = torch.ones_like(mask_QT) if self.full_width else mask_QT
        tokens_QTD = self.towers.encode_text(ids_QT, counted_QT)
        return {"sentence": sentence_set(tokens_QTD, mask_QT), "word": word_set(tokens_QTD, counted_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the sets "video" ``(B, 1, D)`` and "frame" ``(B, F, D)``, the latter before the head."""
        counted_BF = torch.ones_like(mask_BF) if self.full_width else mask_BF
        frames_BFD = self.towers.encode_frame_classes(pixels_BF3SS, counted_BF).float()
        return {
            "video": self.video_set(frames_BFD, mask_BF),
            # Padding that counts as frames needs a second to be shown at.
            "frame": frame_set(frames_BFD, counted_BF, until_the_end(times_BF, mask_BF)),
        }

    def video_set(self, frames_BFD: Tensor, mask_BF: Tensor) -> TokenSet:
        """One token for each video: the mean of its frames, made unit length behind the head across them."""
        # Masked as released, too: only words and frames count their padding there.
        passed = TokenSet(self.temporal(frames_BFD, mask_BF), mask_BF)
        video_B1D = masked_mean(unit_tokens(passed), mask_BF).unsqueeze(1)
        return TokenSet(video_B1D, mask_BF.new_ones(len(mask_BF), 1))


# The 2 stands for the second of two poolings, over what the first one gave.
_RELEASED = {
    "global_mat_weight": "interactions.0.channels",
    "word_logit_weight": "interactions.1.words_first",
    "frame_logit_weight": "interactions.2.frames_first",
    "local_mat_weight": "interactions.3.channels",
    "word_mat_weight": "interactions.3.words_first",
    "frame_mat_weight": "interactions.3.frames_first",
    "word_mat_weight2": "interactions.3.words_last",
    "frame_mat_weight2": "interactions.3.frames_last",
}


def xclip_matrices_from_release(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the eight learned matrices of a released X-CLIP to their names in :class:`XClip`.

    Args:
        weights: state dict entries without a ``module.`` prefix, matrices alone.

    Raises:
        ValueError: listing every key that is none of the eight.

    Source: xuguohai/X-CLIP modules/modeling_xclip.py (parameter names).
    """
    unknown = sorted(weights.keys() - _RELEASED.keys())
    if unknown:
        raise ValueError(f"not a matrix of a released X-CLIP: {', '.join(unknown)}")
    return {_RELEASED[key]: value for key, value in weights.items()}
