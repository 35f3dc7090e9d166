"""Recipes that say how far the tokens of a text see: from fresh weights, from a start, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.training.small import RECIPE, silent, write

from vidsift.errors import RecipeError
from vidsift.methods.model import load
from vidsift.training.recipe import read_recipe
from vidsift.training.setup import build_model
from vidsift.training.trainer import train


def test_a_run_and_those_that_start_from_it_keep_the_windows(tmp_path: Path) -> None:
    model = RECIPE["model"] | {"text_windows": [1]}
    train(write(tmp_path, model=model, steps=2), output=tmp_path / "run", say=silent)
    assert load(tmp_path / "run").method.towers.text_windows == (1,)
    for changes, windows in (({}, (1,)), ({"text_windows": [None]}, (None,))):
        # Go on with the run's own method, and with its towers below another.
        for method in ({}, {"method": "clip4clip"}):
            recipe = write(tmp_path, model={"start": str(tmp_path / "run")} | method | changes)
            assert build_model(read_recipe(recipe)).method.towers.text_windows == windows
    assert build_model(read_recipe(write(tmp_path))).method.towers.text_windows is None


def test_windows_that_do_not_fit_the_tower_are_refused(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, model=RECIPE["model"] | {"text_windows": [1, 2]}))
    with pytest.raises(ValueError, match="expected a list of 1 windows, one a block"):
        build_model(recipe)
    with pytest.raises(RecipeError, match="text_windows"):
        read_recipe(write(tmp_path, model=RECIPE["model"] | {"text_windows": [-1]}))
