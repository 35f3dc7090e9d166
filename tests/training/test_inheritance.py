"""Recipes that share: what wins, what is refused, and in which file a fault stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.training.small import RECIPE, silent

from vidsift.errors import RecipeError
from vidsift.training.recipe import Recipe, read_recipe
from vidsift.training.trainer import Trainer

Values = dict[str, Any]


def write_file(path: Path, **values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a base for the model and a base for the data."""
    model = {key: RECIPE[key] for key in ("steps", "precision", "threads", "model", "validation")}
    write_file(tmp_path / "base" / "model.yaml", **model, optimiser={"learning_rate": 1e-4, "beta1": 0.8})
    write_file(tmp_path / "base" / "data.yaml", data=RECIPE["data"], optimiser={"beta1": 0.7})
    return tmp_path


BASES = ["base/model.yaml", "base/data.yaml"]


def test_sections_are_merged_and_the_later_file_wins(home: Path) -> None:
    recipe = read_recipe(
        write_file(
            home / "a.yaml",
            extends=BASES,
            name="a",
            data={"batch_size": 16},
            stages=[{"name": "only"}],
        ),
        ["optimiser.beta2=0.9"],
    )
    assert recipe.data.batch_size == 16
    assert recipe.data.workers == 0
    rates = recipe.optimiser
    assert (rates.learning_rate, rates.beta1, rates.beta2) == (1e-4, 0.7, 0.9)
    swapped = write_file(home / "b.yaml", extends=BASES[::-1], name="b")
    assert read_recipe(swapped).optimiser.beta1 == 0.8


def test_lists_are_replaced_and_null_takes_a_section_out(home: Path) -> None:
    write_file(
        home / "base" / "long.yaml", stages=[{"name": "one"}, {"name": "two"}], validation={"videos": 8}
    )
    bases = [*BASES, "base/long.yaml"]
    recipe = read_recipe(write_file(home / "a.yaml", extends=bases, name="a", stages=[{"name": "three"}]))
    assert [stage.name for stage in recipe.stages] == ["three"]
    assert recipe.validation is not None
    assert recipe.validation.videos == 8
    assert (
        read_recipe(write_file(home / "b.yaml", extends=bases, name="b", validation=None)).validation is None
    )


def test_one_file_may_be_extended_without_a_list(home: Path) -> None:
    recipe = read_recipe(
        write_file(home / "a.yaml", extends="base/model.yaml", name="a", data=RECIPE["data"])
    )
    assert recipe.optimiser.beta1 == 0.8


def variants_of(home: Path) -> Path:
    write_file(
        home / "base" / "wide.yaml",
        variants={"wide": {"model": {"new": {"dim": 32}}, "data": {"batch_size": 8}}, "short": {"steps": 1}},
    )
    return write_file(
        home / "a.yaml",
        extends=[*BASES, "base/wide.yaml"],
        name="a",
        data={"batch_size": 16},
        variants={"wide": {"data": {"batch_size": 4}}, "named": {"name": "another"}},
    )


def test_a_variant_is_chosen_and_gets_a_name(home: Path) -> None:
    path = variants_of(home)
    assert read_recipe(path).data.batch_size == 16
    wide = read_recipe(path, ["seed=3"], variant="wide")
    assert wide.model.new is not None
    # From a base, and what the recipe changes of it.
    assert (wide.model.new.dim, wide.model.new.image_px) == (32, 16)
    assert (wide.data.batch_size, wide.name, wide.seed) == (4, "a-wide", 3)
    assert read_recipe(path, variant="short").steps == 1
    assert read_recipe(path, variant="named").name == "another"


def test_an_unknown_variant_names_the_known(home: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"a.yaml has no variant 'wid' \(did you mean 'wide'\?\).*: 'short', 'wide'"
    ):
        read_recipe(variants_of(home), variant="wid")
    plain = write_file(home / "b.yaml", extends=BASES, name="b")
    with pytest.raises(RecipeError, match="has no variant 'b16'; known variants: it has none"):
        read_recipe(plain, variant="b16")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"extends": "base/none.yaml"}, r"a.yaml extends base/none.yaml, and there is no file .*none.yaml"),
        ({"extends": 3}, "a.yaml: extends is 3, expected a file or a list of files"),
        ({"extends": [""]}, "extends is"),
        ({"variants": ["b16"]}, r"a.yaml: variants is \['b16'\], expected names"),
        ({"variants": {"b16": 4}}, r"a.yaml: variants.b16 is 4, expected the keys"),
        ({"variants": {"b16": {"extends": "x"}}}, r"variants.b16.extends: a variant changes keys"),
    ],
)
def test_what_cannot_be_shared_is_named(tmp_path: Path, values: Values, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        read_recipe(write_file(tmp_path / "a.yaml", **RECIPE | values))


def test_a_base_that_extends_is_refused(home: Path) -> None:
    write_file(home / "middle.yaml", extends=BASES, name="middle")
    with pytest.raises(
        RecipeError, match=r"middle.yaml, which .*a.yaml extends, has extends itself.*one level"
    ):
        read_recipe(write_file(home / "a.yaml", extends="middle.yaml", name="a"))


def test_a_fault_names_the_file_in_which_it_stands(home: Path) -> None:
    write_file(home / "base" / "bad.yaml", optimiser={"learning_rat": 1}, data={"batch_size": 6}, seed=-1)
    path = write_file(home / "a.yaml", extends=[*BASES, "base/bad.yaml"], name="a", log_every_steps=0)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    message = str(caught.value)
    bad, above = (part for part in message.split(str(home)) if part)
    if "a.yaml" in bad:
        bad, above = above, bad
    assert bad.startswith(str(Path("/base/bad.yaml")))
    assert all(
        words in bad for words in ("unknown key optimiser.learning_rat", "batch_size is 6", "seed is -1")
    )
    assert "log_every_steps is 0" in above
    # What no file says is missing in the recipe itself, and an override is nobody else's fault.
    nameless = write_file(home / "b.yaml", extends=BASES)
    with pytest.raises(RecipeError, match=r"b.yaml: name is missing$"):
        read_recipe(nameless)
    with pytest.raises(RecipeError, match=r"b.yaml: seed is -2"):
        read_recipe(nameless, ["name=b", "seed=-2"])


def test_files_are_named_without_detours(home: Path) -> None:
    write_file(home / "base" / "bad.yaml", seed=-1)
    bases = ["../base/model.yaml", "../base/data.yaml", "../base/bad.yaml"]
    path = write_file(home / "set" / "a.yaml", extends=bases, name="a")
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(f"{home / 'base' / 'bad.yaml'}: seed is -1")


def test_a_fault_of_a_section_names_all_files_that_make_it_up(home: Path) -> None:
    path = write_file(home / "a.yaml", extends=BASES, name="a", model={"start": "elsewhere"})
    with pytest.raises(RecipeError, match=r"model.yaml and .*a.yaml: model: give either start .* or new"):
        read_recipe(path)


def test_a_fault_of_a_variant_names_its_file(home: Path) -> None:
    path = variants_of(home)
    write_file(home / "base" / "wide.yaml", variants={"wide": {"optimiser": {"learning_rate": -1}}})
    read_recipe(path)
    with pytest.raises(RecipeError, match=r"base.wide.yaml: optimiser.learning_rate is -1"):
        read_recipe(path, variant="wide")


def test_extend_without_an_s_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown key extend \(did you mean 'extends'\?\).*variants"):
        read_recipe(write_file(tmp_path / "a.yaml", **RECIPE, extend="b.yaml"))


def test_a_run_writes_one_whole_page_and_goes_on_by_it(home: Path) -> None:
    path = variants_of(home)
    changes = ["steps=2", "data.batch_size=8"]
    run = home / "run"
    Trainer(read_recipe(path, changes, variant="wide"), run, device="cpu", say=silent).run()
    written = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    assert not {"extends", "variants"} & written.keys()
    assert written.keys() == Recipe.model_fields.keys()
    assert (written["name"], written["model"]["new"]["dim"]) == ("a-wide", 32)
    # The same from other files is the same run; what differs is said by its key.
    flat = write_file(home / "elsewhere" / "flat.yaml", **written)
    Trainer(read_recipe(flat), run, device="cpu", say=silent).run()
    with pytest.raises(RecipeError, match=r"another run \(different: model.new.dim, name\)"):
        Trainer(read_recipe(path, changes), run, device="cpu", say=silent)
