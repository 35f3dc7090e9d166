"""What an interaction is for stands in its docstring, with an example (pytest runs those of all modules)."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from vidsift import interactions
from vidsift.interactions.base import Interaction, UnitTokens

MODULES = [name for _, name, _ in pkgutil.iter_modules(interactions.__path__) if name != "fused_match"]
INTERACTIONS = sorted(
    {
        value
        for name in MODULES
        for value in vars(importlib.import_module(f"vidsift.interactions.{name}")).values()
        if isinstance(value, type) and issubclass(value, Interaction)
    }
    - {Interaction, UnitTokens},
    key=lambda kind: kind.__name__,
)


def test_all_interactions_are_looked_at() -> None:
    assert {"MeanDot", "WeightedTokenWise", "CrossTransformer"} <= {kind.__name__ for kind in INTERACTIONS}


@pytest.mark.parametrize("interaction", INTERACTIONS)
def test_an_interaction_says_when_to_use_it_and_shows_how(interaction: type[Interaction]) -> None:
    assert interaction.__doc__ is not None
    text = " ".join(interaction.__doc__.split())
    for part in ("Use it", "It needs", "gives up", "Source:", "Example:", ">>>"):
        assert part in text
