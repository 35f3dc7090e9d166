"""A batch becomes prepared sets, by the inputs that a text and a video have at inference."""

from __future__ import annotations

import torch

from vidsift.data.loading import Batch
from vidsift.encoders.feature_cache import CachedTowers
from vidsift.methods.model import Model
from vidsift.types import Features

__all__ = ["batch_features"]


def batch_features(model: Model, batch: Batch, dtype: torch.dtype) -> tuple[Features, Features]:
    """Encode and prepare the captions and the videos of a batch, with gradients.

    Args:
        model: in training mode; its towers may have the features of all pictures cached.
        batch: with at least one video.
        dtype: bfloat16 computes the towers and what follows them by autocast.

    Returns:
        Prepared text sets, a row for each caption in the batch's order, and prepared video sets, a row for
        each video, both on the model's device.
    """
    method, inputs, device = model.method, model.inputs, model.device
    text_inputs = inputs.text(inputs.tokenize(batch.captions), device=device)
    towers = method.towers
    video_inputs = inputs.video(
        None if isinstance(towers, CachedTowers) else torch.from_numpy(batch.pixels),
        torch.from_numpy(batch.mask),
        # A copy: the times of drawn clips are one row, broadcast and read-only.
        torch.from_numpy(batch.times_seconds.copy()),
        device=device,
    )
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        text: Features = method.text_features(*text_inputs)
        video: Features
        if isinstance(towers, CachedTowers):
            with towers.clips(batch.rows):
                video = method.video_features(*video_inputs)
        else:
            video = method.video_features(*video_inputs)
    # Similarities times a scale of up to 100 need more digits than bf16 has.
    return method.prepare_text(text), method.prepare_video(video)
