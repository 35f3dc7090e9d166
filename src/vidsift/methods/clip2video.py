"""CLIP2Video: mastering video-text retrieval via image CLIP (arXiv 2106.11097).

A video is seen twice. Between its frames stand tokens of what changes from one to the next (temporal
difference block), and the frames that have seen them are compared with the sentence by their mean. And its
frames, with every second one enhanced likewise, are gathered around centres that they share with the words
of sentences (temporal alignment block), and these are compared too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.mask_checks import require_prefix, require_real
from vidsift.encoders.temporal import (
    TemporalBlock,
    copy_text_tower,
    misfit_to_text,
    temporal_weights_from_release,
)
from vidsift.interactions.centre_alignment import CentreAlignment
from vidsift.interactions.dot import MeanDot
from vidsift.losses.contrastive import info_nce
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import check_choice, frame_set, sentence_set, word_set
from vidsift.types import Features, TokenSet

__all__ = [
    "Clip2Video",
    "DifferenceKind",
    "DifferenceTransformer",
    "TemporalAlignment",
    "clip2video_weights_from_release",
]

DifferenceKind = Literal["attention", "linear", "plain", "none"]
TemporalAlignment = Literal["auto", "difference", "frame", "none"]


class Clip2Video(Method):
    """CLIP2Video, whole or with its blocks left out.

    Use it where motion tells clips apart and an index has to stay small to scan: a video is two vectors
    then. It needs training: the blocks start from CLIP's text tower, the centres from nothing. It gives up
    the choice of frames by the sentence, as both vectors are there before it.

    Source: Fang et al. 2021; CryhanFang/CLIP2Video modules/modeling.py (the released scripts use
        ``temporal_proj`` sigmoid_selfA and ``center_proj`` TAB_TDB, as the defaults here).
    Differs: padded frames take no part, and there is no difference to one. The released code counts the
        difference between the last frame and the first padded one, and hands attention its masks in the
        wrong order (``attn_mask.repeat``), so that a video is masked as another of the batch is. What it
        gives for short ones depends on the batch and cannot be had here. A video of one frame, where it
        fails, has no differences.

    Args:
        towers: the CLIP towers.
        temporal_difference: what stands between two frames: their difference after a transformer block
            ("attention"), after a linear layer ("linear"), as it is ("plain"), or nothing ("none": the frames
            alone, as CLIP4Clip's seqTransf).
        temporal_alignment: how every second frame is enhanced before all are gathered: by a block over frames
            and differences ("difference"), over frames alone ("frame"); "auto" takes differences where there
            are some; "none" leaves alignment out.
        centres: K; 5 in the released scripts, 7 for VATEX.
        alignment_weight: of the alignment in similarity and loss; the sentence with the mean frame has the
            rest.
        temporal_layers: blocks across frames and differences.
        max_frames: longest video, in frames, that the positions know.

    Raises:
        ValueError: if an argument is not one of its choices, or differences are asked for and left out.

    Example:
        ``Model.create("clip2video", *clip, arguments={"centres": 7})``
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        temporal_difference: DifferenceKind = "attention",
        temporal_alignment: TemporalAlignment = "auto",
        centres: int = 5,
        alignment_weight: float = 0.5,
        temporal_layers: int = 4,
        max_frames: int = 77,
    ) -> None:
        """See the class."""
        check_choice("clip2video", "temporal_difference", temporal_difference, get_args(DifferenceKind))
        check_choice("clip2video", "temporal_alignment", temporal_alignment, get_args(TemporalAlignment))
        if temporal_alignment == "auto":
            temporal_alignment = "frame" if temporal_difference == "none" else "difference"
        if temporal_alignment == "difference" and temporal_difference == "none":
            raise ValueError(
                "clip2video: temporal_alignment=difference needs differences, and temporal_difference is "
                "none; use temporal_alignment=frame"
            )
        terms = [Term("sentence", "frame", MeanDot())]
        if temporal_alignment != "none":
            terms = [
                Term("sentence", "frame", MeanDot(), 1 - alignment_weight),
                Term("word", "clip", CentreAlignment(towers.dim, centres), alignment_weight),
            ]
        super().__init__(towers, terms)
        self.temporal = DifferenceTransformer(
            towers,
            kind=temporal_difference,
            alignment=temporal_alignment,
            layers=temporal_layers,
            max_frames=max_frames,
        )

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return "sentence" ``(Q, 1, D)`` and, for the alignment, "word" ``(Q, T, D)`` without the start."""
        tokens_QTD = self.towers.encode_text(ids_QT, mask_QT)
        sets = {"sentence": sentence_set(tokens_QTD, mask_QT)}
        if "word" in self.text_preparers:
            counted_QT = mask_QT.clone()
            counted_QT[:, 0] = False  # start of text is no word; its end counts, as released
            sets["word"] = word_set(tokens_QTD, counted_QT)
        return sets

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return "frame" ``(B, F, D)``, which have seen the differences, and "clip".

        The latter are the frames as CLIP gives them, each even one followed by its enhanced token, ``(B, F +
        (F + 1) // 2, D)``.
        """
        # fp32 from here on: only the towers are ever rounded for inference.
        frames_BFD = self.towers.encode_frame_classes(pixels_BF3SS, mask_BF).float()
        sets = {"frame": frame_set(self.temporal(frames_BFD, mask_BF), mask_BF, times_BF)}
        if "clip" in self.video_preparers:
            sets["clip"] = _clip_set(frames_BFD, self.temporal.enhanced(frames_BFD, mask_BF), sets["frame"])
        return sets

    def loss(self, text: Features, video: Features) -> dict[str, Tensor]:
        """Return one symmetric cross-entropy a term, weighted as the terms are.

        Source: CryhanFang/CLIP2Video modules/modeling.py, forward.
        """
        parts = {name: info_nce(sim, self.scale) for name, sim in self.term_scores(text, video).items()}
        loss = torch.stack([term.weight * parts[term.name] for term in self.terms]).sum()
        return {"loss": loss, **{name: part.detach() for name, part in parts.items()}}


class DifferenceTransformer(nn.Module):
    """Transformers over frames with the differences between them (both temporal blocks of the paper).

    All start from the text tower where they have its sizes, differences and frames told apart by its first
    two positions.

    Source: CryhanFang/CLIP2Video modules/modeling.py, temporal_difference_block, _similarity_TDB and
        get_extra_TAB_embedding; its from_pretrained for what weights start from.

    Args:
        towers: give width and weights to start from.
        kind: of the differences.
        alignment: what the even frames are enhanced by, not "auto".
        layers: blocks behind the frames that are averaged.
        max_frames: positions.
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        kind: DifferenceKind = "attention",
        alignment: TemporalAlignment = "difference",
        layers: int = 4,
        max_frames: int = 77,
    ) -> None:
        """See the class."""
        super().__init__()
        dim = towers.dim
        heads = max(1, dim // 64)
        self.kind: DifferenceKind = kind
        self.alignment: TemporalAlignment = alignment
        self.positions = nn.Parameter(torch.randn(max_frames, dim) * 0.02)
        self.blocks = nn.ModuleList(TemporalBlock(dim, heads) for _ in range(layers))
        self.types = None if kind == "none" else nn.Parameter(torch.randn(2, dim) * 0.02)
        self.projection = nn.Parameter(torch.randn(dim, dim) / 8) if kind == "linear" else None
        single = {
            "difference_block": kind == "attention",
            "enhancing_block": alignment != "none",
        }
        for name, wanted in single.items():
            self.register_module(name, TemporalBlock(dim, heads) if wanted else None)
        # torch's own epsilon, as released; the blocks have 1e-12.
        self.norm = nn.LayerNorm(dim) if kind in ("attention", "linear") else None
        self._start_from_text(towers)

    @torch.no_grad()
    def _start_from_text(self, towers: ClipTowers) -> None:
        if misfit_to_text(towers, self.blocks, self.positions):
            return
        copy_text_tower(towers, self.blocks, self.positions)
        tower = towers.clip.text_model
        if self.types is not None:
            self.types.copy_(tower.embeddings.position_embedding.weight[:2])
        for block in (self.difference_block, self.enhancing_block):
            if isinstance(block, TemporalBlock):
                block.copy_from_clip(tower.encoder.layers[0])
        start_WD = towers.clip.visual_projection.weight.t()
        if self.projection is not None and len(start_WD) >= len(self.projection):
            self.projection.copy_(start_WD[: len(self.projection)])

    def forward(self, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        """Return frames that know the whole video and what changes in it, ``(B, F, D)``, zero where masked.

        Args:
            frames_BFD: frame tokens.
            mask_BF: bool, real frames first.

        Raises:
            ValueError: a video has no real frame, padding before a real one, or more frames than positions.
        """
        return self._among_differences(self.blocks, frames_BFD, mask_BF, differences=self.kind != "none")

    def enhanced(self, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        """Return the even frames after a block over them and their differences, ``(B, (F + 1) // 2, D)``."""
        assert isinstance(self.enhancing_block, TemporalBlock)
        return self._among_differences(
            [self.enhancing_block],
            frames_BFD[:, ::2],
            mask_BF[:, ::2],
            differences=self.alignment == "difference",
        )

    def _among_differences(
        self, blocks: Iterable[nn.Module], frames_BFD: Tensor, mask_BF: Tensor, *, differences: bool
    ) -> Tensor:
        require_real(mask_BF, "video", "frame")
        require_prefix(mask_BF, "video", "frame")
        frames = frames_BFD.shape[1]
        if frames > len(self.positions):
            raise ValueError(
                f"a video has {frames} frames, the temporal blocks take at most {len(self.positions)}; "
                "sample fewer frames, or build and train with a larger max_frames"
            )
        state_BND, mask_BN = frames_BFD + self.positions[:frames], mask_BF
        if differences:
            assert self.types is not None
            # A difference stands behind the earlier of its frames, and at its position.
            between_BGD = (
                self._differences(frames_BFD, mask_BF) + self.positions[: frames - 1] + self.types[0]
            )
            state_BND = _interleave(state_BND + self.types[1], between_BGD)
            mask_BN = _interleave(mask_BF[..., None], mask_BF[:, 1:, None]).squeeze(-1)
        padding_B11N = ~mask_BN[:, None, None, :]
        for block in blocks:
            state_BND = block(state_BND, padding_B11N)
        out_BFD = (state_BND[:, ::2] if differences else state_BND) + frames_BFD
        return out_BFD.masked_fill(~mask_BF[..., None], 0)

    def _differences(self, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        """What changes from each frame to the next, ``(B, F - 1, D)``, in [-1, 1] but for "plain"."""
        change_BGD, real_BG = frames_BFD[:, 1:] - frames_BFD[:, :-1], mask_BF[:, 1:]
        if self.kind == "attention":
            assert isinstance(self.difference_block, TemporalBlock)
            # A video of one frame has nothing to look at, and would be NaN: it looks at all and is cleared.
            seen_BG = real_BG | ~real_BG.any(dim=1, keepdim=True)
            placed_BGD = change_BGD + self.positions[1 : frames_BFD.shape[1]]
            change_BGD = self.difference_block(placed_BGD, ~seen_BG[:, None, None, :])
        elif self.projection is not None:
            change_BGD = change_BGD @ self.projection
        if self.norm is not None:
            change_BGD = 2 * torch.sigmoid(self.norm(change_BGD)) - 1
        return change_BGD.masked_fill(~real_BG[..., None], 0)


def _interleave(frames_BFX: Tensor, between_BGX: Tensor) -> Tensor:
    """Put one token between every two: ``(B, F, X)`` and ``(B, F - 1, X)`` to ``(B, 2F - 1, X)``."""
    pairs_BG2X = torch.stack([frames_BFX[:, :-1], between_BGX], dim=2)
    return torch.cat([pairs_BG2X.flatten(1, 2), frames_BFX[:, -1:]], dim=1)


def _clip_set(frames_BFD: Tensor, enhanced_BED: Tensor, frames: TokenSet) -> TokenSet:
    """Frames, each even one followed by its enhanced token, which is seen when the frame is."""
    count = frames_BFD.shape[1]
    both = torch.cat([frames_BFD, enhanced_BED], dim=1)
    # Side by side, so that real tokens stand before padded ones.
    order = [place for frame in range(count) for place in (frame, count + frame // 2)[: 2 - frame % 2]]
    source_N = torch.tensor([place if place < count else 2 * (place - count) for place in order])
    times, numbers = frames.times_seconds, frames.frame
    assert times is not None
    assert numbers is not None
    return TokenSet(
        both[:, order],
        frames.mask[:, source_N],
        times_seconds=times[:, source_N],
        frame=numbers[:, source_N],
    )


_RELEASED = {
    "weight_center": "interactions.1.selectors",
    "emb_center": "interactions.1.centres",
    "type_position_embeddings.weight": "temporal.types",
    "frame2t_projection": "temporal.projection",
    "trans_layernorm.weight": "temporal.norm.weight",
    "trans_layernorm.bias": "temporal.norm.bias",
}
_RELEASED_BLOCK = re.compile(r"(frame2t_attention|actionClip)\.resblocks\.0\.(.+)")
_BLOCKS = {"frame2t_attention": "difference_block", "actionClip": "enhancing_block"}


def clip2video_weights_from_release(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a released CLIP2Video, without its CLIP, to their names in :class:`Clip2Video`.

    Args:
        weights: state dict entries without a ``module.`` prefix.

    Raises:
        ValueError: listing every key that does not belong to it.

    Source: CryhanFang/CLIP2Video modules/modeling.py (parameter names).
    """
    renamed: dict[str, Tensor] = {}
    unknown: list[str] = []
    for key, value in weights.items():
        block = _RELEASED_BLOCK.fullmatch(key)
        try:
            if key in _RELEASED:
                renamed[_RELEASED[key]] = value
            elif block:
                # The same parts as in the transformer across frames, under other names.
                ((name, _),) = temporal_weights_from_release(
                    {f"transformerClip.resblocks.0.{block[2]}": value}
                ).items()
                renamed[f"temporal.{_BLOCKS[block[1]]}.{name.removeprefix('blocks.0.')}"] = value
            else:
                ((name, _),) = temporal_weights_from_release({key: value}).items()
                renamed[f"temporal.{name}"] = value
        except ValueError:
            unknown.append(key)
    if unknown:
        raise ValueError(f"not part of a released CLIP2Video: {', '.join(sorted(unknown))}")
    return renamed
