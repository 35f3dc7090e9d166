"""The one door into a method: sentences and pictures become what it takes, for encoding and training alike.

Everything that a method is given is tokenised, cut, padded, normalised and masked here, so what is trained is
what is scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import TokenizedText, Tokenizer
from vidsift.video.stack import stack_videos

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
        # With id 0, which full-width methods encode: what OpenAI and the released loaders pad with.
        ids, mask = (_to_width(part, self.max_words) for part in (tokenized.ids, tokenized.mask))
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
        return TextInputs(*(_to_width(part, width).to(device) for part in (ids_QT, mask_QT)))

    def text_batches(
        self, tokenized: TokenizedText, most_tokens: int, *, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[Tensor, TextInputs]]:
        """Give tokenized texts to the method in batches of like length: padding is hardly ever computed.

        Args:
            tokenized: by :meth:`tokenize`.
            most_tokens: most tokens of a batch, padding included; a longer text is a batch by itself.
            device: where the method computes.

        Yields:
            Which texts these are, int64, and their inputs; every text once, the shortest first.
        """
        for rows in _rows_by_length(tokenized.mask, most_tokens):
            yield rows, self.text(tokenized, rows, device=device)

    def pictures(
        self,
        pixels: Sequence[NDArray[np.uint8]],
        times: Sequence[NDArray[np.float64]],
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> VideoInputs:
        """Give the pictures of several videos to the method, see :meth:`check_pictures` and :meth:`video`."""
        self.check_pictures(pixels, times)
        arrays = stack_videos(pixels, times, pixels[0].shape[1:])
        return self.video(*map(torch.from_numpy, arrays), dtype=dtype, device=device)

    @staticmethod
    def check_pictures(pixels: Sequence[NDArray[np.uint8]], times: Sequence[NDArray[np.float64]]) -> None:
        """Refuse videos whose pictures and times cannot be encoded.

        Args:
            pixels: for each video RGB uint8 ``(F, S, S, 3)``; F may differ, and is at least 1.
            times: for each video the second at which each picture is shown, ``(F,)``.

        Raises:
            ValueError: if there is no video, one has no picture, or pictures and times do not fit.
        """
        if len(pixels) == 0:
            raise ValueError("no videos given; pass the pictures of at least one")
        if len(pixels) != len(times):
            raise ValueError(
                f"pictures of {len(pixels)} videos but times of {len(times)}; give one array of times each"
            )
        for place, (frames, seconds) in enumerate(zip(pixels, times, strict=True)):
            if frames.ndim != 4 or len(frames) == 0 or len(frames) != len(seconds):
                raise ValueError(
                    f"video {place} has pictures of shape {frames.shape} and {len(seconds)} times; expected "
                    "uint8 (frames, side, side, 3) with at least one frame, and one time for each"
                )
            if frames.shape[1:] != pixels[0].shape[1:]:
                raise ValueError(
                    f"video {place} has pictures of shape {frames.shape[1:]}, video 0 of "
                    f"{pixels[0].shape[1:]}; crop them alike"
                )

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
            pixels_BFSS3: uint8 RGB of the model's size; None where the towers have their features cached, and
                the pictures returned are empty; see :class:`~vidsift.encoders.feature_cache.CachedTowers`.
            mask_BF: bool, real frames first.
            times_BF: when each frame is shown, in seconds.
            dtype: of the normalised pictures.
            device: where the method computes.

        Returns:
            Normalised pictures, mask and times, cut at the longest of these videos unless padding takes part.
        """
        # Real frames stand first, so their number is the width that is needed.
        longest = int(mask_BF.sum(dim=1).max())
        # More frames than the model asks for are scored, not cut.
        width = max(self.frames, longest) if self.full_width else longest
        mask_BF, times_BF = (_to_width(part, width).to(device) for part in (mask_BF, times_BF))
        if pixels_BFSS3 is None:
            empty = torch.empty(*mask_BF.shape, 3, 0, 0, dtype=dtype, device=device)
            return VideoInputs(empty, mask_BF, times_BF)
        normalised = self.norm(_to_width(pixels_BFSS3, width).to(device), dtype)
        if self.full_width:
            # After the normalisation: a black picture would not be zero behind it.
            normalised[~mask_BF] = 0
        return VideoInputs(normalised, mask_BF, times_BF)


def _rows_by_length(mask_QT: Tensor, most_tokens: int) -> Iterator[Tensor]:
    """Group the rows of a mask by their number of real tokens, shortest first."""
    # Stable, so that the same texts make the same batches.
    lengths_Q, rows_Q = mask_QT.sum(dim=1).sort(stable=True)
    lengths = lengths_Q.tolist()
    start = 0
    for end in range(1, len(lengths) + 1):
        # Ascending: the next text would be the longest, and give all rows its width.
        if end == len(lengths) or (end + 1 - start) * lengths[end] > most_tokens:
            yield rows_Q[start:end]
            start = end


def _to_width(part: Tensor, width: int) -> Tensor:
    """Cut or pad (with zeros) the columns of ``(rows, columns, ...)`` to ``width``."""
    cut = part[:, :width]
    if cut.shape[1] == width:
        return cut
    return torch.cat([cut, cut.new_zeros(len(cut), width - cut.shape[1], *cut.shape[2:])], dim=1)
