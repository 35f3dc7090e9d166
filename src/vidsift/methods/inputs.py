"""What a method takes, made in one place for encoding and training: what is trained is what is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import TokenizedText, Tokenizer
from vidsift.methods.batching import to_width

__all__ = ["InputMaker", "TextInputs", "VideoInputs"]


class TextInputs(NamedTuple):
    """What :meth:`~vidsift.methods.base.Method.text_features` takes: ``(Q, T)`` each."""

    ids: Tensor
    mask: Tensor


class VideoInputs(NamedTuple):
    """What :meth:`~vidsift.methods.base.Method.video_features` takes; masks are bool."""

    pixels: Tensor
    mask: Tensor
    times_seconds: Tensor


@dataclass(frozen=True)
class InputMaker:
    """Makes the inputs of one method; :attr:`vidsift.Model.inputs` gives a model's.

    Where padding takes no part in the score, inputs are as wide as the longest text or video among them.
    Where it does (``full_width``), all are as wide as the model's longest, and padded pictures are zero
    behind the normalisation, as the released loaders pad.

    Attributes:
        tokenizer: words to ids.
        norm: pictures to numbers.
        max_words: longest text in tokens, start and end included.
        frames: frames of the model's longest video.
        full_width: see :class:`~vidsift.methods.base.Method`.
    """

    tokenizer: Tokenizer
    norm: PixelNorm
    max_words: int
    frames: int
    full_width: bool

    def tokenize(self, texts: Sequence[str]) -> TokenizedText:
        """Turn texts into ids.

        Returns:
            Ids, mask, readable pieces, and which texts lost words. As wide as the longest text, at most
            ``max_words``; exactly that with ``full_width``.

        Raises:
            ValueError: if there is no text or one is empty.
        """
        tokenized = self.tokenizer.encode(texts, self.max_words)
        if not self.full_width:
            return tokenized
        ids, mask = (to_width(part, self.max_words) for part in (tokenized.ids, tokenized.mask))
        return replace(tokenized, ids=ids, mask=mask)

    def text(
        self, tokenized: TokenizedText, rows: Tensor | None = None, *, device: torch.device | str = "cpu"
    ) -> TextInputs:
        """Give tokenized texts to the method.

        Args:
            tokenized: by :meth:`tokenize`.
            rows: which of them, int64; all when None.
            device: where the method computes.

        Returns:
            Ids and mask, cut at the longest of these texts unless padding takes part.
        """
        ids_QT, mask_QT = tokenized.ids, tokenized.mask
        if rows is not None:
            ids_QT, mask_QT = ids_QT[rows], mask_QT[rows]
        width = self.max_words if self.full_width else int(mask_QT.sum(dim=1).max())
        return TextInputs(*(to_width(part, width).to(device) for part in (ids_QT, mask_QT)))

    def video(
        self,
        pixels_BFSS3: Tensor | None,
        mask_BF: Tensor,
        times_BF: Tensor,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> VideoInputs:
        """Give pictures to the method.

        Args:
            pixels_BFSS3: uint8 RGB of the model's size; None where the towers remember them, and the pictures
                returned are empty; see :class:`~vidsift.encoders.feature_cache.RememberedTowers`.
            mask_BF: bool, real frames first.
            times_BF: when each frame is shown, in seconds.
            dtype: of the normalised pictures.
            device: where the method computes.

        Returns:
            Normalised pictures, mask and times, cut at the longest of these videos unless padding takes part.
        """
        longest = int(mask_BF.sum(dim=1).max())
        width = max(self.frames, longest) if self.full_width else longest
        mask_BF, times_BF = (to_width(part, width).to(device) for part in (mask_BF, times_BF))
        if pixels_BFSS3 is None:
            empty = torch.empty(*mask_BF.shape, 3, 0, 0, dtype=dtype, device=device)
            return VideoInputs(empty, mask_BF, times_BF)
        normalised = self.norm(to_width(pixels_BFSS3, width).to(device), dtype)
        if self.full_width:
            normalised[~mask_BF] = 0
        return VideoInputs(normalised, mask_BF, times_BF)
