"""Grids: which runs they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.training.small import RECIPE

from vidsift.errors import RecipeError
from vidsift.training.grid import Grid, jobs_of, read_grid

METHODS = Path(__file__).parents[2] / "recipes" / "shapes" / "methods.yaml"

BASE = {key: value for key, value in RECIPE.items() if key != "name"}
GRID: dict[str, Any] = {
    "name": "tiny",
    "base": BASE,
    "settings": {"short": {"steps": 2}, "long": {"steps": 3, "data.batch_size": 4}},
    "rows": [
        {
            "name": "dp",
            "method": "drl",
            "arguments": {"interaction": "dp", "temporal": "none", "cdcr": "none"},
        },
        {
            "name": "mean",
            "method": "clip4clip",
            "settings": ["short"],
            "changes": {"optimiser.learning_rate": 0.5},
        },
    ],
    "seeds": [3, 4],
    "test_videos": 8,
    "claims": [
        {"say": "dp is better", "order": "dp > mean"},
        {"say": "dp alone", "order": ["dp >= dp"]},
    ],
    "quick": {"rows": ["dp"], "settings": ["long"], "seeds": [3], "changes": {"steps": 1}},
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(GRID | changes, sort_keys=False), encoding="utf-8")
    return path


def test_every_row_is_run_in_its_settings_with_every_seed(tmp_path: Path) -> None:
    jobs = list(jobs_of(read_grid(write(tmp_path))))
    assert [job.place.as_posix() for job in jobs] == [
        "short/dp/seed3", "short/mean/seed3", "long/dp/seed3",
        "short/dp/seed4", "short/mean/seed4", "long/dp/seed4",
    ]  # fmt: skip
    assert [job.recipe.steps for job in jobs[:3]] == [2, 2, 3]
    assert [job.recipe.data.batch_size for job in jobs[:3]] == [8, 8, 4]
    assert [job.recipe.optimiser.learning_rate for job in jobs[:2]] == [1e-3, 0.5]
    assert [job.recipe.model.method for job in jobs[:2]] == ["drl", "clip4clip"]
    assert jobs[1].recipe.model.arguments == {}
    assert jobs[3].recipe.seed == 4


def test_the_quick_grid_keeps_the_claims_that_it_can_test(tmp_path: Path) -> None:
    quick = read_grid(write(tmp_path)).smaller()
    (job,) = jobs_of(quick)
    assert (job.place.as_posix(), job.recipe.steps, job.recipe.data.batch_size) == ("long/dp/seed3", 1, 4)
    assert quick.name == "tiny-quick"
    assert [claim.say for claim in quick.claims] == ["dp alone"]
    with pytest.raises(RecipeError, match="has no quick part"):
        read_grid(write(tmp_path, quick=None)).smaller()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": [GRID["rows"][0], GRID["rows"][0]]}, "rows are named twice: dp"),
        ({"claims": [{"say": "it wins", "order": "dp > ti"}]}, "claim 'it wins' names ti; known: dp, mean"),
        ({"claims": [{"say": "it wins", "order": "dp ti"}]}, "is no order"),
        (
            {"quick": {"rows": ["dp"], "settings": ["slow"], "seeds": [1]}},
            "quick names slow; known: short, long",
        ),
        ({"rows": [{"name": "d p", "method": "drl"}]}, "rows.0.name is 'd p'"),
        (
            {"rows": [{"name": "dp", "method": "drl", "setings": []}]},
            r"setings \(did you mean 'settings'\?\)",
        ),
        ({"settings": {"short": {"step": 3}}, "quick": None}, "row 'dp' of 'short': unknown key step"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [0, 0]}, r"seeds are \[0, 0\]: expected each once"),
        ({"claims": [{"say": "it wins", "order": "dp > mean", "tag": "ordr"}]}, "claims.0.tag is 'ordr'"),
        ({"claims": [{"say": "it wins", "order": []}]}, "claims.0.order"),
        ({"test_videos": 6}, "test_videos is 6"),
    ],
)
def test_what_cannot_be_run_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        read_grid(write(tmp_path, **changes))


def test_the_grid_of_the_papers_tests_every_claim_with_three_seeds() -> None:
    grid = read_grid(METHODS)
    assert len(grid.seeds) >= 3
    tested = {
        (claim.say, setting)
        for claim in grid.claims
        for setting in grid.settings
        if claim.rows <= grid.rows_of(setting)
    }
    assert {say for say, _ in tested} == {claim.say for claim in grid.claims}
    assert {job.recipe.model.start for job in jobs_of(grid)} == {"runs/shapes-backbone"}
    assert all(job.recipe.model.frozen_towers for job in jobs_of(grid) if job.setting == "frozen towers")
    assert isinstance(grid.smaller(), Grid)
