"""Two evaluations side by side: what differs, which questions flipped, and what is no comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.evaluations import ENTRIES, SIM, evaluation

from vidsift.data.entries import Entry
from vidsift.errors import NotComparableError
from vidsift.evaluation.comparison import compare_results
from vidsift.evaluation.saved import SavedResult, load_result, save_result

BETTER = np.array([[0.9, 0.1, 0.2], [0.7, 0.6, 0.4], [0.3, 0.99, 0.95], [0.9, 0.15, 0.8]])


def saved(folder: Path, sim: Any = SIM, entries: list[Entry] = ENTRIES, **options: Any) -> SavedResult:
    save_result(evaluation(sim, entries, **options), folder)
    return load_result(folder)


def test_what_differs_and_which_questions_flipped(tmp_path: Path) -> None:
    result = compare_results(saved(tmp_path / "a", BETTER), saved(tmp_path / "b"))
    rows = {(row["direction"], row["metric"]): row for row in result["metrics"]}
    there = rows["text_to_video", "R@1"]
    # Found first: a first, a second, b by the one; a first, d by the other.
    assert (there["first"], there["second"], there["difference"]) == (75.0, 50.0, 25.0)
    assert there["interval"][0] <= 25.0 <= there["interval"][1]
    assert not there["significant"], "three videos tell nothing"
    gained = [flip for flip in result["flips"]["only_first"] if flip["direction"] == "text_to_video"]
    lost = [flip for flip in result["flips"]["only_second"] if flip["direction"] == "text_to_video"]
    assert [(flip["question"], flip["text"]) for flip in gained] == [("a#1", "a second"), ("b%20c#0", "b")]
    assert [(flip["text"], flip["first_rank"], flip["second_rank"]) for flip in lost] == [("d", 2.0, 1.0)]
    assert rows["", "rsum"]["difference"] == pytest.approx(
        sum(
            rows[way, f"R@{k}"]["difference"]
            for way in ("text_to_video", "video_to_text")
            for k in (1, 5, 10)
        )
    )


def test_p_values_are_corrected_for_all_that_are_tested(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    entries = [Entry(Path(f"/v/{number:03}.mp4"), ("x",)) for number in range(60)]
    good, bad = (rng.standard_normal((60, 60)) + strength * np.eye(60) for strength in (3.5, 1.0))
    rows = compare_results(saved(tmp_path / "a", good, entries), saved(tmp_path / "b", bad, entries))[
        "metrics"
    ]
    tested = [row for row in rows if row["p_value"] is not None]
    assert len(tested) == 13
    assert all(row["p_corrected"] >= row["p_value"] for row in tested)
    first = next(row for row in rows if (row["direction"], row["metric"]) == ("text_to_video", "R@1"))
    assert first["significant"]
    assert first["p_corrected"] == pytest.approx(13 / 10_001, rel=0.01)
    median = next(row for row in rows if row["metric"] == "MdR")
    assert (median["p_value"], median["significant"]) == (None, False)


def test_post_processed_rows_are_compared_too(tmp_path: Path) -> None:
    left = saved(tmp_path / "a", BETTER, post_processing=("dsl",))
    right = saved(tmp_path / "b", post_processing=("dsl",))
    rows = compare_results(left, right, post_processing="dsl")["metrics"]
    assert rows[0]["first"] == left.report["post_processed"]["dsl"]["text_to_video"]["R@1"]
    with pytest.raises(NotComparableError, match="has no rows 'tvh' in both directions; it has: none, dsl"):
        compare_results(left, right, post_processing="tvh")


def other_caption() -> list[Entry]:
    return [*ENTRIES[:2], replace(ENTRIES[2], captions=("another",))]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"entries": other_caption()}, "of the captions, number 3 is 'd' and 'another'"),
        ({"entries": ENTRIES[:2], "sim": SIM[:3, :2]}, "3 and 2 videos"),
        ({"entries": [ENTRIES[0], replace(ENTRIES[1], id="z"), ENTRIES[2]]}, "number 1 is 'b%20c' and 'z'"),
        ({"present": [True, False, True]}, r"miss different videos \(1, such as b%20c\)"),
        ({"video_to_text": "caption_groups"}, "differ in video_to_text: closest_caption and caption_groups"),
    ],
)
def test_what_was_asked_something_else_is_refused(
    tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    left, right = saved(tmp_path / "a"), saved(tmp_path / "b", **options)
    with pytest.raises(NotComparableError, match=reason):
        compare_results(left, right)
