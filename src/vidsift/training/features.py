"""A batch becomes prepared sets, by the inputs that a text and a video have at inference."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import torch

from vidsift.data.loading import Batch
from vidsift.encoders.feature_cache import CachedTowers
from vidsift.methods.model import Model
from vidsift.types import Features

__all__ = ["BatchEncoder", "batch_features"]


class BatchEncoder:
    """Encodes and prepares captions and videos of a batch, with gradients where they are enabled.

    Args:
        model: in training mode; its towers may have the features of all pictures cached.
        batch: whose.
        dtype: bfloat16 computes the towers and what follows them by autocast.
        longest: frames of the longest video that is in the same loss, where that may be in no row of the
            batch: where padding takes part, videos are at least as wide.
    """

    def __init__(self, model: Model, batch: Batch, dtype: torch.dtype, *, longest: int = 0) -> None:
        """See the class."""
        self._model, self._batch, self._dtype = model, batch, dtype
        self._inputs = replace(model.inputs, frames=max(model.inputs.frames, longest))
        self._tokenized = self._inputs.tokenize(batch.captions) if batch.captions else None

    @property
    def texts(self) -> int:
        """How many captions there are."""
        return len(self._batch.captions)

    @property
    def videos(self) -> int:
        """How many videos there are."""
        return len(self._batch.rows)

    def text(self, rows: slice) -> Features:
        """Return the prepared sets of some captions, in the batch's order, on the model's device."""
        assert self._tokenized is not None, "a batch without captions has no texts"
        method, device = self._model.method, self._model.device
        inputs = self._inputs.text(self._tokenized, torch.arange(self.texts)[rows], device=device)
        with self._autocast():
            features: Features = method.text_features(*inputs)
        # Similarities times a scale of up to 100 need more digits than bf16 has.
        return method.prepare_text(features)

    def video(self, rows: slice) -> Features:
        """Return the prepared sets of some videos, on the model's device."""
        batch, method = self._batch, self._model.method
        towers = method.towers
        cached = towers if isinstance(towers, CachedTowers) and towers.in_use else None
        inputs = self._inputs.video(
            torch.from_numpy(batch.pixels[rows]) if cached is None else None,
            torch.from_numpy(batch.mask[rows]),
            # A copy: the times of drawn clips are one row, broadcast and read-only.
            torch.from_numpy(batch.times_seconds[rows].copy()),
            device=self._model.device,
        )
        features: Features
        looked_up = nullcontext() if cached is None else cached.clips(batch.rows[rows])
        with self._autocast(), looked_up:
            features = method.video_features(*inputs)
        return method.prepare_video(features)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._model.device.type, torch.bfloat16, enabled=self._dtype == torch.bfloat16)


def batch_features(model: Model, batch: Batch, dtype: torch.dtype) -> tuple[Features, Features]:
    """Encode and prepare the captions and the videos of a batch, with gradients.

    Args:
        model: see :class:`BatchEncoder`.
        batch: with at least one video.
        dtype: likewise.

    Returns:
        Prepared text sets, a row for each caption in the batch's order, and prepared video sets, a row for
        each video, both on the model's device.
    """
    encoder = BatchEncoder(model, batch, dtype)
    return encoder.text(slice(None)), encoder.video(slice(None))
