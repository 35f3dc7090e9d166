"""What ``benchmarks/shapes_claims_words.py`` concludes from what was measured of the kept models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.scripts import load_script

from vidsift.training.grid import read_grid

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def benchmark() -> Any:
    return load_script("benchmarks/shapes_claims_words.py")


def number(value: float) -> dict[str, Any]:
    return {"value": value, "interval": [value - 1.0, value + 1.0], "of": 10}


def runs_of(content: float, effective: float, on_things: float, scatter: float) -> dict[tuple[int, int], Any]:
    """Fifteen runs whose backbones scatter by so much, and seeds within them by half of it."""
    rng = np.random.default_rng(3)
    runs = {}
    for backbone in range(3):
        of_backbone = rng.normal(0, scatter)
        for seed in range(5):
            by = of_backbone + rng.normal(0, scatter / 2)
            picture = {
                "pointing": number(on_things + by),
                "chance": number(10.0),
                "other_caption": number(40.0),
            }
            runs[backbone, seed] = {
                "grounding": {
                    "weight": {"content": number(content + by), "function": number(90 - content)},
                    "end_weight": number(10.0),
                    "effective_words": number(effective + by),
                    "leaving_out": {"picture": picture},
                }
            }
    return runs


def measured(scatter: float = 0.2) -> dict[str, Any]:
    return {
        "wti": runs_of(60.0, 8.0, 0.0, scatter),
        "ti": runs_of(50.0, 8.0, 0.0, 0.0),
        "pidro-dr": runs_of(50.0, 5.0, 0.0, scatter),
        "pidro-base": runs_of(50.0, 9.0, 0.0, 0.0),
        "prost": runs_of(50.0, 8.0, 40.0, scatter),
    }


def test_claims_hold_or_not_by_the_difference_over_runs_and_videos(benchmark: Any) -> None:
    claims = {it["claim"]: it for it in benchmark.judged(measured(), 160)}
    assert {name: it["verdict"] for name, it in claims.items()} == {
        "WTI weighs content words": "holds",
        "WTI takes weight off function words": "holds",
        "Dynamic routing spreads information over words": "does not hold",
        "ProST's objects lie on things": "holds",
        "ProST's objects lie on the things that a sentence names": "cannot be told",
    }
    content = claims["WTI weighs content words"]
    assert content["difference"] == pytest.approx(10, abs=0.5)
    # Of both numbers, whose intervals reach 1 to either side, or 1.96 standard errors.
    assert content["error_of_questions"] == pytest.approx(2**0.5 / 1.96)
    values = np.array(content["numbers"][0]["runs"]).reshape(3, 5) - 50
    assert content["error_of_runs"] == pytest.approx(values.mean(axis=1).std(ddof=1) / 3**0.5)
    low, high = content["interval"]
    assert low < content["difference"] < high


def test_backbones_that_scatter_leave_nothing_to_tell(benchmark: Any) -> None:
    verdicts = {it["verdict"] for it in benchmark.judged(measured(scatter=30.0), 160)[::2]}
    assert verdicts == {"cannot be told"}


def test_the_page_shows_every_claim_and_what_stands_beside(benchmark: Any) -> None:
    facts = {
        "command": "python benchmarks/shapes_claims_words.py",
        "processor": "a processor, 2 cores",
        "torch": "2",
        "load": 0.5,
        "able": ["avx2"],
        "videos": 160,
        "claims": benchmark.judged(measured(), 160),
    }
    text = benchmark.page(facts)
    assert "15 runs of each row" in text
    assert text.count("| **holds** |") == 3
    assert "| wti | weight of the end of text, % | 10.0 ± 0.0 |" in text


def test_models_that_were_not_kept_are_named_with_what_makes_them(benchmark: Any, tmp_path: Path) -> None:
    grid = read_grid(ROOT / "recipes" / "shapes" / "methods.yaml")
    with pytest.raises(ValueError, match=r"75 of 75 kept models are not there, such as .*ti.*vidsift ablate"):
        benchmark.kept_models(grid, tmp_path)
    # Every row that a claim reads is one whose models are kept.
    rows = {row.name for row in grid.rows if row.keep_models}
    read = {it.row for claim in benchmark.CLAIMS for it in (claim.more, claim.less, *claim.beside)}
    assert read == rows
