"""Pictures become the numbers a tower was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["OPENAI_MEAN", "OPENAI_STD", "PixelNorm"]

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Mean of each colour that OpenAI's CLIP was trained with (openai/CLIP clip/clip.py ``_transform``)."""
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
"""Standard deviation of each colour, same source."""


@dataclass(frozen=True)
class PixelNorm:
    """How a checkpoint wants its pictures: side length and normalisation of each colour.

    Attributes:
        size_px: side of the square picture that the vision tower takes.
        mean: mean of each colour (red, green, blue) on the scale 0 to 1.
        std: standard deviation of each colour on the same scale.
    """

    size_px: int
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD

    def __post_init__(self) -> None:
        """Refuse colours from which no finite number comes."""
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise ValueError(
                f"mean {self.mean} and std {self.std} of the colours: expected finite numbers and std above "
                "0; copy the settings of the checkpoint again"
            )

    def __call__(self, pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return normalised pictures for the vision tower.

        Args:
            pixels: uint8 RGB, already resized and cropped, ``(..., size_px, size_px, 3)``.
            dtype: type of the result.

        Returns:
            ``(..., 3, size_px, size_px)``, on the device of ``pixels``.

        Raises:
            ValueError: the pictures are not uint8 or not of this size.
        """
        expected = (self.size_px, self.size_px, 3)
        if pixels.dtype != torch.uint8 or tuple(pixels.shape[-3:]) != expected:
            raise ValueError(
                f"pictures are {pixels.dtype} of shape {tuple(pixels.shape)}, expected torch.uint8 ending in "
                f"{expected}; resize and crop them with vidsift.video.transforms first"
            )
        # (p / 255 - mean) / std with one division a pixel.
        scale = torch.tensor(self.std, device=pixels.device) * 255.0
        shift = torch.tensor(self.mean, device=pixels.device) * 255.0
        return ((pixels.float() - shift) / scale).movedim(-1, -3).contiguous().to(dtype)
