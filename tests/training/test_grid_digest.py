"""What a finished run of a grid is known by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.training.test_grid import GRID

from vidsift.training.grid import Grid, jobs_of, tuning_jobs
from vidsift.training.grid_digest import digest_of


def small_grid(**changes: Any) -> Grid:
    return Grid.model_validate({**GRID, "quick": None, **changes})


def test_a_run_is_known_by_all_that_its_result_depends_on(tmp_path: Path) -> None:
    original, *_ = jobs_of(small_grid())
    renamed, *_ = jobs_of(small_grid(name="other"))
    fewer, *_ = jobs_of(small_grid(test_videos=4))
    slower, *_ = jobs_of(small_grid(settings={"short": {"steps": 2, "threads": 2}, "long": {}}))
    assert digest_of(renamed) == digest_of(slower) == digest_of(original) != digest_of(fewer)
    start = {"start": str(tmp_path), "method": "drl", "frames": 2}
    from_folder, *_ = jobs_of(small_grid(base=GRID["base"] | {"model": start}))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = digest_of(from_folder)
    (tmp_path / "model.safetensors").write_bytes(b"weights that have learned")
    assert digest_of(from_folder) != before


def test_a_run_of_a_backbone_is_known_by_how_it_is_judged_too(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    base = GRID["base"] | {"model": {"frames": 2}}
    rows: list[dict[str, Any]] = [{"name": "dp", "method": "drl", "arguments": {"interaction": "dp"}}]
    plain = {"base": base, "backbones": [str(tmp_path)], "test_videos": 16, "rows": rows, "claims": []}
    changes: list[dict[str, Any]] = [
        {},
        {"galleries": 2},
        {"validation_videos": 8},
        {"test_seed": 1},
        {"rows": [rows[0] | {"keep_models": True}]},
    ]
    digests = [digest_of(next(jobs_of(small_grid(**{**plain, **change})))) for change in changes]
    assert len(set(digests)) == len(changes)
    # Other test videos leave what was chosen on validation as it is.
    tuned = [plain | {"tuning": {"values": [0.1, 1.0]}, "test_seed": seed} for seed in (0, 1)]
    trials = [next(tuning_jobs(small_grid(**values))) for values in tuned]
    assert digest_of(trials[0]) == digest_of(trials[1])
