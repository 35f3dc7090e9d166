"""What is required of a mask before anything computes with it."""

from __future__ import annotations

from torch import Tensor

__all__ = ["longest", "require_prefix", "require_real"]


def require_real(mask_BN: Tensor, noun: str, token: str) -> None:
    """Refuse a batch in which an entry has no real token.

    Args:
        mask_BN: bool ``(B, N)``, True on real tokens.
        noun: what an entry is ("text", "video"), for the message.
        token: what its tokens are ("token", "frame"), for the message.

    Raises:
        ValueError: an entry is masked throughout; the message names its place in the batch.
    """
    empty = (~mask_BN.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"{noun} {empty[0]} of the batch has no real {token} ({len(empty)} such of {len(mask_BN)}); "
            f"leave out every {noun} without a {token} before encoding"
        )


def require_prefix(mask_BN: Tensor, noun: str, token: str) -> None:
    """Refuse a mask in which padding stands before a real token.

    Raises:
        ValueError: with the first entry that has a gap.
    """
    gaps = (mask_BN[:, 1:] & ~mask_BN[:, :-1]).any(dim=1).nonzero().flatten().tolist()
    if gaps:
        raise ValueError(
            f"{noun} {gaps[0]} of the batch has padding before a real {token}; put the real ones first"
        )


def longest(mask_BN: Tensor) -> int:
    """Return the number of real tokens of the longest entry."""
    return int(mask_BN.sum(dim=1).max())
