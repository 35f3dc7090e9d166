"""The two CLIP towers, giving every token in the shared space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

__all__ = ["ClipTowers", "end_of_text"]


def end_of_text(tokens_QTD: Tensor, mask_QT: Tensor) -> Tensor:
    """Return the token of the end of each text: the last real one, ``(Q, 1, D)``."""
    raise NotImplementedError


class ClipTowers(nn.Module):
    """CLIP's text and vision towers around ``transformers``' ``CLIPModel`` (attribute ``clip``)."""

    clip: CLIPModel

    def __init__(self, clip: CLIPModel | CLIPConfig, *, attention: str = "plain") -> None:
        """Wrap a loaded model, or build one with fresh weights from its config."""
        super().__init__()

    @property
    def dim(self) -> int:
        """Channels of the shared space."""
        raise NotImplementedError

    @property
    def image_size_px(self) -> int:
        """Side of the pictures the vision tower takes."""
        raise NotImplementedError

    @property
    def max_tokens(self) -> int:
        """Longest text the text tower takes, start and end included."""
        raise NotImplementedError

    @property
    def patches(self) -> int:
        """Patch tokens of a picture (the class token is one more)."""
        raise NotImplementedError

    @overload
    def encode_text(self, ids_QT: Tensor, mask_QT: Tensor, *, hidden: Literal[False] = False) -> Tensor: ...
    @overload
    def encode_text(
        self, ids_QT: Tensor, mask_QT: Tensor, *, hidden: Literal[True]
    ) -> tuple[Tensor, tuple[Tensor, ...]]: ...
    def encode_text(
        self, ids_QT: Tensor, mask_QT: Tensor, *, hidden: bool = False
    ) -> Tensor | tuple[Tensor, tuple[Tensor, ...]]:
        """Return all tokens ``(Q, T, D)``, projected, zero where masked; with ``hidden`` also every layer's."""
        raise NotImplementedError

    @overload
    def encode_images(self, pixels_N3SS: Tensor, *, hidden: Literal[False] = False) -> Tensor: ...
    @overload
    def encode_images(
        self, pixels_N3SS: Tensor, *, hidden: Literal[True]
    ) -> tuple[Tensor, tuple[Tensor, ...]]: ...
    def encode_images(
        self, pixels_N3SS: Tensor, *, hidden: bool = False
    ) -> Tensor | tuple[Tensor, tuple[Tensor, ...]]:
        """Return class token and patch tokens ``(N, 1+P, D)``, projected."""
        raise NotImplementedError

    @overload
    def encode_frames(
        self,
        pixels_BF3SS: Tensor,
        mask_BF: Tensor,
        shift_blocks: Sequence[int] = (),
        *,
        hidden: Literal[False] = False,
    ) -> Tensor: ...
    @overload
    def encode_frames(
        self,
        pixels_BF3SS: Tensor,
        mask_BF: Tensor,
        shift_blocks: Sequence[int] = (),
        *,
        hidden: Literal[True],
    ) -> tuple[Tensor, tuple[Tensor, ...]]: ...
    def encode_frames(
        self, pixels_BF3SS: Tensor, mask_BF: Tensor, shift_blocks: Sequence[int] = (), *, hidden: bool = False
    ) -> Tensor | tuple[Tensor, tuple[Tensor, ...]]:
        """Return the tokens of every frame ``(B, F, 1+P, D)``, zero where masked."""
        raise NotImplementedError
