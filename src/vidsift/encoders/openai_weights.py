"""OpenAI's CLIP files and names: read the archive, infer the architecture, rename every weight."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidsift.errors import WeightsError

__all__ = [
    "PUBLISHED_SHA256",
    "clip_config_from_openai",
    "clip_weights_from_openai",
    "is_torchscript",
    "looks_like_openai",
    "read_torchscript",
]

PUBLISHED_SHA256 = {
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af": "ViT-B/32",
    "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f": "ViT-B/16",
    "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836": "ViT-L/14",
    "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02": "ViT-L/14@336px",
}
"""SHA-256 of the vision-transformer archives that OpenAI published (part of each address in clip/clip.py)."""

_CHANNELS_A_HEAD = 64
# Facts that the archives carry beside their weights; the shapes of the weights say the same.
_FACTS = frozenset({"input_resolution", "context_length", "vocab_size"})
_WHOLE = {
    "logit_scale": "logit_scale",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
# OpenAI multiplies by these from the right.
_TRANSPOSED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")
_BLOCK_PARTS = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def looks_like_openai(weights: Mapping[str, Tensor]) -> bool:
    """Return whether a state dict uses OpenAI's names (a vision transformer's or a ResNet's)."""
    return "token_embedding.weight" in weights and any(key.startswith("visual.") for key in weights)


def is_torchscript(path: str | Path) -> bool:
    """Return whether a file is a TorchScript archive: a zip that holds code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        # Files of torch.save are zips, too.
        return any("/code/" in name for name in archive.namelist())


def read_torchscript(path: str | Path, *, trust: bool = False) -> dict[str, Tensor]:
    """Read the weights of a TorchScript archive, the form in which OpenAI published CLIP.

    Loading such an archive unpickles, so only files known by their SHA-256 are opened.

    Args:
        path: the archive.
        trust: open it although its SHA-256 is not one of the published.

    Raises:
        WeightsError: the file is not one of the published and not trusted.
    """
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest not in PUBLISHED_SHA256 and not trust:
        raise WeightsError(
            f"{path} is a TorchScript archive with SHA-256 {digest}, which is none of OpenAI's published "
            f"({', '.join(PUBLISHED_SHA256.values())}); opening an unknown archive can run code. If the "
            "download was cut short, fetch it again; if you trust its maker, allow it with "
            "trust_torchscript=True"
        )
    archive = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return dict(archive.state_dict())


def clip_config_from_openai(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Infer the architecture from the shapes of OpenAI's weights, as a ``config.json`` of transformers'.

    Heads are one for every 64 channels; everything else is in the shapes.

    Raises:
        WeightsError: it is a ResNet, or weights that fix the architecture are missing or of another rank.

    Source: openai/CLIP clip/model.py ``build_model``.
    """
    if "visual.layer1.0.conv1.weight" in weights:
        raise WeightsError(
            "this CLIP has a ResNet vision tower, which gives no patch tokens; "
            "use a ViT checkpoint, for example ViT-B/32"
        )
    patch = _shape(weights, "visual.conv1.weight", 4)
    positions, vision_width = _shape(weights, "visual.positional_embedding", 2)
    tokens, text_width = _shape(weights, "positional_embedding", 2)
    vocabulary = _shape(weights, "token_embedding.weight", 2)[0]
    side = round((positions - 1) ** 0.5)
    if side * side + 1 != positions:
        raise WeightsError(
            f"visual.positional_embedding has {positions} rows, expected a square number of patches and "
            "one more"
        )
    return {
        "projection_dim": _shape(weights, "text_projection", 2)[1],
        "text_config": {
            **_tower_sizes(weights, "transformer.", text_width),
            "max_position_embeddings": tokens,
            "vocab_size": vocabulary,
            # Start and end of text are the last two entries of CLIP's vocabulary.
            "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1,
            "pad_token_id": 0,
        },
        "vision_config": {
            **_tower_sizes(weights, "visual.transformer.", vision_width),
            "image_size": side * patch[-1],
            "patch_size": patch[-1],
        },
    }


def clip_weights_from_openai(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename OpenAI's weights to those of ``transformers``' ``CLIPModel``.

    The joint query-key-value weights are split in three, the projections transposed.

    Args:
        weights: a state dict with OpenAI's names, without a prefix.

    Returns:
        The renamed weights, and the keys that have no counterpart.
    """
    renamed: dict[str, Tensor] = {}
    unknown: list[str] = []
    for key, value in weights.items():
        block = _BLOCK.fullmatch(key)
        if key in _FACTS:
            continue
        if key in _WHOLE:
            renamed[_WHOLE[key]] = value
        elif key in _TRANSPOSED:
            renamed[_TRANSPOSED[key]] = value.T
        elif block and (parts := _block_weights(block[3], value)):
            tower = "vision_model" if block[1] else "text_model"
            for part, weight in parts.items():
                renamed[f"{tower}.encoder.layers.{block[2]}.{part}"] = weight
        else:
            unknown.append(key)
    return renamed, unknown


def _block_weights(part: str, value: Tensor) -> dict[str, Tensor]:
    """Return one weight of a block under its new names; nothing when it has none."""
    if part in ("attn.in_proj_weight", "attn.in_proj_bias"):
        kind = part.removeprefix("attn.in_proj_")
        return {
            f"self_attn.{name}_proj.{kind}": third for name, third in zip("qkv", value.chunk(3), strict=True)
        }
    stem, _, kind = part.rpartition(".")
    if stem in _BLOCK_PARTS and kind in ("weight", "bias"):
        return {f"{_BLOCK_PARTS[stem]}.{kind}": value}
    return {}


def _tower_sizes(weights: Mapping[str, Tensor], prefix: str, width: int) -> dict[str, int | str | float]:
    numbers = {
        int(key.removeprefix(prefix).split(".")[1])
        for key in weights
        if key.startswith(f"{prefix}resblocks.")
    }
    hidden = _shape(weights, f"{prefix}resblocks.0.mlp.c_fc.weight", 2)[0]
    return {
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": max(numbers) + 1,
        "num_attention_heads": max(1, width // _CHANNELS_A_HEAD),
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    }


def _shape(weights: Mapping[str, Tensor], key: str, rank: int) -> tuple[int, ...]:
    if key not in weights:
        raise WeightsError(
            f"missing {key}, without which the architecture is unknown; is this a whole CLIP file?"
        )
    shape = tuple(weights[key].shape)
    if len(shape) != rank:
        raise WeightsError(f"{key} has shape {shape}, expected {rank} dimensions")
    return shape
