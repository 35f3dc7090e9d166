"""X-Pool: cross-modal language-video attention for text-video retrieval (arXiv 2203.15086).

A sentence is its end-of-text token, a video the class tokens of its frames. Which frames make up the video is
asked of the sentence: it attends to them, and is compared with what it saw. So a video is another vector for
every sentence, and no vector by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.interactions.attention_pooling import AttentionPooling
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import frame_set, sentence_set
from vidsift.types import TokenSet

__all__ = ["XPool", "pooling_weights_from_release"]


class XPool(Method):
    """X-Pool: the cosine of a sentence with the frames that it attends to.

    Use it where clips show more than is said of them: a mean over all frames is a mean over too much. It
    needs training; until then the attention is CLIP's own likeness, see
    :class:`~vidsift.interactions.attention_pooling.AttentionPooling`. It gives up
    speed and room, as a pair costs a product of ``D x D`` where a dot product costs ``D`` and every frame is
    stored twice (a search still scans all segments), and an account of words, as a sentence is one vector.

    Source: Gorti et al., CVPR 2022; layer6ai-labs/xpool model/clip_transformer.py, modules/transformer.py.
    Differs: padded frames get no attention; in the released code a video of too few frames repeats its last.

    Args:
        towers: the CLIP towers.
        dropout: of the residual branch behind the attention, in training; 0.3 for MSR-VTT-9k and LSMDC, 0.4
            for MSR-VTT-7k and MSVD in the released scripts.

    Example:
        ``Model.create("xpool", *clip, arguments={"dropout": 0.4})``
    """

    def __init__(self, towers: ClipTowers, *, dropout: float = 0.3) -> None:
        """See the class."""
        super().__init__(towers, [Term("sentence", "frame", AttentionPooling(towers.dim, dropout))])

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return the set "sentence" ``(Q, 1, D)``: the end-of-text token."""
        return {"sentence": sentence_set(self.towers.encode_text(ids_QT, mask_QT), mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the set "frame" ``(B, F, D)``: class tokens, none of which has seen another frame."""
        frames_BFD = self.towers.encode_frame_classes(pixels_BF3SS, mask_BF)
        return {"frame": frame_set(frames_BFD, mask_BF, times_BF)}


# The norms are numbered in the order in which they run.
_RELEASED = {
    "cross_attn.q_proj": "query",
    "cross_attn.k_proj": "key",
    "cross_attn.v_proj": "value",
    "cross_attn.out_proj": "out",
    "linear_proj": "linear",
    "layer_norm1": "input_norm",
    "layer_norm2": "pooled_norm",
    "layer_norm3": "output_norm",
}


def pooling_weights_from_release(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a released X-Pool's attention to those of its interaction here.

    Args:
        weights: what stands below ``pool_frames.``.

    Raises:
        ValueError: listing every key that does not belong to it.

    Source: layer6ai-labs/xpool modules/transformer.py (parameter names).
    """
    parts = {key: key.rpartition(".") for key in weights}
    unknown = sorted(key for key, (part, _, _) in parts.items() if part not in _RELEASED)
    if unknown:
        raise ValueError(f"not part of a released X-Pool: {', '.join(unknown)}")
    return {f"{_RELEASED[part]}.{kind}": weights[key] for key, (part, _, kind) in parts.items()}
