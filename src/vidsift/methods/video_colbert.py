"""Video-ColBERT: contextualised late interaction for text-to-video retrieval (arXiv 2503.19009).

Every token of a sentence looks for its best match among the frames, each seen by itself, and again among
the video's tokens, which have seen each other. The two means of best matches (MeanMaxSim) are added up, and
trained by a sigmoid loss each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.mask_checks import require_real
from vidsift.encoders.temporal import TemporalTransformer
from vidsift.interactions.token_wise import TokenWise
from vidsift.losses.sigmoid import sigmoid_loss
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import frame_set, start_from_text, word_set
from vidsift.types import Features, TokenSet

__all__ = ["ExpandedTransformer", "VideoColbert"]


class VideoColbert(Method):
    """Video-ColBERT: MeanMaxSim with frames plus MeanMaxSim with contextualised video tokens.

    Use it as the newest relative of token-wise interaction, with plain parts: no weight heads, one direction,
    and a loss that does not take other videos of the batch for mistakes as a whole. It needs training, first
    of all of its scale and bias. It gives up room: frames are stored twice, before and after they have seen
    each other.

    Source: Reddy et al., CVPR 2025 (arXiv 2503.19009); there is no released code. MeanMaxSim is
        :class:`~vidsift.interactions.token_wise.TokenWise` with ``paths="t2v"``.
    Differs: padded frames take no part. The paper's backbone is CLIP or SigLIP, here CLIP. Not checked
        against code, as there is none: the number of visual expansion tokens, what the temporal transformer
        starts from (here CLIP's text tower, with the frames added to its output, as in CLIP4Clip), and that
        one scale and one bias serve both losses, are choices where the paper was not at hand in full.

    Args:
        towers: the CLIP towers.
        query_expansion: pad sentences to full length and let the padding look for matches too, as learned
            soft words that have read the sentence (ColBERT's query augmentation).
        visual_expansion: learned tokens that join the frames in the temporal transformer, and what they make
            of the video is looked for too.
        temporal_layers: blocks of the temporal transformer.
        max_frames: longest video, in frames, that it knows positions for.
        frame_lambda, video_lambda: weights of the two losses.
        log_scale: what the logarithm of the scale starts from: that of the published SigLIP, as is the bias.
            CLIP's cosines are larger, so that at first all pairs look right by these and the loss is high;
            2.3 and -10, from which SigLIP itself was trained, start lower.
        bias: what the bias starts from.

    Raises:
        ValueError: if ``visual_expansion`` is negative.

    Example:
        ``Model.create("video_colbert", *clip, arguments={"query_expansion": False})``
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        query_expansion: bool = True,
        visual_expansion: int = 2,
        temporal_layers: int = 4,
        max_frames: int = 76,
        frame_lambda: float = 1.0,
        video_lambda: float = 1.0,
        log_scale: float = 4.77,
        bias: float = -12.93,
    ) -> None:
        """See the class."""
        if visual_expansion < 0:
            raise ValueError(f"video_colbert: visual_expansion is {visual_expansion}, expected 0 or more")
        # Shared, as it has no weights: words are prepared once for frames and video.
        meeting = TokenWise(paths="t2v")
        super().__init__(towers, [Term("word", "frame", meeting), Term("word", "video", meeting)])
        self.temporal = ExpandedTransformer(towers, visual_expansion, temporal_layers, max_frames)
        self.lambdas = {"word-frame": frame_lambda, "word-video": video_lambda}
        self.log_scale = nn.Parameter(torch.tensor(log_scale))
        self.bias = nn.Parameter(torch.tensor(bias))
        # Then as wide as the model's longest text, whatever else is in the batch.
        self.full_width = query_expansion

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return the set "word" ``(Q, T, D)``: all tokens, and with expansion those of the padding."""
        counted_QT = torch.ones_like(mask_QT) if self.full_width else mask_QT
        return {"word": word_set(self.towers.encode_text(ids_QT, counted_QT), counted_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the sets "frame" ``(B, F, D)`` and "video" ``(B, E + F, D)``, the expansion first.

        Tokens of the latter have seen the whole video, and have no time of their own.
        """
        # fp32 from here on: only the towers are ever rounded for inference.
        frames_BFD = self.towers.encode_frame_classes(pixels_BF3SS, mask_BF).float()
        video_BND, seen_BN = self.temporal(frames_BFD, mask_BF)
        return {"frame": frame_set(frames_BFD, mask_BF, times_BF), "video": TokenSet(video_BND, seen_BN)}

    @property
    def scale(self) -> Tensor:
        """The learned inverse temperature of the sigmoid losses; CLIP's own is not used."""
        return self.log_scale.exp()

    def loss(self, text: Features, video: Features) -> dict[str, Tensor]:
        """Return the weighted sum of one sigmoid loss on frames and one on the video (dual sigmoid loss)."""
        parts = {
            name: sigmoid_loss(sim, self.scale, self.bias)
            for name, sim in self.term_scores(text, video).items()
        }
        loss = torch.stack([self.lambdas[name] * part for name, part in parts.items()]).sum()
        return {"loss": loss, **{name: part.detach() for name, part in parts.items()}}


class ExpandedTransformer(TemporalTransformer):
    """A transformer over the frames of a video and learned tokens that stand before them.

    Args:
        towers: give the width and weights to start from.
        expansion: E, learned tokens.
        layers: blocks.
        max_frames: positions; the learned tokens have none.
    """

    def __init__(self, towers: ClipTowers, expansion: int, layers: int, max_frames: int) -> None:
        """See the class."""
        super().__init__(towers.dim, layers=layers, max_frames=max_frames)
        start_from_text(self, towers)
        self.expansion = nn.Parameter(torch.randn(expansion, towers.dim) * 0.02)

    def forward(self, frames_BFD: Tensor, mask_BF: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return the video's tokens ``(B, E + F, D)``, zero where masked, and which are real ``(B, E + F)``.

        Raises:
            ValueError: a video has no real frame, or more frames than there are positions.
        """
        require_real(mask_BF, "video", "frame")
        videos, frames = mask_BF.shape
        self.require_positions(frames)
        tokens_BND = torch.cat([self.expansion.expand(videos, -1, -1), frames_BFD], dim=1)
        seen_BN = pad(mask_BF, (len(self.expansion), 0), value=True)
        state_BND = tokens_BND + pad(self.positions[:frames], (0, 0, len(self.expansion), 0))
        for block in self.blocks:
            state_BND = block(state_BND, ~seen_BN[:, None, None, :])
        return (state_BND + tokens_BND).masked_fill(~seen_BN[..., None], 0), seen_BN
