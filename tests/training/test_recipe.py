"""Recipes: what is refused and in which words, and that writing one loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.training.small import write

from vidsift.errors import RecipeError
from vidsift.training.recipe import read_recipe, write_recipe

RECIPES = [
    path
    for path in sorted((Path(__file__).parents[2] / "recipes" / "shapes").glob("*.yaml"))
    if path.stem not in {"methods", "sweeps"}  # grids of recipes
]


def test_overrides_change_what_they_name(tmp_path: Path) -> None:
    recipe = read_recipe(
        write(tmp_path, stages=[{"name": "one"}, {"name": "two"}]),
        [
            "optimiser.learning_rate=1e-4",
            "stages.1.share=0.25",
            "validation.videos=4",
            "model.arguments.cdcr=single",
        ],
    )
    assert recipe.optimiser.learning_rate == 1e-4
    assert recipe.stages[1].share == 0.25
    assert recipe.validation is not None
    assert recipe.validation.videos == 4
    assert recipe.model.arguments["cdcr"] == "single"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "optimiser.learning_rat=1",
            r"unknown key optimiser.learning_rat \(did you mean 'learning_rate'\?\)",
        ),
        (
            "data.batchsize=8",
            r"unknown key data.batchsize \(did you mean 'batch_size'\?\); known here: source",
        ),
        ("model.new.width=8", r"unknown key model.new.width.*vision_width"),
        ("step=8", r"unknown key step \(did you mean 'steps'\?\)"),
        ("steps=many", "steps is 'many': Input should be a valid integer"),
        ("steps=-2", "steps is -2: Input should be greater than or equal to 0"),
        ("epochs=0", "epochs is 0: Input should be greater than 0"),
        ("data.batch_size=6", "data.batch_size is 6: .*multiple of 4"),
        ("data.source=disk", "data: .*'disk'.*'shapes-stream', 'shapes2-stream', 'folder'"),
        (
            "data.source=null",
            "data: source is missing; expected one of 'shapes-stream', 'shapes2-stream', 'folder'",
        ),
        ("data=folder", "data is 'folder': Input should be a valid dictionary"),
        (
            "stages=[{name: one, groupd: false}]",
            r"unknown key stages.0.groupd \(did you mean 'grouped'\?\); known here: name",
        ),
        ("stages=[{nam: one}]", r"stages.0.name is missing; unknown key stages.0.nam"),
        ("optimiser.learning_rate=.nan", "optimiser.learning_rate is nan: "),
        ("optimiser.epsilon=.inf", "optimiser.epsilon is inf: "),
        ("model.new.temperature=.inf", "model.new.temperature is inf: "),
        ("stages=[{name: one, share: .inf}]", "stages.0.share is inf: "),
        ("precision=fp16", "precision is 'fp16': .*'bf16'"),
        ("model.start=somewhere", "model: give either start .* or new"),
        ("model.new.head_width=5", "vision_width 16 is no multiple of head_width 5"),
        ("model.new.mlp_ratio=0.01", "mlp_ratio 0.01 leaves vision_width 16 no hidden channel"),
        ("steps", "expected key=value"),
        ("stages.0.share=1", "'0' names nothing there"),
        ("name.first=x", "it is the value 'small'"),
        ("name={", "no YAML"),
    ],
)
def test_what_cannot_be_followed_is_named(tmp_path: Path, override: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        read_recipe(write(tmp_path, stages=[]), [override])
    assert "\n" not in str(caught.value).replace('in "<unicode string>"', "") or "YAML" in words


def test_how_training_jitters_is_a_key_of_its_own(tmp_path: Path) -> None:
    folder = {"source": "folder", "path": "videos"}
    for given, jitter in (({}, None), ({"jitter": 0.25}, 0.25), ({"cache": "c", "jitter": 0.0}, 0.0)):
        data = read_recipe(write(tmp_path, data=folder | given)).data
        assert data.model_dump()["jitter"] == jitter
    with pytest.raises(RecipeError, match="a cache keeps the pictures of fixed seconds: leave jitter out"):
        read_recipe(write(tmp_path, data=folder | {"cache": "c", "jitter": 0.5}))
    with pytest.raises(RecipeError, match=r"data\.jitter is 2\.0"):
        read_recipe(write(tmp_path, data=folder | {"jitter": 2.0}))


def test_a_stage_has_the_options_of_its_source(tmp_path: Path) -> None:
    stages = [{"name": "one", "grouped": False, "tags": ["motion"]}]
    (drawn,) = read_recipe(write(tmp_path, stages=stages)).stages
    assert drawn.model_dump()["tags"] == ("motion",)
    folder = {"source": "folder", "path": "videos"}
    # Version 0.1 wrote them for every source, and used them for Shapes alone.
    (stage,) = read_recipe(write(tmp_path, stages=stages, data=folder)).stages
    assert "grouped" not in stage.model_dump()
    data_set = {"source": "msrvtt", "videos": "videos", "annotations": "annotations"}
    with pytest.raises(RecipeError, match=r"unknown key stages.0.grouped; known here: name, share"):
        read_recipe(write(tmp_path, stages=stages, data=data_set, validation=None))


def test_where_the_source_is_unknown_no_stage_is_blamed(tmp_path: Path) -> None:
    stages = [{"name": "one", "grouped": False}]
    with pytest.raises(
        RecipeError, match=r"small.yaml: data: source 'disk' is unknown; expected .*$"
    ) as caught:
        read_recipe(write(tmp_path, stages=stages, data={"source": "disk"}))
    assert "stages" not in str(caught.value)
    path = write(tmp_path, stages=stages)
    path.write_text(path.read_text("utf-8").replace("data:", "date:"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"data is missing; unknown key date \(did you mean 'data'\?\)"):
        read_recipe(path)


def test_several_faults_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"steps is -1.*unknown key sed"):
        read_recipe(write(tmp_path), ["steps=-1", "sed=1"])


@pytest.mark.parametrize("split", ["test", "Test"])
def test_selection_on_test_is_refused(tmp_path: Path, split: str) -> None:
    with pytest.raises(RecipeError, match="not chosen by their score on test; use a validation split"):
        read_recipe(write(tmp_path, validation={"split": split}))


def test_a_split_that_shapes_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"validation.split is 'val_1': Shapes has val and train"):
        read_recipe(write(tmp_path, validation={"split": "val_1"}))
    # Of folders each says for itself what it has; a name is no reason.
    for split in ("val_1", "latest", "contest"):
        read_recipe(write(tmp_path, validation={"split": split, "path": "elsewhere"}))


def test_how_a_model_is_judged_is_checked_and_changes_no_run(tmp_path: Path) -> None:
    judged = read_recipe(
        write(tmp_path, evaluation={"split": "test", "video_to_text": "caption_groups"})
    ).evaluation
    assert (judged.split, judged.video_to_text) == ("test", "caption_groups")
    with pytest.raises(RecipeError, match=r"evaluation.split is 'val': the test splits of Shapes are test"):
        read_recipe(write(tmp_path, evaluation={"split": "val"}))
    with pytest.raises(RecipeError, match=r"evaluation.video_to_text is 'groups': .*'caption_groups'"):
        read_recipe(write(tmp_path, evaluation={"video_to_text": "groups"}))
    folder = {"source": "folder", "path": "videos"}
    elsewhere = read_recipe(write(tmp_path, data=folder, evaluation={"split": "mine"}))
    assert elsewhere.evaluation.split == "mine"


def test_what_a_missing_video_counts_is_one_of_three(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"validation.missing is 'drop': .*'refuse', 'miss' or 'skip'"):
        read_recipe(write(tmp_path, validation={"missing": "drop"}))


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no recipe"):
        read_recipe(tmp_path / "absent.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1", encoding="utf-8")
    with pytest.raises(RecipeError, match="is no YAML"):
        read_recipe(bad)
    bad.write_text("- 1", encoding="utf-8")
    with pytest.raises(RecipeError, match="holds list"):
        read_recipe(bad)


def test_a_recipe_is_frozen_and_survives_writing(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, stages=[{"name": "one", "trained": ["towers"]}]))
    with pytest.raises(ValueError, match="frozen"):
        recipe.steps = 3
    write_recipe(recipe, tmp_path / "again.yaml")
    assert read_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("text", "number"), [("1e-3", 0.001), ("-2.E4", -20000.0), (".5e+1", 5.0), ("1e", "1e"), ("e5", "e5")]
)
def test_powers_of_ten_are_numbers_in_recipes_too(tmp_path: Path, text: str, number: float | str) -> None:
    path = write(tmp_path)
    value = read_recipe(path, [f"model.arguments.cdcr_lambda={text}"]).model.arguments["cdcr_lambda"]
    assert (value, type(value)) == (number, type(number))
    path.write_text(path.read_text("utf-8").replace("cdcr: none", f"cdcr: {text}"), encoding="utf-8")
    assert read_recipe(path).model.arguments["cdcr"] == number


def test_words_that_look_like_numbers_survive_writing(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path), ["name='7e5'", "card={Of: '1e-3'}"])
    write_recipe(recipe, tmp_path / "again.yaml")
    assert read_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_the_house_can_be_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert (recipe.steps is None) == (recipe.epochs is not None)


def test_there_are_recipes() -> None:
    assert {"backbone", "wti"} <= {path.stem for path in RECIPES}
