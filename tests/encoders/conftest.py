"""A CLIP small enough to build in every test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
import torch
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers

MakeConfig: TypeAlias = Callable[..., CLIPConfig]


def describe(**vision: int) -> CLIPConfig:
    """Describe a CLIP of 8 px patches on 32 px pictures with sizes that all differ."""
    return CLIPConfig(
        projection_dim=24,
        text_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "vocab_size": 560,
            "max_position_embeddings": 12,
            "bos_token_id": 558,
            "eos_token_id": 559,
            "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": 40,
            "intermediate_size": 56,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 8,
            **vision,
        },
    )


@pytest.fixture
def tiny_config() -> MakeConfig:
    """Give the function that describes it; its arguments replace sizes of the vision tower."""
    return describe


@pytest.fixture
def towers() -> ClipTowers:
    torch.manual_seed(0)
    return ClipTowers(describe()).eval()
