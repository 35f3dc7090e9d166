"""What earlier versions left on disk opens, answers and goes on with the same numbers (``stored/``)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.methods import tiny
from tests.training import small

import vidsift
from vidsift.index.storage import Store
from vidsift.methods.model import load
from vidsift.search.searcher import Index
from vidsift.training.grid import jobs_of, read_grid
from vidsift.training.recipe import read_recipe
from vidsift.training.trainer import train

STORED = sorted((Path(__file__).parent / "stored").glob("v*"))


@pytest.fixture(params=STORED, ids=lambda home: home.name)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, which may be written to."""
    folder = tmp_path / "stored"
    shutil.copytree(request.param, folder)
    return folder


@pytest.fixture
def expected(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "expected.json").read_text("utf-8"))
    return found


def test_the_model_gives_the_similarities_that_it_gave(home: Path, expected: dict[str, Any]) -> None:
    model = load(home / "model", device="cpu")
    assert model.fingerprint == expected["fingerprint"] == model.compute_fingerprint()
    pixels, times = tiny.videos([5, 4, 2], seed=3)
    sim_QV = model.similarity(model.encode_text(expected["captions"]), model.encode_frames(pixels, times))
    for found, stored in zip(sim_QV.tolist(), expected["similarity"], strict=True):
        assert found == pytest.approx(stored, abs=1e-4)


def test_the_model_saved_again_is_the_same_model(home: Path, expected: dict[str, Any]) -> None:
    load(home / "model", device="cpu").save(home / "again")
    assert load(home / "again", device="cpu").fingerprint == expected["fingerprint"]


def test_the_index_answers_as_it_did(home: Path, expected: dict[str, Any]) -> None:
    store = Store.open(home / "index")
    records = store.read_files()
    assert sorted(records) == expected["files"]
    tagged = str(records["/videos/one.mp4"].video_id)
    assert store.read_tags() == {tagged: {"old friend"}}
    assert store.read_captions() == {tagged: ["a circle", "two triangles"]}
    assert [folder.path for folder in store.read_folders()] == ["/videos"]
    index = Index.open(home / "index", home / "model", device="cpu")
    assert len(index) == expected["segments"]
    hits = index.search(expected["query"], k=5)
    # Clips begin with the same picture, so that some hits are worth the same.
    stretches = sorted([hit.path, hit.segment.start_seconds, hit.segment.end_seconds] for hit in hits)
    assert stretches == sorted(hit[:3] for hit in expected["hits"])
    assert [hit.score for hit in hits] == pytest.approx([hit[3] for hit in expected["hits"]], abs=1e-4)
    assert [hit.confidence for hit in hits] == pytest.approx(expected["confidence"], abs=2e-3)


def test_the_run_goes_on_to_the_losses_that_it_had_when_nothing_stopped_it(
    home: Path, expected: dict[str, Any]
) -> None:
    lines: list[str] = []
    train(home / "recipe.yaml", output=home / "run", device="cpu", say=lines.append)
    assert "going on after step 4" in lines
    losses = small.losses(home / "run")
    assert {str(step) for step in losses} == expected["losses"].keys()
    assert list(losses.values()) == pytest.approx(list(expected["losses"].values()), rel=1e-3)
    assert load(home / "run", device="cpu").name == "small"


def test_recipes_are_understood(home: Path) -> None:
    assert read_recipe(home / "run" / "recipe.yaml") == read_recipe(home / "recipe.yaml")
    assert read_recipe(home / "wti.yaml").model.arguments["interaction"] == "wti"
    assert len(list(jobs_of(read_grid(home / "methods.yaml")))) == 165


def test_this_version_is_stored() -> None:
    version = ".".join(vidsift.__version__.split(".")[:2])
    assert f"v{version}" in [home.name for home in STORED]
