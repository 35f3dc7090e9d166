"""Footage as the question: which segments look like a stretch of video or a picture.

The frames' own tokens meet token-wise, and all weigh alike: half of the score is how well the frames of the
question are found in the segment, half how well those of the segment are found in the question. That is
another question than a sentence asks, on another scale, so its scores are labelled and never mixed with those
of texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vidsift.errors import QueryError
from vidsift.index.schema import SetLayout
from vidsift.interactions.base import UnitTokens
from vidsift.interactions.masked import uniform_weights
from vidsift.interactions.token_wise import TokenWise
from vidsift.methods.base import Method, Term, TermSum
from vidsift.methods.model import Model
from vidsift.search.gallery import Gallery
from vidsift.types import Features, Frames, TokenSet

__all__ = ["KIND", "SimilarFootage", "encode_footage", "footage_set", "holds_frames"]

KIND: Literal["similar footage"] = "similar footage"


class SimilarFootage(TermSum):
    """Token-wise interaction of a video set with itself, uniform weights.

    Args:
        name: of the set, see :func:`footage_set`.

    Source: the token-wise interaction of DRL (arXiv 2203.07111) Eq. 5, frames in the place of the words.
    """

    def __init__(self, name: str) -> None:
        """See the class."""
        self.name = name
        self._meeting = TokenWise()
        self.terms = (Term(name, name, self._meeting),)
        self.text_preparers = {name: self._meeting}
        self.video_preparers = {name: self._meeting}

    def adapt_text(self, text: Features) -> dict[str, TokenSet]:
        """Make the frames of the question unit length, and let them weigh alike."""
        return {self.name: self._meeting.prepare_text(text[self.name])}

    def adapt_video(self, video: Features) -> dict[str, TokenSet]:
        """Likewise for stored segments."""
        return {self.name: self._meeting.prepare_video(video[self.name])}

    def similarity(self, text: Features, video: Features) -> Tensor:
        """Score all pairs; whatever the frames of a scan weigh for their method, here they weigh alike."""
        seen = video[self.name]
        alike = seen.replace(weights=uniform_weights(seen.mask, torch.float32))
        return super().similarity(text, {self.name: alike})


def footage_set(sets: Mapping[str, SetLayout]) -> str:
    """Name the set that stands for what is seen: "frame", else the first whose tokens have a time."""
    if "frame" in sets:
        return "frame"
    timed = [name for name, layout in sets.items() if "times_seconds" in layout.parts]
    return timed[0] if timed else next(iter(sets))


def holds_frames(gallery: Gallery, method: Method, sets: Mapping[str, SetLayout], name: str) -> bool:
    """Whether a gallery that was read for a method holds every token of a set, unit length, to be scanned."""
    # Unit tokens are what token-wise interaction prepares: one scan then serves text and footage.
    preparer = method.video_preparers[name]
    unit = isinstance(preparer, UnitTokens | TokenWise)
    return (
        unit
        and name in gallery.scan
        and gallery.blocks > 0
        # A set that the method compacts (to a mean) has fewer tokens than are stored.
        and gallery.scan[name].block(0).tokens.shape[1] == sets[name].slots
    )


def encode_footage(model: Model, frames: Frames) -> dict[str, TokenSet]:
    """Encode pictures as a segment of so many frames is.

    Args:
        model: the model of the index.
        frames: cropped to the model's size; more of them than the model looks at are thinned out evenly.

    Raises:
        QueryError: if there is no picture, or they have another size.
    """
    side = model.preprocessing.size_px
    if not len(frames) or frames.pixels.shape[1:3] != (side, side):
        raise QueryError(
            f"got {len(frames)} pictures of {frames.pixels.shape[2]} x {frames.pixels.shape[1]} px, expected "
            f"at least one of {side} x {side}, which the model takes; read them with "
            f"vidsift.video.read_frames(path, times, size_px={side})"
        )
    # The model looks at so many frames of a segment, and at no more.
    most = model.preprocessing.frames
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))
    return model.encode_frames([frames.pixels[chosen]], [frames.times_seconds[chosen]])
