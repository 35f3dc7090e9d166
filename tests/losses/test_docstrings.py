"""What a loss is for stands in its docstring, with an example (pytest runs those of all modules)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vidsift.losses.contrastive import info_nce
from vidsift.losses.decorrelation import channel_correlation, decorrelation
from vidsift.losses.sigmoid import sigmoid_loss


@pytest.mark.parametrize("loss", [info_nce, decorrelation, channel_correlation, sigmoid_loss])
def test_a_loss_says_when_to_use_it_and_shows_how(loss: Callable[..., Any]) -> None:
    assert loss.__doc__ is not None
    for part in ("Use it", "needs", "gives up", "Example:", ">>>", "Raises:", "Source:"):
        assert part in loss.__doc__
