"""Grids: which runs they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.training.small import RECIPE

from vidsift.errors import RecipeError
from vidsift.training.grid import jobs_of, read_grid, tuning_jobs

SHAPES = Path(__file__).parents[2] / "recipes" / "shapes"

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
        (
            {
                "base": {"steps": 1, "data": {"source": "msrvtt", "root": "here"}},
                "test_seed": 1,
                "claims": [],
            },
            "test_seed is 1: MSR-VTT has files to judge on",
        ),
    ],
)
def test_what_cannot_be_run_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        read_grid(write(tmp_path, **changes))


def test_the_grid_of_the_papers_tests_every_claim_within_its_budget() -> None:
    grid = read_grid(SHAPES / "methods.yaml")
    assert (len(grid.backbones), len(grid.seeds), grid.galleries) == (3, 5, 4)
    assert (grid.test_videos or 0) >= 2560
    assert all(claim.rows <= grid.rows_of("frozen towers") for claim in grid.claims)
    jobs = list(jobs_of(grid))
    assert len(jobs) == 19 * 15 + 6
    assert all(job.recipe.model.frozen_towers and job.recipe.model.identity_heads for job in jobs)
    # No two backbones share a seed, and rows share theirs.
    assert len({job.recipe.seed for job in jobs}) == 15
    assert {(job.backbone, job.recipe.seed) for job in jobs if job.row == "wti"} == {
        (backbone, 1000 * backbone + seed) for backbone in range(3) for seed in range(5)
    }
    # Nothing is tuned where nothing learns.
    assert len(list(tuning_jobs(grid))) == 19 * 3 * 2
    assert "meanp" not in {job.row for job in tuning_jobs(grid)}
    quick = grid.smaller()
    assert (len(quick.backbones), quick.test_videos, len(list(jobs_of(quick)))) == (1, 128, 14)


def test_the_first_grid_stays_readable() -> None:
    grid = read_grid(SHAPES / "sweeps.yaml")
    assert {job.recipe.model.start for job in jobs_of(grid)} == {"runs/shapes-backbone"}


BACKBONES: dict[str, Any] = {"backbones": ["one", "two"], "galleries": 2}


def test_what_was_best_of_those_that_were_tried_is_what_runs_take(tmp_path: Path) -> None:
    tuning = {"values": [0.1, 0.2]}
    base = {**BASE, "model": {"frames": 2, "method": "drl"}}
    grid = read_grid(write(tmp_path, base=base, tuning=tuning, quick=None, **BACKBONES))
    first, *_ = tuning_jobs(grid)
    assert first.place.as_posix() == "tuning/short/dp/backbone0-0.1/seed900"
    assert (first.trial, first.recipe.optimiser.learning_rate, first.recipe.model.start) == (0.1, 0.1, "one")
    jobs = [job for job in jobs_of(grid, {("short", "mean"): 0.2}) if job.setting == "short"]
    assert [job.place.as_posix() for job in jobs[:2]] == [
        "short/dp/backbone0/seed3",
        "short/dp/backbone1/seed3",
    ]
    assert [job.recipe.optimiser.learning_rate for job in jobs[:4]] == [1e-3, 1e-3, 0.2, 0.2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"galleries": 2}, "tuning and galleries belong to backbones"),
        ({**BACKBONES, "seeds": [0, 1000]}, "expected less than 1000"),
        ({**BACKBONES, "tuning": {"values": [0.1, 0.2], "seed": 3}}, "one of the grid's seeds"),
        (
            {"claims": [{"say": "x", "order": "dp > mean > dp", "effect": [1.0]}]},
            "1 figures for 2 comparisons",
        ),
        ({"rows": [{**GRID["rows"][0], "seeds": [7]}, GRID["rows"][1]]}, r"row 'dp' has seeds \[7\]"),
    ],
)
def test_backbones_and_tuning_that_cannot_be_are_named(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        read_grid(write(tmp_path, **changes))
