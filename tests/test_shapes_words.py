"""What the page of ``benchmarks/shapes_words.py`` says of models: means, gates, controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.scripts import load_script

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def page_of() -> Any:
    return load_script("benchmarks/shapes_words_page.py")


def number(value: float | None, half: float = 2.0) -> dict[str, Any]:
    interval = None if value is None else [value - half, value + half]
    return {"value": value, "interval": interval, "of": 10}


def measured(recall: float, pointing: float, ends: float | None = 20.0) -> dict[str, Any]:
    """A model, as much of it as the page reads."""
    kinds = ("all", "appearance", "motion", "order", "detail")
    without = {"R@1": number(recall - 5), "R@1_lost": number(5), "R@1_of_words": number(1)}
    difference = {
        "start_and_end": number(ends),
        "start_and_end_by_size": number(30),
        "effective_of_words": number(6),
        "effective_words": number(7),
    }
    grounding = {
        "without_ends": without,
        "difference": difference,
        "end_weight": number(10),
        "pointing": number(pointing),
        "chance": number(45),
        "shuffled_words": number(50),
        "other_caption": number(50),
        "by_kind": {"event": {"pointing": number(80), "chance": number(50)}},
        "deletion": number(86) | {"permuted": number(50)},
        "protocol": {"captions": 30},
    }
    recalls = {kind: number(recall) for kind in kinds}
    return {"R@1": recalls, "grounding": grounding, "frames": 8, "videos": 10}


def facts(**models: dict[str, Any]) -> dict[str, Any]:
    return {
        "models": [name for name in models if name.startswith("seed")],
        "controls": [name for name in models if name.startswith("ti")],
        "also": [],
        "measured": {"Shapes": models},
        "command": "python benchmarks/shapes_words.py",
        "able": ["avx2"],
        "processor": "some",
        "torch": "2",
        "load": None,
    }


def test_a_number_is_the_mean_over_models_with_its_spread(page_of: Any) -> None:
    several = [measured(60, 80), measured(64, 84), measured(62, 82)]
    mean = page_of.estimate(several, "pointing: a word's best frame is right")
    assert str(mean) == "82.0 ± 2.0 (80.0 to 84.0)"
    assert str(page_of.estimate(several[:1], "R@1, order")) == "60.0 (58.0 to 62.0)"
    # No caption has words for an order.
    assert str(page_of.estimate(several, "pointing: order")) == "-"


def test_a_gate_is_reached_by_the_mean_and_never_by_what_has_no_value(page_of: Any) -> None:
    rows = {
        row[0]: row for row in page_of.verdicts(facts(seed0=measured(60, 79), seed1=measured(62, 83, None)))
    }
    assert rows["pointing: a word's best frame is right"][1:] == [
        "at least 80",
        "81.0 ± 2.8 (79.0 to 83.0)",
        "yes",
    ]
    assert rows["less than R@1 by"][1:4:2] == ["at most 10", "yes"]
    assert rows["start and end give of the lead on hard negatives, %"][2:] == ["-", "**no**"]
    assert "pointing above that of the controls" not in rows
    low = {row[0]: row for row in page_of.verdicts(facts(seed0=measured(57, 79)))}
    assert [low[name][3] for name in ("R@1", "pointing: a word's best frame is right")] == ["**no**"] * 2
    assert low["R@1"][1] == "at least 58 (goal)"


def test_a_control_is_beaten_by_more_than_the_error_of_the_difference(page_of: Any) -> None:
    above = page_of.verdicts(facts(seed0=measured(60, 80), ti=measured(60, 70)))[-1]
    assert above == ["pointing above that of the controls", "more than its error", "+10.0 ± 2.8", "yes"]
    near = page_of.verdicts(facts(seed0=measured(60, 80), ti=measured(60, 78)))[-1]
    assert near[2:] == ["+2.0 ± 2.8", "**no**"]


def test_the_page_shows_groups_and_each_of_their_models(page_of: Any) -> None:
    text = page_of.page(
        facts(seed0=measured(60, 80), seed1=measured(62, 84), ti=measured(50, 60)), "curve.png"
    )
    assert "seed0, seed1, beside the controls ti, on 10 test videos of Shapes (30 captions, 8 frames)" in text
    assert "|  | models (mean of 2) | seed0 | seed1 | ti |" in text
    assert "| R@1, motion | 61.0 ± 1.4 (59.0 to 63.0) | 60.0 (58.0 to 62.0) | 62.0 (60.0 to 64.0) |" in text
    assert "![R@1 against pointing, deletion and effective words](curve.png)" in text
