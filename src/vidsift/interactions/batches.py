"""Batches of token sets put together: rows one after the other, padded to the longest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vidsift.types import Features, TokenSet

__all__ = ["concatenate", "concatenate_features", "pad_tokens"]


def pad_tokens(tokens: TokenSet, length: int) -> TokenSet:
    """Return the set with padding appended until every row has ``length`` tokens.

    Padding is zero everywhere and masked.

    Raises:
        ValueError: if the rows are longer than ``length`` already.
    """
    missing = length - tokens.tokens.shape[1]
    if missing < 0:
        raise ValueError(f"pad_tokens: rows hold {tokens.tokens.shape[1]} tokens, expected at most {length}")
    if missing == 0:
        return tokens
    padded: dict[str, Any] = {}
    for name, part in tokens.tensors().items():
        if name == "scale":  # one for a row, so padding tokens adds none
            padded[name] = part
        else:
            # False and 0 alike: new_zeros keeps the type of the part.
            padded[name] = torch.cat([part, part.new_zeros(len(part), missing, *part.shape[2:])], dim=1)
    return TokenSet(**padded)


def concatenate(sets: Sequence[TokenSet], length: int | None = None) -> TokenSet:
    """Put the rows of several sets one after the other.

    Args:
        sets: at least one; all with the same parts and channels, on one device.
        length: tokens in each row of the result; the longest of the sets by default.

    Returns:
        One set; shorter rows are padded.

    Raises:
        ValueError: if there is no set, or if the sets do not have the same parts.
    """
    if not sets:
        raise ValueError("concatenate: no token sets given; give at least one")
    names = set(sets[0].tensors())
    for other in sets[1:]:
        if set(other.tensors()) != names:
            raise ValueError(
                f"concatenate: the sets hold different parts, {sorted(names)} and {sorted(other.tensors())}; "
                "put together only sets that were prepared alike"
            )
    longest = max(token_set.tokens.shape[1] for token_set in sets)
    padded = [pad_tokens(token_set, longest if length is None else length).tensors() for token_set in sets]
    return TokenSet(**{name: torch.cat([tensors[name] for tensors in padded]) for name in names})


def concatenate_features(batches: Sequence[Features]) -> dict[str, TokenSet]:
    """Put batches of named sets together, set by set: see :func:`concatenate`."""
    if not batches:
        raise ValueError("concatenate_features: no batches given; give at least one")
    return {name: concatenate([batch[name] for batch in batches]) for name in batches[0]}
