"""A block of CLIP's vision tower by hand: tokens may change frames, and all but one may end."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.clip.modeling_clip import CLIPAttention, CLIPEncoderLayer

from vidsift.encoders.token_shift import FrameNeighbours, shift_tokens

__all__ = ["attend_in_blocks_by", "vision_block"]


def vision_block(
    block: CLIPEncoderLayer,
    state_NLW: Tensor,
    neighbours: FrameNeighbours | None = None,
    shift_n_div: int = 7,
    class_only: bool = False,
) -> Tensor:
    """Run a block over the tokens of N pictures.

    By hand, since a shift moves what attention reads and not what it is added to.

    Args:
        block: with the weights.
        state_NLW: the tokens, class token first.
        neighbours: the frames before and after each, between which tokens are shifted; None shifts none.
        shift_n_div: how the shift divides the tokens, see ``shift_tokens``.
        class_only: return the class token alone: cheaper where nothing reads the patches any more.

    Returns:
        ``(N, L, W)``, or ``(N, 1, W)``.
    """
    normed_NLW = block.layer_norm1(state_NLW)
    if neighbours is not None:
        normed_NLW = shift_tokens(normed_NLW, neighbours, shift_n_div)
    if class_only:
        state_NLW = state_NLW[:, :1] + _attention_of_class(block.self_attn, normed_NLW)
    else:
        state_NLW = state_NLW + block.self_attn(hidden_states=normed_NLW, attention_mask=None)[0]
    result_NLW: Tensor = state_NLW + block.mlp(block.layer_norm2(state_NLW))
    return result_NLW


def attend_in_blocks_by(module: nn.Module, attention: str) -> None:
    """Set the attention of every block of CLIP's in a module, also of those that have a config of their own.

    Args:
        module: holds the blocks, at any depth.
        attention: "sdpa" or "eager".
    """
    for part in module.modules():
        if isinstance(part, CLIPEncoderLayer):
            part.self_attn.config._attn_implementation = attention


def _attention_of_class(attention: CLIPAttention, normed_NLW: Tensor) -> Tensor:
    """What the first token takes from all tokens: ``(N, 1, W)``."""

    def heads(projected_NLW: Tensor) -> Tensor:
        return projected_NLW.view(*projected_NLW.shape[:2], attention.num_heads, -1).transpose(1, 2)

    # One query, so attention costs L and not L x L products.
    query_NH1E = heads(attention.q_proj(normed_NLW[:, :1]))
    key_NHLE, value_NHLE = heads(attention.k_proj(normed_NLW)), heads(attention.v_proj(normed_NLW))
    attended_NH1E = F.scaled_dot_product_attention(query_NH1E, key_NHLE, value_NHLE, scale=attention.scale)
    out_N1W: Tensor = attention.out_proj(attended_NH1E.transpose(1, 2).flatten(2))
    return out_N1W
