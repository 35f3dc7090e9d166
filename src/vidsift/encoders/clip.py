"""The two CLIP towers, giving every token in the shared space.

The towers are those of ``transformers``; only the walk through their layers is ours, because it keeps all
tokens, stops at the longest text, leaves padded frames out, and can let tokens change frames before
attention.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.modeling_clip import CLIPEncoderLayer

from vidsift.encoders.init import init_linears
from vidsift.encoders.mask_checks import longest, require_prefix, require_real
from vidsift.encoders.text_windows import read_windows, text_masks
from vidsift.encoders.token_shift import FrameNeighbours, frame_neighbours, shift_of
from vidsift.encoders.vision_block import vision_block

__all__ = ["ATTENTION_KINDS", "AttentionKind", "ClipTowers", "end_of_text"]

AttentionKind: TypeAlias = Literal["sdpa", "eager"]
ATTENTION_KINDS: tuple[AttentionKind, ...] = ("sdpa", "eager")
Hidden: TypeAlias = tuple[Tensor, ...]


def end_of_text(tokens_QTD: Tensor, mask_QT: Tensor) -> Tensor:
    """Return the last real token of each text, where CLIP puts the meaning of the sentence.

    Args:
        tokens_QTD: text tokens ``(Q, T, D)``.
        mask_QT: bool ``(Q, T)``, real tokens first.

    Returns:
        ``(Q, 1, D)``.

    Source: foolwood/DRL tvr/models/modeling.py:245 (position ``mask.sum() - 1``).
    Differs: OpenAI takes ``ids.argmax()``, the same place while end-of-text has the highest id;
    a mask holds for any vocabulary.
    """
    last_Q = mask_QT.sum(dim=1) - 1
    rows_Q = torch.arange(len(tokens_QTD), device=tokens_QTD.device)
    return tokens_QTD[rows_Q, last_Q].unsqueeze(1)


class ClipTowers(nn.Module):
    """CLIP's text and vision towers around ``transformers``' ``CLIPModel``.

    Attributes:
        clip: the model; its parameter names are untouched, so ``towers.clip.save_pretrained(folder)`` gives a
            CLIP that ``transformers`` loads.
        run_vision_block: how a block of the vision tower is run; training may exchange it.
    """

    clip: CLIPModel
    run_vision_block: Callable[..., Tensor] = staticmethod(vision_block)

    def __init__(
        self, clip: CLIPModel | CLIPConfig | Mapping[str, Any], *, attention: AttentionKind = "sdpa"
    ) -> None:
        """Wrap a loaded model, or build one with fresh weights from its config.

        Args:
            clip: a model, or the config of one to build, which may be what its ``config.json`` holds.
            attention: ``"sdpa"`` (torch's fused attention) or ``"eager"`` (matrix products and a softmax in
                fp32). In fp32 on a CPU with 17 to 50 tokens a frame they run within 6 % of each other
                (``results/encode.md``); on a GPU sdpa wins.

        Raises:
            ValueError: ``attention`` is neither, or the windows of the text tower are none.
        """
        super().__init__()
        if isinstance(clip, Mapping):
            clip = CLIPConfig.from_dict(dict(clip))
        self.clip = CLIPModel(clip) if isinstance(clip, CLIPConfig) else clip
        read_windows(self.clip.text_model.config)
        self.set_attention(attention)

    def set_attention(self, attention: AttentionKind) -> None:
        """Choose how both towers attend; what they compute stays, but for rounding.

        Raises:
            ValueError: ``attention`` is neither ``"sdpa"`` nor ``"eager"``.
        """
        if attention not in ATTENTION_KINDS:
            raise ValueError(f"attention is {attention!r}, expected one of {', '.join(ATTENTION_KINDS)}")
        self.clip.set_attn_implementation(attention)
        self.attention: AttentionKind = attention

    @property
    def config(self) -> CLIPConfig:
        """The config of the wrapped model."""
        return self.clip.config

    @property
    def dim(self) -> int:
        """Channels of the shared space."""
        return int(self.clip.visual_projection.out_features)

    @property
    def text_width(self) -> int:
        """Channels inside the text tower."""
        return int(self.clip.text_projection.in_features)

    @property
    def vision_width(self) -> int:
        """Channels inside the vision tower."""
        return int(self.clip.visual_projection.in_features)

    @property
    def vision_head_width(self) -> int:
        """Channels of one attention head of the vision tower."""
        return self.vision_width // int(self.clip.vision_model.config.num_attention_heads)

    @property
    def image_size_px(self) -> int:
        """Side of the square pictures that the vision tower takes."""
        return int(self.clip.vision_model.embeddings.image_size)

    @property
    def max_tokens(self) -> int:
        """Longest text that the text tower takes, start and end included."""
        return int(self.clip.text_model.embeddings.position_embedding.num_embeddings)

    @property
    def text_windows(self) -> tuple[int | None, ...] | None:
        """How far to either side the tokens of a text see in each block; None for CLIP's causal order."""
        return read_windows(self.clip.text_model.config)

    @property
    def patches(self) -> int:
        """Patch tokens of a picture; the class token is one more."""
        return int(self.clip.vision_model.embeddings.num_patches)

    @property
    def vision_blocks(self) -> int:
        """Blocks of the vision tower: ``shift_blocks`` counts them from 0."""
        return len(self.clip.vision_model.encoder.layers)

    @property
    def logit_scale(self) -> nn.Parameter:
        """CLIP's learned scale, as its logarithm; for losses, never for similarities."""
        return self.clip.logit_scale

    @overload
    def encode_text(self, ids_QT: Tensor, mask_QT: Tensor, *, hidden: Literal[False] = False) -> Tensor: ...
    @overload
    def encode_text(
        self, ids_QT: Tensor, mask_QT: Tensor, *, hidden: Literal[True]
    ) -> tuple[Tensor, Hidden]: ...
    def encode_text(
        self, ids_QT: Tensor, mask_QT: Tensor, *, hidden: bool = False
    ) -> Tensor | tuple[Tensor, Hidden]:
        """Encode texts; nothing past the longest of the batch is computed.

        What stands after the end of a text cannot change it, causal tower or windows: the cut is exact.

        Args:
            ids_QT: int64 ``(Q, T)``; ids outside the mask do not matter.
            mask_QT: bool ``(Q, T)``, real tokens first, start and end of text included.
            hidden: also return what every layer gave.

        Returns:
            Every token after the final norm and the projection, ``(Q, T, D)``, zero where masked; with
            ``hidden`` also the states of width ``text_width`` cut to the longest text: the embeddings, then
            the output of each block, before the final norm.

        Raises:
            ValueError: a text has no token, padding stands before a real token, or a text is longer than
                ``max_tokens``.

        Source: foolwood/DRL tvr/models/modeling.py:231-247 (all tokens through ``ln_final`` and projection).
        Differs: nothing past the longest text is computed; masked positions are zero.
        """
        length = self._check_text(mask_QT)
        visible = None  # sdpa has a causal kernel that needs no masks
        if self.text_windows is not None or self.attention == "eager":
            # In causal order padding changes nothing, and sees what CLIP lets it see.
            real_QT = mask_QT[:, :length] | (self.text_windows is None)
            visible = text_masks(self.clip.text_model.config, real_QT[:, :, None] & real_QT[:, None, :])
        tokens_QTD, states = self._walk_text(ids_QT[:, :length], visible, hidden=hidden)
        tokens_QTD = tokens_QTD.masked_fill(~mask_QT[:, :length, None], 0)
        # As wide as what came in: the mask is.
        tokens_QTD = F.pad(tokens_QTD, (0, 0, 0, ids_QT.shape[1] - length))
        return (tokens_QTD, tuple(states)) if hidden else tokens_QTD

    @torch.inference_mode()
    def encode_text_packed(self, ids_QT: Tensor, mask_QT: Tensor, *, most_tokens: int = 256) -> Tensor:
        """Encode many texts sooner, without gradients: end to end in rows, so that no padding is computed.

        Each text keeps its own positions and sees only itself: the same tokens as ``encode_text``.

        Args:
            ids_QT: as for ``encode_text``.
            mask_QT: as for ``encode_text``.
            most_tokens: most tokens in a row, unless one text has more; attention grows with its square.

        Returns:
            ``(Q, T, D)``, zero where masked.

        Raises:
            ValueError: as ``encode_text``.
        """
        self._check_text(mask_QT)
        ids_N = ids_QT[mask_QT]
        text_N, position_N = mask_QT.nonzero(as_tuple=True)
        rows: list[Tensor] = []
        for start, end in _packs(mask_QT.sum(dim=1).tolist(), most_tokens):
            text_P = text_N[start:end]
            # Blind to the others of its row.
            same_text_1PP = (text_P[:, None] == text_P[None, :])[None]
            tokens, _ = self._walk_text(
                ids_N[None, start:end],
                text_masks(self.clip.text_model.config, same_text_1PP),
                positions_QT=position_N[None, start:end],
                hidden=False,
            )
            rows.append(tokens[0])
        tokens_ND = torch.cat(rows)
        # Back to one row a text: boolean indexing fills in the order in which it read.
        tokens_QTD = tokens_ND.new_zeros(*mask_QT.shape, tokens_ND.shape[-1])
        tokens_QTD[mask_QT] = tokens_ND
        return tokens_QTD

    @overload
    def encode_images(self, pixels_N3SS: Tensor, *, hidden: Literal[False] = False) -> Tensor: ...
    @overload
    def encode_images(self, pixels_N3SS: Tensor, *, hidden: Literal[True]) -> tuple[Tensor, Hidden]: ...
    def encode_images(self, pixels_N3SS: Tensor, *, hidden: bool = False) -> Tensor | tuple[Tensor, Hidden]:
        """Encode pictures.

        Args:
            pixels_N3SS: normalised pictures (see ``PixelNorm``), ``(N, 3, image_size_px, image_size_px)``.
            hidden: also return what every layer gave.

        Returns:
            Class token first, then the patches row by row, after post-norm and projection: ``(N, 1+P, D)``;
            with ``hidden`` also the states of width ``vision_width``: after the first norm, then after each
            block.

        Raises:
            ValueError: the pictures have another size.

        Source: ArrowLuo/CLIP4Clip modules/module_clip.py:451-454 (all tokens through ``ln_post`` and
        projection).
        """
        tokens_NLD, states = self._walk_vision(pixels_N3SS, (), None, hidden=hidden)
        return (tokens_NLD, tuple(states)) if hidden else tokens_NLD

    @overload
    def encode_frames(
        self,
        pixels_BF3SS: Tensor,
        mask_BF: Tensor,
        shift_blocks: Sequence[int] = (),
        *,
        shift_n_div: int = 7,
        skip_padded: bool = True,
        hidden: Literal[False] = False,
    ) -> Tensor: ...
    @overload
    def encode_frames(
        self,
        pixels_BF3SS: Tensor,
        mask_BF: Tensor,
        shift_blocks: Sequence[int] = (),
        *,
        shift_n_div: int = 7,
        skip_padded: bool = True,
        hidden: Literal[True],
    ) -> tuple[Tensor, Hidden]: ...
    def encode_frames(
        self,
        pixels_BF3SS: Tensor,
        mask_BF: Tensor,
        shift_blocks: Sequence[int] = (),
        *,
        shift_n_div: int = 7,
        skip_padded: bool = True,
        hidden: bool = False,
    ) -> Tensor | tuple[Tensor, Hidden]:
        """Encode the frames of videos; padded frames cost nothing and give zeros.

        Args:
            pixels_BF3SS: normalised frames ``(B, F, 3, image_size_px, image_size_px)``.
            mask_BF: bool ``(B, F)``, True on real frames.
            shift_blocks: blocks (from 0; negative from the end) whose attention sees tokens shifted from the
                neighbouring frames, see ``shift_tokens``. TS2-Net shifts the last two.
            shift_n_div: how the shift divides the tokens of a frame.
            skip_padded: leave padded frames out. False encodes them too and then clears them: the
                same result in constant shapes, for compiled or replayed training steps.
            hidden: also return what every layer gave.

        Returns:
            ``(B, F, 1+P, D)``, zero where masked; with ``hidden`` also the states of each layer
            ``(B, F, 1+P, vision_width)``, as in ``encode_images``.

        Raises:
            ValueError: a video has no real frame, a block does not exist, or the frames have another size.

        Source: TS2-Net, arXiv 2207.07852, section 3.2 (the shift); the rest as in ``encode_images``.
        Differs: padded frames are not encoded and shift nowhere.
        """
        with_padded = not skip_padded or bool(mask_BF.all())
        tokens_BFLD, states = self._walk_frames(
            pixels_BF3SS,
            mask_BF,
            shift_blocks,
            with_padded=with_padded,
            hidden=hidden,
            shift_n_div=shift_n_div,
        )
        return (tokens_BFLD, states) if hidden else tokens_BFLD

    def encode_frame_classes(
        self, pixels_BF3SS: Tensor, mask_BF: Tensor, shift_blocks: Sequence[int] = (), *, shift_n_div: int = 7
    ) -> Tensor:
        """Encode the frames of videos to their class tokens alone, CLIP's token for the whole picture.

        The same as ``encode_frames(...)[:, :, 0]`` to rounding, but the last block only looks at the patches
        and does not compute what becomes of them: cheaper by most of one block.

        Args:
            pixels_BF3SS: see :meth:`encode_frames`, as all arguments.
            mask_BF: bool ``(B, F)``.
            shift_blocks: blocks with token shift.
            shift_n_div: how the shift divides the tokens.

        Returns:
            ``(B, F, D)``, zero where masked.

        Raises:
            ValueError: as :meth:`encode_frames`.
        """
        tokens_BF1D, _ = self._walk_frames(
            pixels_BF3SS,
            mask_BF,
            shift_blocks,
            with_padded=bool(mask_BF.all()),
            hidden=False,
            shift_n_div=shift_n_div,
            class_only=True,
        )
        return tokens_BF1D[:, :, 0]

    def new_vision_blocks(self, count: int, width: int) -> nn.ModuleList:
        """Build blocks of the form of the vision tower's with fresh weights and another width.

        Args:
            count: how many.
            width: channels, in heads of the same size as the tower's, so a multiple of that.

        Returns:
            Blocks for states ``(N, L, width)``.
        """
        config = copy.deepcopy(self.clip.vision_model.config)
        config.intermediate_size = config.intermediate_size * width // config.hidden_size
        config.hidden_size, config.num_attention_heads = width, width // self.vision_head_width
        # set_attn_implementation reaches the blocks of its own model alone, and these stand outside of it.
        config._attn_implementation = self.attention
        blocks = nn.ModuleList()
        for _ in range(count):
            block = CLIPEncoderLayer(config)
            init_linears(block)
            blocks.append(block)
        return blocks

    def _check_text(self, mask_QT: Tensor) -> int:
        """Return the length of the longest text; refuse what the tower cannot read."""
        require_real(mask_QT, "text", "token")
        require_prefix(mask_QT, "text", "token")
        length = longest(mask_QT)
        if length > self.max_tokens:
            raise ValueError(
                f"a text has {length} tokens, the text tower takes at most {self.max_tokens}; "
                f"tokenize with max_words={self.max_tokens} or less"
            )
        return length

    def _walk_text(
        self,
        ids_QT: Tensor,
        visible: Sequence[Tensor] | None,
        *,
        hidden: bool,
        positions_QT: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Return projected tokens and, with ``hidden``, the states of all layers.

        Without ``visible`` (of each block ``(Q, T, T)``, where a row's token may look) the order is causal.
        """
        tower = self.clip.text_model
        if positions_QT is None:
            positions_QT = torch.arange(ids_QT.shape[1], device=ids_QT.device)
        tables = tower.embeddings
        state_QTW = tables.token_embedding(ids_QT) + tables.position_embedding(positions_QT)
        states = [state_QTW] if hidden else []
        for number, block in enumerate(tower.encoder.layers):
            mask = None if visible is None else visible[number][:, None]
            if mask is not None and self.attention == "eager":
                # No row is -inf throughout, which would give NaN: each token sees itself.
                mask = torch.zeros_like(mask, dtype=state_QTW.dtype).masked_fill(~mask, float("-inf"))
            state_QTW = block(state_QTW, mask, is_causal=mask is None)
            if hidden:
                states.append(state_QTW)
        return self.clip.text_projection(tower.final_layer_norm(state_QTW)), states

    def _walk_frames(
        self,
        pixels_BF3SS: Tensor,
        mask_BF: Tensor,
        shift_blocks: Sequence[int],
        *,
        with_padded: bool,
        hidden: bool,
        shift_n_div: int,
        class_only: bool = False,
    ) -> tuple[Tensor, Hidden]:
        """Walk the frames of videos and put the results in their places."""
        require_real(mask_BF, "video", "frame")
        shift_blocks, shift_n_div = shift_of(self.config, shift_blocks, shift_n_div)
        blocks = self._block_numbers(shift_blocks)
        pixels_N3SS = pixels_BF3SS.flatten(0, 1) if with_padded else pixels_BF3SS[mask_BF]
        neighbours = frame_neighbours(mask_BF, skip_padded=not with_padded) if blocks else None
        tokens_NLD, states = self._walk_vision(
            pixels_N3SS, blocks, neighbours, hidden=hidden, shift_n_div=shift_n_div, class_only=class_only
        )
        placed = tuple(_to_videos(state_NLW, mask_BF, with_padded) for state_NLW in states)
        return _to_videos(tokens_NLD, mask_BF, with_padded), placed

    def _walk_vision(
        self,
        pixels_N3SS: Tensor,
        shift_blocks: Collection[int],
        neighbours: FrameNeighbours | None,
        *,
        hidden: bool,
        shift_n_div: int = 7,
        class_only: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """Return projected tokens and, with ``hidden``, the states of all layers."""
        side = self.image_size_px
        if tuple(pixels_N3SS.shape[1:]) != (3, side, side):
            raise ValueError(
                f"pictures have shape {tuple(pixels_N3SS.shape)}, "
                f"this model takes (pictures, 3, {side}, {side})"
            )
        tower = self.clip.vision_model
        state_NLW = tower.pre_layrnorm(tower.embeddings(pixels_N3SS))  # misspelt in transformers
        states = [state_NLW] if hidden else []
        for number, block in enumerate(tower.encoder.layers):
            state_NLW = self.run_vision_block(
                block,
                state_NLW,
                neighbours if number in shift_blocks else None,
                shift_n_div,
                # Nothing reads the patches after the last block.
                class_only and number == self.vision_blocks - 1,
            )
            if hidden:
                states.append(state_NLW)
        return self.clip.visual_projection(tower.post_layernorm(state_NLW)), states

    def _block_numbers(self, blocks: Sequence[int]) -> frozenset[int]:
        count = self.vision_blocks
        for block in blocks:
            if not -count <= block < count:
                raise ValueError(
                    f"shift_blocks names block {block}, but the vision tower has blocks 0 to {count - 1}"
                )
        return frozenset(block % count for block in blocks)


def _packs(lengths: list[int], most_tokens: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of rows that hold whole texts, laid end to end."""
    start = end = 0
    for length in lengths:
        if end > start and end + length - start > most_tokens:
            yield start, end
            start = end
        end += length
    yield start, end


def _to_videos(tokens_NLD: Tensor, mask_BF: Tensor, with_padded: bool) -> Tensor:
    """Put frames back in their places, ``(B, F, L, D)``, zero where masked."""
    # Indexing by a mask gives another number of frames each time, so compiled steps encode all.
    if not with_padded:
        result = tokens_NLD.new_zeros(*mask_BF.shape, *tokens_NLD.shape[1:])
        result[mask_BF] = tokens_NLD
        return result
    tokens_BFLD = tokens_NLD.view(*mask_BF.shape, *tokens_NLD.shape[1:])
    return tokens_BFLD.masked_fill(~mask_BF[:, :, None, None], 0)
