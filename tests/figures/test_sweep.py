"""Curves over an argument, out of a grid and what became of its runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vidsift.figures.sweep import draw_sweep, read_records, sweep_curves
from vidsift.training.grid import Grid, read_grid

ROOT = Path(__file__).parents[2]


@pytest.fixture
def grid() -> Grid:
    return Grid.model_validate(
        {
            "name": "alphas",
            "base": {
                "steps": 2,
                "model": {"start": "shapes", "frames": 8},
                "data": {"source": "shapes-stream"},
                "validation": None,
            },
            "settings": {"plain": {}},
            "seeds": [0, 1],
            "rows": [
                {"name": "half", "method": "drl", "arguments": {"cdcr_alpha": 0.5}},
                {"name": "default", "method": "drl"},
                {"name": "ti", "method": "drl", "arguments": {"interaction": "ti"}},
                {"name": "ti-half", "method": "drl", "arguments": {"interaction": "ti", "cdcr_alpha": 0.5}},
                {"name": "two-frames", "method": "drl", "changes": {"model.frames": 2}},
            ],
        }
    )


def record(row: str, seed: int, recall: float) -> dict[str, Any]:
    return {"setting": "plain", "row": row, "seed": seed, "report": {"text_to_video": {"R@1": recall}}}


RECORDS = [
    record("half", 0, 10.0),
    record("half", 1, 14.0),
    record("default", 0, 20.0),
    record("default", 1, 20.0),
    record("ti", 0, 30.0),
    record("ti-half", 0, 40.0),
    record("two-frames", 0, 5.0),
]


def test_rows_that_differ_in_the_argument_alone_make_a_curve(grid: Grid) -> None:
    wti, ti = sweep_curves(grid, RECORDS, "cdcr_alpha", setting="plain")
    # The row that says nothing of alpha stands at its default.
    assert (wti.label, wti.values, wti.rows) == ("interaction wti", (0.06, 0.5), ("default", "half"))
    assert wti.means == (20.0, 12.0)
    assert wti.deviations == pytest.approx((0.0, 8**0.5))
    assert (ti.label, ti.rows, ti.means, ti.deviations) == (
        "interaction ti",
        ("ti", "ti-half"),
        (30, 40),
        (0, 0),
    )


def test_a_key_of_the_recipe_is_swept_too(grid: Grid) -> None:
    [curve] = sweep_curves(grid, RECORDS, "model.frames", setting="plain")
    assert (curve.label, curve.values, curve.means) == ("drl", (2, 8), (5.0, 20.0))


def test_an_argument_may_be_ignored(grid: Grid) -> None:
    [curve] = sweep_curves(grid, RECORDS[:6], "cdcr_alpha", setting="plain", ignoring=["interaction"])
    assert curve.rows == ("ti", "ti-half")  # of rows that then stand for the same, the last one


@pytest.mark.parametrize(
    ("argument", "setting", "metric", "message"),
    [
        ("cdcr_alpha", "frozen", "R@1", "setting is 'frozen', expected one of 'plain'"),
        ("cdcr_alpha", "plain", "R@3", "metric is 'R@3', expected one of R@1"),
        ("tau", "plain", "R@1", "differ in 'tau' alone"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    grid: Grid, argument: str, setting: str, metric: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sweep_curves(grid, RECORDS, argument, setting=setting, metric=metric)


def test_the_published_grid_has_the_curves_of_the_papers() -> None:
    grid = read_grid(ROOT / "recipes/shapes/sweeps.yaml")
    records = read_records(grid, ROOT / "results/shapes-methods.json")
    expected = {"cdcr_alpha": 4, "cdcr_lambda": 3, "patch_layers": 3, "patch_lambda": 4}
    for argument, points in expected.items():
        [curve] = sweep_curves(grid, records, argument, setting="frozen towers")
        assert len(curve.values) == points
    # All 16 patches is the default, without a selector: no value, so it comes last.
    [patches] = sweep_curves(
        grid, records, "patch_tokens", setting="frozen towers", ignoring=["selector_samples"]
    )
    assert patches.values == (4, 8, None)
    assert patches.means[2] == pytest.approx(30.17361111)


def test_a_file_of_something_else_is_refused(grid: Grid, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('[{"a": 1}]')
    (tmp_path / "broken.json").write_text("[")
    for name in ("other.json", "broken.json"):
        with pytest.raises(ValueError, match=f"{name} holds no records of a grid"):
            read_records(grid, tmp_path / name)
    with pytest.raises(ValueError, match="there is no"):
        read_records(grid, tmp_path / "absent.json")
    with pytest.raises(ValueError, match="holds no finished run"):
        read_records(grid, tmp_path)


def test_numbers_are_written_beside_the_picture(grid: Grid, tmp_path: Path) -> None:
    curves = sweep_curves(grid, RECORDS, "cdcr_alpha", setting="plain")
    beside = draw_sweep({"cdcr_alpha": curves}, about="made up").write(tmp_path / "new" / "figure.svg")
    drawn = json.loads(beside.read_text())
    assert drawn["curves"]["cdcr_alpha"][0]["means"] == [20.0, 12.0]
    picture = (tmp_path / "new" / "figure.svg").read_text()
    # Text stays text.
    for words in ("cdcr_alpha", "interaction ti", "R@1, text to video", "made up", "0.06"):
        assert words in picture


def test_a_format_that_does_not_exist_is_refused(grid: Grid, tmp_path: Path) -> None:
    curves = sweep_curves(grid, RECORDS, "cdcr_alpha", setting="plain")
    with pytest.raises(ValueError, match=r"ends in '.bmp3'; expected one of .png"):
        draw_sweep({"cdcr_alpha": curves}).write(tmp_path / "figure.bmp3")
    assert not list(tmp_path.iterdir())
