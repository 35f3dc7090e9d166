"""Runs and models that were saved before an argument existed go on as they were."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.methods import tiny
from tests.training import small

from vidsift.errors import RecipeError
from vidsift.methods.catalog import SAVED_WITHOUT, resolve_arguments
from vidsift.methods.drl import Drl
from vidsift.methods.model import load
from vidsift.training.arguments import as_it_ran, as_saved, with_all_arguments
from vidsift.training.grid import GridJob
from vidsift.training.grid_digest import digest_of
from vidsift.training.recipe import Recipe, read_recipe
from vidsift.training.trainer import StoppedEarly, Trainer

ARGUMENTS = {"interaction": "wti", "temporal": "none"}


def recipe_with(folder: Path, **arguments: Any) -> Path:
    return small.write(folder, model=small.RECIPE["model"] | {"arguments": ARGUMENTS | arguments})


def opened(recipe: Recipe, output: Path, *, resume: bool | None = None) -> Trainer:
    trainer = Trainer(recipe, output, device="cpu", resume=resume, say=small.silent)
    trainer._folder.close()
    return trainer


def begin(recipe: Path, output: Path) -> Trainer:
    trainer = Trainer(read_recipe(recipe), output, device="cpu", say=small.silent, should_stop=lambda: True)
    with suppress(StoppedEarly):
        trainer.run()
    return trainer


def forget(run: Path) -> None:
    """Write the recipe beside a run as an earlier version did: with the given arguments alone."""
    values = yaml.safe_load((run / "recipe.yaml").read_text("utf-8"))
    values["model"]["arguments"] = ARGUMENTS
    (run / "recipe.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def drl_of(trainer: Trainer) -> Drl:
    assert isinstance(trainer.method, Drl)
    return trainer.method


def test_a_run_records_every_argument_and_goes_on_with_them(tmp_path: Path) -> None:
    recipe = recipe_with(tmp_path)
    assert drl_of(begin(recipe, tmp_path / "run")).cdcr_orientation == "paper"
    recorded = read_recipe(tmp_path / "run" / "recipe.yaml").model.arguments
    assert recorded == resolve_arguments("drl", ARGUMENTS)
    again = opened(read_recipe(recipe), tmp_path / "run")
    assert (again.step, drl_of(again).cdcr_orientation) == (1, "paper")
    changed = read_recipe(recipe_with(tmp_path, cdcr_orientation="released"))
    with pytest.raises(RecipeError, match=r"different: model\.arguments\.cdcr_orientation"):
        opened(changed, tmp_path / "run")


def test_an_earlier_run_goes_on_as_it_ran(tmp_path: Path) -> None:
    recipe = recipe_with(tmp_path)
    begin(recipe, tmp_path / "run")
    forget(tmp_path / "run")
    method = drl_of(opened(read_recipe(recipe), tmp_path / "run"))
    assert (method.cdcr_orientation, method.cdcr_deviation) == ("released", "plain")
    said = read_recipe(recipe_with(tmp_path, cdcr_orientation="released"))
    assert drl_of(opened(said, tmp_path / "run")).cdcr_deviation == "plain"
    other = read_recipe(recipe_with(tmp_path, cdcr_orientation="paper"))
    with pytest.raises(RecipeError, match=r"different: model\.arguments\.cdcr_orientation"):
        opened(other, tmp_path / "run")
    # A grid says all arguments: it begins such a run anew.
    whole = with_all_arguments(read_recipe(recipe))
    with pytest.raises(RecipeError, match=r"different: model\.arguments\.cdcr_deviation"):
        opened(whole, tmp_path / "run")
    # Started anew it is a fresh run of a fresh recipe.
    fresh = opened(read_recipe(recipe), tmp_path / "run", resume=False)
    assert drl_of(fresh).cdcr_orientation == "paper"


def test_a_model_saved_earlier_is_what_it_was(tmp_path: Path) -> None:
    model = tiny.model()
    model.save(tmp_path / "now")
    config = json.loads((tmp_path / "now" / "config.json").read_text("utf-8"))
    assert config["arguments"]["cdcr_orientation"] == "paper"
    assert load(tmp_path / "now", device="cpu").method.cdcr_orientation == "paper"
    for name in SAVED_WITHOUT["drl"]:
        del config["arguments"][name]
    (tmp_path / "now" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    earlier = load(tmp_path / "now", device="cpu")
    earlier.save(tmp_path / "again")
    for instance in (earlier, load(tmp_path / "again", device="cpu")):
        assert isinstance(instance.method, Drl)
        assert (instance.method.cdcr_orientation, instance.method.cdcr_deviation) == ("released", "plain")
        assert instance.fingerprint == earlier.fingerprint == instance.compute_fingerprint()


@pytest.mark.parametrize("method", SAVED_WITHOUT)
def test_what_came_later_is_an_argument_whose_default_changed(method: str) -> None:
    defaults = resolve_arguments(method)
    for name, before in SAVED_WITHOUT[method].items():
        assert defaults[name] != before


def test_a_finished_run_of_a_grid_is_known_by_its_changed_defaults(tmp_path: Path) -> None:
    now = {"cdcr_orientation": "paper", "cdcr_deviation": "weighted"}
    silent, said, released = (
        digest_of(GridJob("one", "wti", read_recipe(recipe_with(tmp_path, **arguments)), 8))
        for arguments in ({}, now, SAVED_WITHOUT["drl"])
    )
    assert silent == said != released


def test_a_run_that_goes_on_with_its_start_s_method_has_no_arguments(tmp_path: Path) -> None:
    values = {"start": "somewhere", "method": None}
    recipe = read_recipe(small.write(tmp_path, model=values))
    assert as_saved(recipe) == as_it_ran(recipe, recipe) == recipe
