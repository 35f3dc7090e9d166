"""Made-up sentences and videos: random sets of tokens in the shapes that a method encodes."""

from __future__ import annotations

import torch
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers
from vidsift.methods.base import Method
from vidsift.types import Features, TokenSet

FRAMES, WORDS, DIM = 12, 32, 512


def towers_of(*, thin: bool) -> ClipTowers:
    """A CLIP of ViT-B/32's tokens and blocks; ``thin`` has them in narrow towers, which are not timed."""
    narrow = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2} if thin else {}
    return ClipTowers(CLIPConfig(projection_dim=DIM, text_config=dict(narrow), vision_config=dict(narrow)))


def questions(method: Method, count: int, device: str) -> dict[str, TokenSet]:
    """Texts of all words, as encoded."""
    ids = torch.randint(1, 1000, (count, WORDS), device=device)
    return dict(method.text_features(ids, torch.ones_like(ids, dtype=torch.bool)))


def footage(method: Method, count: int, device: str) -> dict[str, TokenSet]:
    """Videos of all frames, as encoded."""
    side = method.towers.image_size_px
    pixels = torch.randn(count, FRAMES, 3, side, side, device=device)
    mask = torch.ones(count, FRAMES, dtype=torch.bool, device=device)
    times = torch.arange(FRAMES, dtype=torch.float64, device=device).repeat(count, 1)
    return dict(method.video_features(pixels, mask, times))


def like(first: Features, rows: int) -> dict[str, TokenSet]:
    """As many rows shaped like the first of these sets, with random tokens."""
    made = {}
    for name, token_set in first.items():
        several = token_set[torch.zeros(rows, dtype=torch.int64, device=token_set.tokens.device)]
        made[name] = several.replace(tokens=torch.randn_like(several.tokens))
    return made
