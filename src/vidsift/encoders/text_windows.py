"""Which tokens of a text see each other: CLIP's causal order, or windows to both sides.

In CLIP's order the last word, and the end of text, have seen everything, and training puts all meaning
there. A token that sees its neighbours alone can only say what they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["read_windows", "set_windows", "text_masks"]

_KEY = "attention_windows"
"""Where the config of a text tower says it; ``transformers`` keeps the key and does not know it."""


def read_windows(text_config: Any) -> tuple[int | None, ...] | None:
    """Return how far to either side the tokens see in each block of a text tower.

    Args:
        text_config: of the tower.

    Returns:
        For each block a number of tokens, or None for the whole text; None for CLIP's causal order.

    Raises:
        ValueError: the config does not name one window, a whole number or null, for each block.
    """
    windows = getattr(text_config, _KEY, None)
    if windows is None:
        return None
    blocks = text_config.num_hidden_layers
    whole = isinstance(windows, Sequence) and all(
        # True is an int to Python.
        window is None or (isinstance(window, int) and not isinstance(window, bool) and window >= 0)
        for window in windows
    )
    if not whole or len(windows) != blocks:
        raise ValueError(
            f"{_KEY} of the text tower is {windows!r}, expected a list of {blocks} windows, one a block: "
            "tokens seen to either side (0 or more), or null for the whole text"
        )
    return tuple(windows)


def set_windows(text_config: Any, windows: Sequence[int | None]) -> None:
    """Let the tokens of a text tower see so far from now on, in every folder that it is saved in too.

    Args:
        text_config: of the tower.
        windows: see :func:`read_windows`.

    Raises:
        ValueError: they are not one window for each block.
    """
    before = getattr(text_config, _KEY, None)
    setattr(text_config, _KEY, list(windows))
    try:
        read_windows(text_config)
    except ValueError:
        setattr(text_config, _KEY, before)
        raise


def text_masks(text_config: Any, together_BTT: Tensor) -> list[Tensor]:
    """Say for each block which token (row) may attend to which (column), ``(B, T, T)`` bool.

    Args:
        text_config: of the text tower, see :func:`read_windows`.
        together_BTT: bool, True where both tokens are real and of one text.

    Returns:
        Tokens of one text that come before, or that are near enough. Each token sees itself, padding too: a
        row that sees nothing has no softmax.
    """
    windows = read_windows(text_config)
    place_T = torch.arange(together_BTT.shape[-1], device=together_BTT.device)
    distance_TT = place_T[:, None] - place_T[None, :]
    itself_TT = distance_TT == 0
    if windows is None:
        return [(together_BTT & (distance_TT >= 0)) | itself_TT] * text_config.num_hidden_layers
    masks = {
        window: (together_BTT if window is None else together_BTT & (distance_TT.abs() <= window)) | itself_TT
        for window in set(windows)
    }
    return [masks[window] for window in windows]
