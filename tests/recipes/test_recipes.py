"""Every recipe, ten systems on seven data sets: valid, and two steps on the data set's files in miniature."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from recipes.stand_in import write_small_clip
from tests.recipes.stand_ins import CAPTIONS, TEST, Footage, write_data_set
from tests.training.small import losses, silent

from vidsift.data.video_files import AnnotatedVideos
from vidsift.errors import WeightsError
from vidsift.evaluation.evaluate import evaluate_entries
from vidsift.methods.catalog import resolve_arguments
from vidsift.methods.model import load
from vidsift.training.recipe import NewClip, Recipe, read_recipe
from vidsift.training.trainer import Trainer

ROOT = Path(__file__).parents[2] / "recipes"
DATA_SETS = ("msrvtt", "msvd", "lsmdc", "didemo", "activitynet", "vatex", "youcook2")
SYSTEMS = (
    "zeroshot",
    "clip4clip-meanp",
    "clip4clip-seqtransf",
    "drl-wti",
    "xclip",
    "ts2net",
    "prost",
    "pidro",
    "xpool",
    "clip2video",
)
ALL = [(data_set, system) for data_set in DATA_SETS for system in SYSTEMS]
QUERIES = {"msvd": TEST * CAPTIONS, "vatex": TEST * CAPTIONS}
"""Of the test split in miniature, where they are not one a video."""
STEPS = {"zeroshot": 0, "pidro": 4}
"""Where they are not two: of PIDRo's three stages each wants one."""

# What a test of seconds needs; all else is what the recipe says.
SMALL = NewClip(
    dim=16,
    image_px=16,
    patch_px=4,
    vision_width=16,
    vision_layers=2,
    text_width=16,
    text_layers=1,
    head_width=8,
    vocabulary=560,
    max_tokens=64,
)
SHRUNK = ("model.frames=2", "data.workers=0", "threads=1", "precision=fp32")
FEWER = {"ts2net": ("model.arguments.samples=4",)}
"""Draws of noise, of which 500 take most of the test's time."""


def path_of(data_set: str, system: str) -> Path:
    return ROOT / data_set / f"{system}.yaml"


@pytest.mark.parametrize("data_set", DATA_SETS)
def test_there_are_all_recipes(data_set: str) -> None:
    assert {path.stem for path in (ROOT / data_set).glob("*.yaml")} == set(SYSTEMS)


@pytest.mark.parametrize(("data_set", "system"), ALL)
def test_a_recipe_is_valid_and_says_where_it_is_from(data_set: str, system: str) -> None:
    path = path_of(data_set, system)
    recipe, larger = read_recipe(path), read_recipe(path, variant="b16")
    assert recipe.model.start == "openai/clip-vit-base-patch32"
    assert larger.model.start == "openai/clip-vit-base-patch16"
    assert (recipe.name, larger.name) == (f"{data_set}-{system}", f"{data_set}-{system}-b16")
    for read in (recipe, larger):
        resolve_arguments(str(read.model.method), read.model.arguments)
        check_protocol(read)
    # It says from where, or that nobody released a setting.
    assert re.search(r"^# Source: .{20,}", path.read_text(encoding="utf-8"), re.MULTILINE), path


def check_protocol(recipe: Recipe) -> None:
    """Words, frames and splits are those that the data set's papers report."""
    data = recipe.data
    assert isinstance(data, AnnotatedVideos)
    assert (recipe.model.max_words, recipe.model.frames) == (data.max_words, data.frames)
    assert recipe.evaluation.split == data.tests[0]
    section = recipe.validation
    if recipe.steps == 0:
        assert section is None
        return
    assert section is not None
    assert recipe.epochs is not None
    assert (section.cut is not None) == (data.validation_split is None)
    assert section.cut is not None or section.split == data.validation_split
    assert section.select == "best"
    # No position that a video or a text of the data set needs is left out.
    arguments = resolve_arguments(str(recipe.model.method), recipe.model.arguments)
    assert arguments.get("max_frames", data.frames) >= data.frames
    assert (arguments.get("max_words") or data.max_words) >= data.max_words


def test_the_other_variants_are_what_they_are_called() -> None:
    path = path_of("msrvtt", "drl-wti")
    released, clean, paper = (read_recipe(path, variant=name) for name in (None, "fp32", "paper"))
    assert (released.weights, released.optimiser.algorithm) == ("fp16", "bertadam")
    assert released.optimiser.backbone_learning_rate == 1e-7
    assert (clean.weights, clean.optimiser.algorithm) == ("fp32", "adamw")
    assert clean.optimiser.backbone_learning_rate == 1e-6
    assert released.model.arguments["cdcr_alpha"] == 0.0
    assert paper.model.arguments["cdcr_alpha"] == 0.06


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP in ``clip``, and in ``data`` each data set as it lies on a disk."""
    folder = tmp_path_factory.mktemp("recipes")
    footage = Footage(folder / "footage")
    write_small_clip(folder / "clip", footage.captions, SMALL)
    for name in DATA_SETS:
        write_data_set(name, folder / "data" / name, footage)
    return folder


@pytest.mark.parametrize(("data_set", "system"), ALL)
def test_a_recipe_trains_and_is_evaluated(data_set: str, system: str, home: Path) -> None:
    path, place = path_of(data_set, system), home / "data" / data_set
    steps = STEPS.get(system, 2)
    changes = [
        f"model.start={home / 'clip'}",
        f"data.videos={place / 'videos'}",
        f"data.annotations={place / 'annotations'}",
        *SHRUNK,
        *FEWER.get(system, ()),
    ]
    section = read_recipe(path).validation
    if section is not None:
        changes += [f"steps={steps}", "data.batch_size=4", "validation.videos=2"]
        changes += ["validation.cut=2"] if section.cut else []
    run = home / f"{data_set}-{system}"
    done = Trainer(read_recipe(path, changes), run, device="cpu", say=silent).run()
    assert done["steps"] == steps
    assert set(losses(run)) == ({steps} if steps else set())
    report = judged(run)
    assert report["text_to_video"]["questions"] == QUERIES.get(data_set, TEST)
    assert report["video_to_text"]["questions"] == TEST
    assert 1 <= report["text_to_video"]["MdR"] <= TEST


def test_without_a_network_the_remedy_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_names: object, **_options: object) -> str:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    place = home / "data" / "msrvtt"
    changes = [f"data.videos={place / 'videos'}", f"data.annotations={place / 'annotations'}"]
    recipe = read_recipe(path_of("msrvtt", "zeroshot"), changes)
    words = (
        "model.start of the recipe: openai/clip-vit-base-patch32 .*no route.* its folder: model.start=FOLDER"
    )
    with pytest.raises(WeightsError, match=words):
        Trainer(recipe, home / "offline", device="cpu", say=silent)


@pytest.mark.parametrize("variant", [None, "lora"])
def test_a_folder_of_footage_trains_too(variant: str | None, home: Path, tmp_path: Path) -> None:
    footage = Footage(tmp_path / "videos")
    shown = footage.place(tmp_path / "mine", [f"{number}.mp4" for number in range(8)])
    rows = [f'{number}.mp4,"{caption}"' for number, video in enumerate(shown) for caption in video.captions]
    (tmp_path / "mine" / "captions.csv").write_text("\n".join(["video,caption", *rows, ""]), encoding="utf-8")
    changes = [f"model.start={home / 'clip'}", f"data.path={tmp_path / 'mine'}", *SHRUNK, "validation.cut=2"]
    recipe = read_recipe(ROOT / "footage.yaml", [*changes, "steps=2", "data.batch_size=4"], variant=variant)
    done = Trainer(recipe, tmp_path / "run", device="cpu", say=silent).run()
    # The two that were cut out, with all their captions.
    assert done["validation"]["text_to_video"]["questions"] == 2 * CAPTIONS


def judged(run: Path) -> dict[str, Any]:
    """Evaluate a run as its own recipe says."""
    recipe = read_recipe(run / "recipe.yaml")
    split = str(recipe.evaluation.split)
    return evaluate_entries(
        load(run, "cpu"),
        recipe.data.entries(split),
        split=split,
        video_to_text=recipe.evaluation.video_to_text,
        workers=0,
    )
