"""Several named tensors for each token, side by side in its channels: the keys and values of an attention."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vidsift.types import TokenSet

__all__ = ["ChannelParts"]


class ChannelParts:
    """Joins named parts of every token into one wider token, and takes them apart again.

    A prepared side is one :class:`~vidsift.types.TokenSet`. Where an interaction has to store more than one
    vector for each token, the vectors stand side by side in its channels: mask, weights, times and places
    hold for all of them alike. Index, scan formats, batching and the methods of ``TokenSet`` see a wider
    token and nothing else, so a folder that holds such sets has the format of any other.

    What it gives up: the parts have the same tokens and one number type, and in int8 one scale a row, so
    that small values lose digits beside large ones. An interaction that reads parts therefore leaves
    ``scans_int8`` False. What differs in the number of tokens belongs into token sets of its own.

    Args:
        widths: channels of each part, in the order in which they are laid.

    Raises:
        ValueError: if a part has no channel.

    Example:
        >>> parts = ChannelParts(key=2, value=3)
        >>> frames = TokenSet(torch.zeros(1, 4, 8), torch.ones(1, 4, dtype=torch.bool))
        >>> stored = parts.join(frames, key=torch.ones(1, 4, 2), value=torch.zeros(1, 4, 3))
        >>> tuple(stored.tokens.shape), tuple(parts.split(stored)["value"].shape)
        ((1, 4, 5), (1, 4, 3))
    """

    def __init__(self, **widths: int) -> None:
        """See the class."""
        if not widths or min(widths.values()) < 1:
            raise ValueError(f"channel parts {widths}: name at least one, each of at least 1 channel")
        self.widths: Mapping[str, int] = widths

    def join(self, tokens: TokenSet, **parts: Tensor) -> TokenSet:
        """Return the set with these parts in the place of its tokens, zeros where masked.

        Args:
            tokens: gives everything but the tokens.
            parts: all of them, ``(B, N, width)``.

        Raises:
            ValueError: if names or shapes are others.
        """
        shapes = {name: tuple(part.shape) for name, part in parts.items()}
        expected = {name: (*tokens.mask.shape, width) for name, width in self.widths.items()}
        if shapes != expected:
            raise ValueError(f"channel parts have shapes {shapes}, expected {expected}")
        # In the order of the widths: keyword arguments may come in any.
        joined_BNE = torch.cat([parts[name] for name in self.widths], dim=2)
        return tokens.replace(tokens=joined_BNE.masked_fill(~tokens.mask.unsqueeze(2), 0))

    def split(self, tokens: TokenSet) -> dict[str, Tensor]:
        """Return the parts as views, ``{name: (B, N, width)}``.

        Raises:
            ValueError: if the tokens are not as wide as the parts together.
        """
        if tokens.tokens.shape[2] != sum(self.widths.values()):
            raise ValueError(
                f"tokens of {tokens.tokens.shape[2]} channels do not hold the parts {dict(self.widths)}; "
                "pass the set through prepare_text or prepare_video"
            )
        views = torch.split(tokens.tokens, list(self.widths.values()), dim=2)
        return dict(zip(self.widths, views, strict=True))
