"""Tiny models with random weights, built in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import Tokenizer, train_tokenizer
from vidsift.methods.model import Model
from vidsift.types import TokenSet

SIZE_PX = 16
MAX_WORDS = 16
FRAMES = 5
CAPTIONS = (
    "a red circle moves left",
    "a large blue square grows while a small green star spins in the middle",
    "circle",
    "two triangles",
    "a yellow ring blinks",
)


@cache
def tokenizer() -> Tokenizer:
    return train_tokenizer(CAPTIONS, 580)


def towers(
    seed: int = 0, *, dim: int = 16, text_width: int = 16, text_heads: int = 2, mlp_ratio: float = 4.0
) -> ClipTowers:
    words = tokenizer()
    config = CLIPConfig(
        projection_dim=dim,
        text_config={
            "vocab_size": words.vocabulary_size,
            "hidden_size": text_width,
            "intermediate_size": round(mlp_ratio * text_width),
            "num_hidden_layers": 1,
            "num_attention_heads": text_heads,
            "max_position_embeddings": MAX_WORDS,
            "bos_token_id": words.start_id,
            "eos_token_id": words.end_id,
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIZE_PX,
            "patch_size": 4,
        },
    )
    torch.manual_seed(seed)
    return ClipTowers(config)


def model(method: str = "drl", arguments: Mapping[str, Any] | None = None, seed: int = 0) -> Model:
    built = Model.create(
        method, towers(seed), tokenizer(), PixelNorm(SIZE_PX), arguments=arguments, frames=FRAMES
    )
    torch.manual_seed(seed + 1)
    with torch.no_grad():
        # Fresh weights are too small for tokens to differ much.
        for value in built.method.parameters():
            if value.ndim > 1:
                value.add_(torch.randn_like(value) * 0.2)
    built.method.eval()
    return built


def videos(counts: Sequence[int], seed: int = 0) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.float64]]]:
    """Random pictures of videos with so many frames each, and their times."""
    rng = np.random.default_rng(seed)
    pixels = [rng.integers(0, 256, (count, SIZE_PX, SIZE_PX, 3), dtype=np.uint8) for count in counts]
    return pixels, [0.5 + np.arange(count, dtype=np.float64) for count in counts]


def token_set(counts: Sequence[int], width: int, dim: int = 8, seed: int = 0) -> TokenSet:
    """Random tokens, so many real ones in each row of ``width``; what is padded is random too."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(len(counts), width, dim, generator=generator)
    mask = torch.arange(width) < torch.tensor(counts)[:, None]
    return TokenSet(tokens, mask)
