"""CLIP2TV: align, match and distill for video-text retrieval (arXiv 2111.05610), what CLIP alone allows.

Sentence and video meet twice in training: as vectors (video-text alignment, VTA), and in a transformer that
reads both and says whether they belong together (video-text matching, VTM). Both learn one set of features;
search and evaluation use the vectors. Where a batch holds captions or videos that are alike, the alignment is
taught how alike they are, and not that all but one are wrong (similarity distillation).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from vidsift.encoders.clip import ClipTowers
from vidsift.interactions.base import pooled
from vidsift.interactions.cross import CrossTransformer
from vidsift.interactions.dot import MeanDot
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import frame_set, sentence_set, start_from_text, temporal_head, word_set
from vidsift.types import Features, TokenSet

__all__ = ["Clip2Tv", "distilled_contrast", "hardest_pairs"]


class Clip2Tv(Method):
    """CLIP2TV: one vector a side, taught by a matching transformer beside it and by soft targets.

    Use it where an index has to stay as small and fast as CLIP4Clip's, and training may cost more than
    search: captions that are vague, or alike, are what its targets are for. It needs training with words and
    frames in one transformer, three pairs for each pair of the batch. It gives up words at search time, as
    every method of one vector does.

    Source: Gao et al. 2021 (arXiv 2111.05610), from what its abstract says of the three parts; there is no
        released code.
    Differs: the paper's equations were not at hand, so these are ours: the matching head is the transformer
        of CLIP4Clip's tightTransf over words and frames, with a logistic loss; its wrong pairs are each
        text's and each video's hardest by the alignment, as in ALBEF (arXiv 2107.07651), but never drawn, so
        that runs repeat; targets are softened by how alike texts and videos are among themselves. Left out:
        backbones other than CLIP, and ranking by the matching head, a black box of which XTI of DRL is an
        instance.

    Args:
        towers: the CLIP towers.
        matching: whether there is a matching head, in training.
        matching_weight: of its loss beside the alignment's.
        distillation: how much of a target is soft, from 0 (plain InfoNCE) to below 1.
        temporal_layers: blocks across frames.
        matching_layers: blocks of the matching head.
        max_frames: longest video, in frames, that both know positions for.

    Raises:
        ValueError: if ``distillation`` is out of its range.

    Example:
        ``Model.create("clip2tv", *clip, arguments={"distillation": 0.2})``
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        matching: bool = True,
        matching_weight: float = 1.0,
        distillation: float = 0.4,
        temporal_layers: int = 4,
        matching_layers: int = 4,
        max_frames: int = 76,
    ) -> None:
        """See the class."""
        if not 0 <= distillation < 1:
            raise ValueError(f"clip2tv: distillation is {distillation}, expected from 0 to below 1")
        super().__init__(towers, [Term("sentence", "frame", MeanDot())])
        self.temporal = temporal_head("transformer", towers, temporal_layers, max_frames)
        self.distillation = distillation
        self.matching_weight = matching_weight
        self.matching: CrossTransformer | None = None
        if matching:
            longest = max_frames + towers.max_tokens
            self.matching = CrossTransformer(towers.dim, layers=matching_layers, max_positions=longest)
            start_from_text(self.matching, towers)

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return "sentence" ``(Q, 1, D)`` and, for the matching head, "word" ``(Q, T, D)``."""
        tokens_QTD = self.towers.encode_text(ids_QT, mask_QT)
        return {"sentence": sentence_set(tokens_QTD, mask_QT), "word": word_set(tokens_QTD, mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the set "frame" ``(B, F, D)``: class tokens, after the transformer across frames."""
        # fp32 from here on: only the towers are ever rounded for inference.
        frames_BFD = self.towers.encode_frame_classes(pixels_BF3SS, mask_BF).float()
        return {"frame": frame_set(self.temporal(frames_BFD, mask_BF), mask_BF, times_BF)}

    def prepare_text(self, features: Features) -> dict[str, TokenSet]:
        """Add, in training, the words as encoded to what the similarity compares."""
        prepared = super().prepare_text(features)
        return {**prepared, "word": features["word"]} if self._matches else prepared

    def prepare_video(self, features: Features) -> dict[str, TokenSet]:
        """Add, in training, the frames as encoded to what the similarity compares and the index stores."""
        prepared = super().prepare_video(features)
        return {**prepared, "encoded": features["frame"]} if self._matches else prepared

    @property
    def _matches(self) -> bool:
        return self.training and self.matching is not None

    def loss(self, text: Features, video: Features) -> dict[str, Tensor]:
        """Return the distilled contrast of the alignment, plus the weighted loss of matching.

        Sets that were prepared outside of training have no words and frames to match: then it is the
        alignment alone.
        """
        sim_BB = self.similarity(text, video)
        text_BD, video_BD = pooled(text["sentence"]), pooled(video["frame"])
        alike_BB = (text_BD @ text_BD.t() + video_BD @ video_BD.t()) / 2
        alignment = distilled_contrast(sim_BB, alike_BB, self.scale, self.distillation)
        if self.matching is None or "word" not in text or "encoded" not in video:
            return {"loss": alignment, "alignment": alignment.detach()}
        matching = self._matching_loss(text["word"], video["encoded"], sim_BB.detach())
        loss = alignment + self.matching_weight * matching
        return {"loss": loss, "alignment": alignment.detach(), "matching": matching.detach()}

    def _matching_loss(self, words: TokenSet, frames: TokenSet, sim_BB: Tensor) -> Tensor:
        """Logistic loss of the right pairs, and of the hardest wrong ones where there are others."""
        assert self.matching is not None
        text_P, video_P = hardest_pairs(sim_BB)
        logits_P = self.matching.score_pairs(words[text_P], frames[video_P])
        return binary_cross_entropy_with_logits(logits_P, (text_P == video_P).to(logits_P.dtype))


def hardest_pairs(sim_BB: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs the matching head is asked about.

    Args:
        sim_BB: similarities; row i and column i belong together.

    Returns:
        Texts and videos of the pairs, int64: the right ones, then each text with the wrong video that is
        most like it, then each video with such a text. Of one pair, itself alone.

    Example:
        >>> hardest_pairs(torch.tensor([[0.9, 0.2, 0.3], [0.1, 0.9, 0.0], [0.5, 0.6, 0.9]]))
        (tensor([0, 1, 2, 0, 1, 2, 2, 2, 0]), tensor([0, 1, 2, 2, 0, 1, 0, 1, 2]))
    """
    rows_B = torch.arange(len(sim_BB), device=sim_BB.device)
    if len(sim_BB) == 1:
        return rows_B, rows_B
    wrong_BB = sim_BB.masked_fill(torch.eye(len(sim_BB), dtype=torch.bool, device=sim_BB.device), -torch.inf)
    return (
        torch.cat([rows_B, rows_B, wrong_BB.argmax(dim=0)]),
        torch.cat([rows_B, wrong_BB.argmax(dim=1), rows_B]),
    )


def distilled_contrast(sim_BB: Tensor, alike_BB: Tensor, scale: Tensor | float, share: float) -> Tensor:
    """Symmetric cross-entropy with targets of which a share is spread over what is alike.

    Args:
        sim_BB: unscaled similarities; row i and column i belong together.
        alike_BB: how alike the pairs are among themselves, symmetric, largest on the diagonal; no gradient
            reaches it, as a teacher is not moved by what it teaches.
        scale: inverse temperature, of the similarities and of the targets.
        share: of the soft part; at 0 it is :func:`~vidsift.losses.contrastive.info_nce`.

    Example:
        Two pairs that are the same twice: nothing can be told apart, and nothing is asked.

        >>> same = torch.ones(2, 2)
        >>> distilled_contrast(same, same, 1.0, share=0.5)
        tensor(0.6931)
    """
    scale_value = torch.as_tensor(scale, device=sim_BB.device).detach()
    hard_BB = torch.eye(len(sim_BB), dtype=sim_BB.dtype, device=sim_BB.device)
    target_BB = (1 - share) * hard_BB + share * torch.softmax(scale_value * alike_BB.detach(), dim=1)
    logits_BB = sim_BB * scale
    each = [
        -(target_BB * log_softmax(side_BB, dim=1)).sum(dim=1).mean() for side_BB in (logits_BB, logits_BB.t())
    ]
    return torch.stack(each).mean()
