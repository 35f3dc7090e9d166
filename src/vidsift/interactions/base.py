"""What every interaction is: prepare one side, score all pairs, align matched pairs.

A prepared set is again a :class:`~vidsift.types.TokenSet` (tokens made unit length, weights filled in).
It depends on one sentence or one video alone, so the index stores it, and search, evaluation, training
and explanation all start from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from vidsift.encoders.mask_checks import require_real
from vidsift.errors import NoAlignmentError
from vidsift.interactions.masked import unit_tokens
from vidsift.types import Alignment, TokenSet

__all__ = ["Interaction", "UnitTokens", "pooled", "weights_of"]


class Interaction(nn.Module, ABC):
    """A way to compare a set of text tokens with a set of video tokens.

    Attributes:
        text_preparation, video_preparation: name what preparing a side does, where it has no learned weights;
            None where it has. Two terms of a method may share a token set only if they prepare it alike: by
            one and the same interaction, or by two of the same name.
        explains: whether :meth:`align` accounts for the score; where not (a black box), it raises.
        scans: whether :meth:`score` is cheap enough to compare a text with every segment of an index; where
            not, a search needs a first stage (:class:`~vidsift.methods.base.FirstStage`) that finds the
            candidates which this then ranks. The two are independent of each other.
        scans_int8: True if :meth:`score` takes video sets kept in int8, see
            :func:`~vidsift.interactions.quantised.quantise`; a search then scans in int8.
        quantises_text: True if :meth:`score` then quantises the whole text set first; a scan does so once.
    """

    text_preparation: str | None = "as is"
    video_preparation: str | None = "as is"
    explains: bool = True
    scans: bool = True
    scans_int8: bool = False
    quantises_text: bool = False

    def prepare_text(self, text: TokenSet) -> TokenSet:
        """Do what needs the text side only.

        Args:
            text: tokens ``(Q, T, D)`` as encoded.

        Returns:
            The prepared set; same rows.

        Raises:
            ValueError: if a text has no real token.
        """
        require_real(text.mask, "text", "token")
        return self._prepare_text(text)

    def prepare_video(self, video: TokenSet) -> TokenSet:
        """Do what needs the video side only: :meth:`prepare_text` for the other side.

        Raises:
            ValueError: if a video has no real token.
        """
        require_real(video.mask, "video", "token")
        return self._prepare_video(video)

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        return text

    def _prepare_video(self, video: TokenSet) -> TokenSet:
        return video

    @abstractmethod
    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Compare every prepared text with every prepared video.

        Args:
            text: prepared, ``(Q, T, D)``.
            video: prepared, ``(V, N, D)``.

        Returns:
            ``sim_QV``, without any learned scale. An entry depends on its own text and video only.
        """

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:  # noqa: ARG002 (a black box reads neither)
        """Tell which token met which in matched pairs: text i with video i.

        Args:
            text: prepared, ``(B, T, D)``.
            video: prepared, ``(B, N, D)``.

        Returns:
            The account; its contributions sum to the diagonal of :meth:`score`.

        Raises:
            NoAlignmentError: if the interaction is a black box.
        """
        raise NoAlignmentError(
            f"{type(self).__name__} is a black box: its score cannot be split into meetings of words and "
            "frames; use a token-wise method (for example drl with interaction wti) for explanations"
        )

    def compact_video(self, video: TokenSet) -> TokenSet:
        """Return the smallest set that gives the same :meth:`score`: what a scan has to read.

        ``align`` needs the full prepared set.
        """
        return video


class UnitTokens(Interaction):
    """An interaction whose preparing makes the tokens of both sides unit length, and nothing else."""

    text_preparation = video_preparation = "unit"

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        return text.replace(tokens=unit_tokens(text))

    def _prepare_video(self, video: TokenSet) -> TokenSet:
        return video.replace(tokens=unit_tokens(video))


def weights_of(tokens: TokenSet) -> Tensor:
    """Return the weights of a prepared set, ``(B, N)``.

    Raises:
        ValueError: if it has none, so that it was not prepared.
    """
    if tokens.weights is None:
        raise ValueError(
            "got a token set without weights; pass it through prepare_text or prepare_video of an "
            "interaction that weighs tokens, such as TokenWise"
        )
    return tokens.weights


def pooled(tokens: TokenSet) -> Tensor:
    """One unit vector for each row: the weighted mean of a prepared set, ``(B, D)``.

    The cheap stand-in for a whole set, kept by the index for a first stage of search.
    """
    weights = tokens.mask.to(tokens.tokens.dtype) if tokens.weights is None else tokens.weights
    return torch.nn.functional.normalize((tokens.tokens * weights.unsqueeze(-1)).sum(dim=1), dim=-1)
