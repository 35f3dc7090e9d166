"""Heads that let the frames of a video see each other: none (mean), LSTM, transformer.

All take and give frame tokens ``(B, F, D)`` with a mask ``(B, F)``; the mean itself is taken by the
interaction. A padded frame never influences a real one, and padded frames come out as zeros.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidsift.encoders.device import autocast_runs_lstm
from vidsift.encoders.init import init_linears
from vidsift.encoders.mask_checks import require_prefix, require_real

if TYPE_CHECKING:
    from vidsift.encoders.clip import ClipTowers

__all__ = [
    "TemporalLSTM",
    "TemporalMean",
    "TemporalTransformer",
    "copy_text_tower",
    "misfit_to_text",
    "start_as_identity",
    "temporal_weights_from_release",
]

_CHANNELS_A_HEAD = 64


class TemporalMean(nn.Module):
    """Leaves frames as they are: the head of meanP, named so that every method has one.

    Source: ArrowLuo/CLIP4Clip modules/modeling.py:354 (``sim_header == "meanP"``).
    """

    def forward(self, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        """Return ``frames_BFD``, padded frames set to zero.

        Raises:
            ValueError: a video has no real frame.
        """
        require_real(mask_BF, "video", "frame")
        return _clear_padding(frames_BFD, mask_BF)


class TemporalLSTM(nn.Module):
    """One LSTM from the first frame to the last, added to the frames (seqLSTM).

    Source: ArrowLuo/CLIP4Clip modules/modeling.py:360-369; foolwood/DRL tvr/models/modeling.py
    ``agg_video_feat``.
    Differs: padded frames are zeros in the output, there they keep what came in. Under autocast it runs in
    fp32 where the processor has no kernel for it in the narrower type.
    """

    def __init__(self, dim: int) -> None:
        """Build the head for frames of ``dim`` channels."""
        super().__init__()
        self.lstm = nn.LSTM(dim, dim, batch_first=True)

    def forward(self, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        """Return frames that know what came before them.

        Args:
            frames_BFD: frame tokens ``(B, F, D)``.
            mask_BF: bool ``(B, F)``, real frames first.

        Returns:
            ``(B, F, D)``, zero where masked.

        Raises:
            ValueError: a video has no real frame, or padding stands before a real one.
        """
        require_real(mask_BF, "video", "frame")
        require_prefix(mask_BF, "video", "frame")
        # It reads forward only and padding comes last: what follows a video's end cannot reach its frames.
        return _clear_padding(self._run_lstm(frames_BFD) + frames_BFD, mask_BF)

    def _run_lstm(self, frames_BFD: Tensor) -> Tensor:
        device = frames_BFD.device.type
        states_BFD: Tensor
        if not torch.is_autocast_enabled(device) or autocast_runs_lstm(
            torch.get_autocast_dtype(device), device
        ):
            states_BFD, _ = self.lstm(frames_BFD)
            return states_BFD
        with torch.autocast(device, enabled=False):
            states_BFD, _ = self.lstm(frames_BFD.to(next(self.lstm.parameters()).dtype))
        return states_BFD


class TemporalTransformer(nn.Module):
    """A small transformer over the frames of a video, added to them (seqTransf).

    Source: ArrowLuo/CLIP4Clip modules/modeling.py:370-384, modules/module_cross.py:60-120.
    Differs: padded frames are -inf before the softmax (there -1e6, the same to rounding) and zeros in the
    output.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 4,
        heads: int | None = None,
        max_frames: int = 77,
        window: int | None = None,
    ) -> None:
        """Build the head with fresh weights: N(0, 0.02), as released heads before CLIP's are copied in.

        Args:
            dim: channels of a frame.
            layers: number of blocks.
            heads: attention heads; one for every 64 channels when None.
            max_frames: longest video it takes; the released heads have 77, the positions of CLIP's text
                tower.
            window: how many frames to either side a frame sees in each block; all when None. What a frame of
                a narrow window says is what happens around it.

        Raises:
            ValueError: ``dim`` cannot be divided among the heads, or the window is negative.
        """
        super().__init__()
        if window is not None and window < 0:
            raise ValueError(
                f"the window across frames is {window}, expected 0 or more, or none for all frames"
            )
        self.window = window
        heads = max(1, dim // _CHANNELS_A_HEAD) if heads is None else heads
        self.positions = nn.Parameter(torch.empty(max_frames, dim))
        self.blocks = nn.ModuleList(TemporalBlock(dim, heads) for _ in range(layers))
        nn.init.normal_(self.positions, std=0.02)

    @property
    def max_frames(self) -> int:
        """Longest video it takes, in frames."""
        return len(self.positions)

    def forward(self, frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        """Return frames that know the whole video.

        Args:
            frames_BFD: frame tokens ``(B, F, D)``.
            mask_BF: bool ``(B, F)``, True on real frames.

        Returns:
            ``(B, F, D)``, zero where masked.

        Raises:
            ValueError: a video has no real frame, or more frames than there are positions.
        """
        require_real(mask_BF, "video", "frame")
        frames = frames_BFD.shape[1]
        self.require_positions(frames)
        state_BFD = frames_BFD + self.positions[:frames]
        unseen_BFF = self.unseen(mask_BF)
        for block in self.blocks:
            state_BFD = block(state_BFD, unseen_BFF)
        return _clear_padding(state_BFD + frames_BFD, mask_BF)

    def unseen(self, mask_BF: Tensor) -> Tensor:
        """Say which frames (columns) a frame may not look at, for the blocks: ``(B, 1, 1 or F, F)``."""
        padding_B11F = ~mask_BF[:, None, None, :]
        if self.window is None:
            return padding_B11F
        place_F = torch.arange(mask_BF.shape[1], device=mask_BF.device)
        distance_FF = (place_F[:, None] - place_F[None, :]).abs()
        # A padded frame sees itself: far behind a video's end it would see nothing, which has no softmax.
        return (padding_B11F | (distance_FF > self.window)) & (distance_FF > 0)

    def require_positions(self, frames: int) -> None:
        """Refuse a video of more frames than there are positions.

        Raises:
            ValueError: with both numbers.
        """
        if frames > self.max_frames:
            raise ValueError(
                f"a video has {frames} frames, the temporal head takes at most {self.max_frames}; "
                "sample fewer frames, or build and train the head with a larger max_frames"
            )

    def init_from_text(self, towers: ClipTowers) -> None:
        """Start from CLIP's text tower: copy its first blocks and its positions.

        Blocks and positions beyond those of the text tower keep their fresh weights.

        Raises:
            ValueError: the text tower has another width, head count or hidden size.

        Source: ArrowLuo/CLIP4Clip modules/modeling.py:105-121; foolwood/DRL tvr/models/modeling.py:154-170.
        """
        copy_text_tower(towers, self.blocks, self.positions)


class TemporalBlock(nn.Module):
    """Norm, attention, norm, two-layer perceptron with QuickGELU, each added to what came in.

    Source: ArrowLuo/CLIP4Clip modules/module_cross.py:20-58 (LayerNorm eps 1e-12).
    """

    def __init__(self, dim: int, heads: int) -> None:
        """Build a block of ``dim`` channels in ``heads`` heads."""
        super().__init__()
        if dim % heads:
            raise ValueError(
                f"{dim} channels cannot be divided among {heads} heads; give heads that divide it"
            )
        self.heads = heads
        # 1e-12 as released, also where norms of CLIP, trained with 1e-5, are copied in.
        self.attention_norm = nn.LayerNorm(dim, eps=1e-12)
        self.attention_in = nn.Linear(dim, 3 * dim)
        self.attention_out = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim, eps=1e-12)
        self.mlp_in = nn.Linear(dim, 4 * dim)
        self.mlp_out = nn.Linear(4 * dim, dim)
        init_linears(self)

    def forward(self, state_BFD: Tensor, unseen_BFF: Tensor, only_B: Tensor | None = None) -> Tensor:
        """Return the new state.

        Args:
            state_BFD: the state.
            unseen_BFF: ``(B, 1, 1 or F, F)``, True where none may look.
            only_B: compute that of one token a row alone, ``(B, 1, D)``; ``unseen_BFF`` is ``(B, 1, 1, F)``.
        """
        normed_BFD = self.attention_norm(state_BFD)
        if only_B is None:
            query_BHFC, key_BHFC, value_BHFC = self.projected(normed_BFD)
        else:
            row_B = torch.arange(len(only_B), device=only_B.device)
            state_BFD = state_BFD[row_B, only_B][:, None]
            (query_BHFC,) = self.projected(normed_BFD[row_B, only_B][:, None], "q")
            key_BHFC, value_BHFC = self.projected(normed_BFD, "kv")
        # Scaled before the product, as nn.MultiheadAttention does, which the released code uses.
        score_BHFF = (query_BHFC * query_BHFC.shape[-1] ** -0.5) @ key_BHFC.transpose(-1, -2)
        weight_BHFF = score_BHFF.masked_fill(unseen_BFF, float("-inf")).softmax(-1)
        return self.after_attention(state_BFD, (weight_BHFF @ value_BHFC).transpose(1, 2).flatten(2))

    def projected(self, normed_BFD: Tensor, parts: Literal["q", "kv", "qkv"] = "qkv") -> list[Tensor]:
        """Return queries, keys and values of normed tokens, or some of them, ``(B, H, F, C)`` each."""
        dim = normed_BFD.shape[-1]
        rows = {"q": slice(0, dim), "kv": slice(dim, 3 * dim), "qkv": slice(0, 3 * dim)}[parts]
        together = F.linear(normed_BFD, self.attention_in.weight[rows], self.attention_in.bias[rows])
        return [
            torch.unflatten(part, -1, (self.heads, -1)).transpose(-3, -2)
            for part in together.chunk(len(parts), dim=-1)
        ]

    def after_attention(self, state_BFD: Tensor, attended_BFD: Tensor) -> Tensor:
        """Return the new state from the old one and what its tokens found, ``(..., D)`` each."""
        state_BFD = state_BFD + self.attention_out(attended_BFD)
        hidden_BFE = self.mlp_in(self.mlp_norm(state_BFD))
        # QuickGELU, CLIP's approximation of GELU: weights copied from CLIP were trained with it.
        change_BFD: Tensor = self.mlp_out(hidden_BFE * torch.sigmoid(1.702 * hidden_BFE))
        return state_BFD + change_BFD

    def copy_from_clip(self, layer: nn.Module) -> None:
        """Copy the weights of a ``transformers`` CLIP encoder layer of the same sizes."""
        clip = layer.state_dict()
        copied: dict[str, Tensor] = {}
        for kind in ("weight", "bias"):
            # Queries, keys, values: the order in which nn.MultiheadAttention, and so every release, has them.
            parts = [clip[f"self_attn.{part}_proj.{kind}"] for part in "qkv"]
            copied[f"attention_in.{kind}"] = torch.cat(parts)
            copied[f"attention_out.{kind}"] = clip[f"self_attn.out_proj.{kind}"]
            copied[f"attention_norm.{kind}"] = clip[f"layer_norm1.{kind}"]
            copied[f"mlp_norm.{kind}"] = clip[f"layer_norm2.{kind}"]
            copied[f"mlp_in.{kind}"] = clip[f"mlp.fc1.{kind}"]
            copied[f"mlp_out.{kind}"] = clip[f"mlp.fc2.{kind}"]
        self.load_state_dict(copied)


def misfit_to_text(towers: ClipTowers, blocks: nn.ModuleList, positions: Tensor) -> str:
    """Say why a transformer's weights cannot be the text tower's; nothing where they can.

    Args:
        towers: with the text tower.
        blocks: :class:`TemporalBlock`, all of one size.
        positions: the transformer's, ``(positions, D)``.
    """
    text_width, width = towers.text_width, positions.shape[1]
    if text_width != width:
        return f"the text tower has {text_width} channels, this transformer {width}"
    config = towers.clip.text_model.config
    for block in blocks:
        assert isinstance(block, TemporalBlock)
        if block.heads != config.num_attention_heads:
            return f"the text tower has {config.num_attention_heads} heads, this transformer {block.heads}"
        if block.mlp_in.out_features != config.intermediate_size:
            hidden = block.mlp_in.out_features
            return f"the text tower has {config.intermediate_size} hidden channels, this transformer {hidden}"
    return ""


@torch.no_grad()
def copy_text_tower(towers: ClipTowers, blocks: nn.ModuleList, positions: Tensor) -> None:
    """Copy the first blocks and the positions of CLIP's text tower into a transformer, see its caller.

    Raises:
        ValueError: the text tower has another width, head count or hidden size.
    """
    reason = misfit_to_text(towers, blocks, positions)
    if reason:
        raise ValueError(
            f"{reason}; they must be equal to copy one into the other: build the transformer with the text "
            "tower's sizes, or leave its fresh weights"
        )
    tower = towers.clip.text_model
    text_positions = tower.embeddings.position_embedding.weight
    count = min(len(text_positions), len(positions))
    positions[:count] = text_positions[:count]
    # Not strict: of a deeper text tower the first blocks are copied, as released.
    for block, text_block in zip(blocks, tower.encoder.layers, strict=False):
        assert isinstance(block, TemporalBlock)
        block.copy_from_clip(text_block)


@torch.no_grad()
def start_as_identity(module: nn.Module) -> int:
    """Let every head across frames in a module begin by changing nothing; return how many there are.

    The last layer of each branch and the positions become zero: a transformer, which adds its input at the
    end, then gives twice the frames. Cosines are those without a head, so a run starts at the scores of its
    towers and has nothing to mend first. All of it learns: the last layers at once, what stands before them
    from the second step.

    Source: Zhang, Dauphin and Ma 2019, Fixup initialization (zero last layers of residual branches).
    Differs: released heads start from CLIP's text tower, see :func:`copy_text_tower`; this is no default.
    """
    heads = [part for part in module.modules() if isinstance(part, TemporalTransformer)]
    for head in heads:
        head.positions.zero_()
        for block in head.blocks:
            assert isinstance(block, TemporalBlock)
            for last in (block.attention_out, block.mlp_out):
                last.weight.zero_()
                last.bias.zero_()
    return len(heads)


_RELEASED_BLOCK = re.compile(r"transformerClip\.resblocks\.(\d+)\.(.+)")
_RELEASED_PARTS = {
    "attn.in_proj_weight": "attention_in.weight",
    "attn.in_proj_bias": "attention_in.bias",
    "attn.out_proj.weight": "attention_out.weight",
    "attn.out_proj.bias": "attention_out.bias",
    "ln_1.weight": "attention_norm.weight",
    "ln_1.bias": "attention_norm.bias",
    "ln_2.weight": "mlp_norm.weight",
    "ln_2.bias": "mlp_norm.bias",
    "mlp.c_fc.weight": "mlp_in.weight",
    "mlp.c_fc.bias": "mlp_in.bias",
    "mlp.c_proj.weight": "mlp_out.weight",
    "mlp.c_proj.bias": "mlp_out.bias",
}


def temporal_weights_from_release(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a released temporal head to the names used here.

    ``frame_position_embeddings.weight`` becomes ``positions``; ``transformerClip.resblocks.N.*`` becomes
    ``blocks.N.*``; ``lstm_visual.*`` becomes ``lstm.*``.

    Args:
        weights: state dict entries of the head alone, without ``clip.*`` or a ``module.`` prefix.

    Returns:
        The state dict for ``TemporalTransformer`` (build it with ``max_frames`` = rows of ``positions``) or
        for ``TemporalLSTM``.

    Raises:
        ValueError: listing every key that belongs to neither.

    Source: ArrowLuo/CLIP4Clip modules/modeling.py, foolwood/DRL tvr/models/modeling.py (parameter names).
    """
    renamed: dict[str, Tensor] = {}
    unknown: list[str] = []
    for key, value in weights.items():
        block = _RELEASED_BLOCK.fullmatch(key)
        if key == "frame_position_embeddings.weight":
            renamed["positions"] = value
        elif key.startswith("lstm_visual."):
            renamed["lstm." + key.removeprefix("lstm_visual.")] = value
        elif block and block[2] in _RELEASED_PARTS:
            renamed[f"blocks.{block[1]}.{_RELEASED_PARTS[block[2]]}"] = value
        else:
            unknown.append(key)
    if unknown:
        raise ValueError(f"not part of a released temporal head: {', '.join(sorted(unknown))}")
    return renamed


def _clear_padding(frames_BFD: Tensor, mask_BF: Tensor) -> Tensor:
    return frames_BFD.masked_fill(~mask_BF.unsqueeze(-1), 0)
