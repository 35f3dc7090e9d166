"""Find, load and convert CLIP checkpoints: folders, hub names, OpenAI's files, plain state dicts."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vidsift.encoders.clip import AttentionKind, ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import Tokenizer

__all__ = ["LoadedClip", "WeightsError", "load_clip"]


class WeightsError(ValueError):
    """A checkpoint cannot be found, is refused, or does not fit."""


class LoadedClip(NamedTuple):
    """What a CLIP checkpoint gives; unpacks as ``towers, tokenizer, norm``."""

    towers: ClipTowers
    tokenizer: Tokenizer
    norm: PixelNorm


def load_clip(
    name_or_folder: str | Path,
    *,
    attention: AttentionKind = "sdpa",
    vocabulary: str | Path | None = None,
    trust_torchscript: bool = False,
) -> LoadedClip:
    """Load a CLIP from a folder, a hub name, or a file of OpenAI's form."""
    raise NotImplementedError
