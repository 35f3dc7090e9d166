"""The page of a grid: what its tables and verdicts say of known records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.training.test_grid import GRID

from vidsift.training.grid import Claim, Grid
from vidsift.training.grid_report import page, weigh

TAGS = ["motion", "motion", "order", "order"] * 25


def record(row: str, seed: int, recalls: list[float], **changes: Any) -> dict[str, Any]:
    per_video = np.array(recalls * 25)
    by_tag = {tag: {"R@1": float(per_video[np.array(TAGS) == tag].mean())} for tag in ("motion", "order")}
    return {
        "setting": "short",
        "row": row,
        "seed": seed,
        "report": {
            "text_to_video": {"R@1": float(per_video.mean())},
            "by_tag": by_tag,
            "choice": {"all": {"right": 40.0 + seed, "chance": 25.0}},
        },
        "found": per_video.tolist(),
        "tags": TAGS,
        "parameters": 2_500_000,
        "train_seconds": 30.0 * seed,
        "test_seconds": 0.0,
        **changes,
    }


@pytest.fixture
def grid() -> Grid:
    claims = [
        {"say": "dp is better", "source": "A paper", "order": "dp > mean"},
        {"say": "the mean is better", "order": "mean > dp", "tag": "order"},
    ]
    return Grid.model_validate({**GRID, "quick": None, "claims": claims})


RECORDS = [
    record("dp", 3, [100, 50, 0, 50]),
    record("dp", 4, [100, 50, 0, 100]),
    record("mean", 3, [0, 0, 0, 100]),
    record("mean", 4, [0, 0, 50, 100]),
]


def test_rows_hold_means_over_seeds(grid: Grid) -> None:
    text = page(grid, RECORDS, "vidsift ablate grid.yaml", "On two cores.")
    assert "`vidsift ablate grid.yaml`" in text
    assert "On two cores." in text
    assert "4 of 6 runs, 7 minutes of training" in text
    assert (
        "| dp | drl: interaction dp, temporal none, cdcr none | 56.2 ± 8.8 | 75.0 ± 0.0 | 37.5 ± 17.7 "
        "| 43.5 ± 0.7 | 2 | 2.50 | 1.8 |"
    ) in text
    assert "## long\n\nNot run yet." in text


def test_claims_get_the_difference_and_a_verdict(grid: Grid) -> None:
    text = page(grid, RECORDS, "ablate")
    assert "| dp is better | A paper | short | dp &gt; mean: **+25.0 ± 10.3** | **agrees** |" in text
    assert "| mean &gt; dp: +25.0 ± 17.7 | **cannot tell** |" in text
    assert "2 comparisons were made." in text
    assert "the mean is better (on order)" in text
    measured, missing = weigh(grid.claims[1], "short", RECORDS)
    assert missing == []
    # On order: the mean finds 62.5 % and dp 37.5 %.
    assert measured[0].difference == 25.0


def test_what_was_not_run_is_not_judged(grid: Grid) -> None:
    assert weigh(Claim(say="x", order=("dp > mean",)), "short", RECORDS[:3]) == ([], ["mean"])
    text = page(
        grid, [*RECORDS[:3], {"setting": "short", "row": "mean", "seed": 4, "failed": "NaN"}], "ablate"
    )
    assert "not run: mean | not tested |" in text
    assert "- short / mean / seed 4: NaN" in text


def started(*recalls: float) -> list[dict[str, Any]]:
    """The records, each with what its start scores; R@1 of dp and mean are 56.2 and 31.2."""
    of_row = dict(zip(("dp", "mean"), recalls, strict=True))
    return [
        run
        | {
            "start": {
                "model": "before",
                "frames": 8,
                "report": record("", 0, [of_row[run["row"]]] * 4)["report"],
            }
        }
        for run in RECORDS
    ]


@pytest.mark.parametrize(
    ("recalls", "cell"),
    [
        ((60.0, 60.0), "dp &gt; mean: **+25.0 ± 10.3** † | **below the start** |"),
        ((56.25, 31.25), "dp &gt; mean: **+25.0 ± 10.3** † | **below the start** |"),
        ((56.0, 60.0), "dp &gt; mean: **+25.0 ± 10.3** | **agrees** |"),
        ((60.0, 31.0), "dp &gt; mean: **+25.0 ± 10.3** | **agrees** |"),
    ],
)
def test_rows_below_their_start_say_nothing_of_the_methods(
    grid: Grid, recalls: tuple[float, float], cell: str
) -> None:
    text = page(grid, started(*recalls), "ablate")
    assert f"| dp is better | A paper | short | {cell}" in text
    assert f"| (start) | before as it is, 8 frames | {recalls[0]:.1f} |" in text


def test_one_start_of_all_rows_is_one_line(grid: Grid) -> None:
    assert page(grid, started(60.0, 60.0), "ablate").count("(start)") == 1
    assert "(start)" not in page(grid, RECORDS, "ablate")


def test_more_comparisons_make_a_difference_chance(grid: Grid) -> None:
    more = [{"say": f"again {number}", "order": "mean > dp", "tag": "order"} for number in range(9)]
    claims = [claim.model_dump() for claim in grid.claims]
    text = page(Grid.model_validate({**GRID, "quick": None, "claims": claims + more}), RECORDS, "ablate")
    assert "| dp is better | A paper | short | dp &gt; mean: +25.0 ± 10.3 | **cannot tell** |" in text
