"""What a report says of similarities whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidsift.data.entries import Entry
from vidsift.errors import NonFiniteScoresError, SelectionOnTestError
from vidsift.evaluation.evaluate import headline, refuse_test_split, retrieval_metrics, video_of_caption

ENTRIES = [
    Entry(Path("a"), ("a1", "a2"), "motion", "g", unseen=False),
    Entry(Path("b"), ("b1",), "motion", "g", unseen=True),
    Entry(Path("c"), ("c1",), "detail", "h", unseen=False),
]
SIM = np.array([[0.9, 0.1, 0.2], [0.5, 0.6, 0.4], [0.3, 0.4, 0.9], [0.0, 0.1, 0.8]])


def test_the_parts_of_a_report() -> None:
    assert video_of_caption(ENTRIES).tolist() == [0, 0, 1, 2]
    report = retrieval_metrics(SIM, ENTRIES)
    # Ranks of the four captions: a1 1, a2 2, b1 2 (behind c), c1 1.
    assert report["text_to_video"]["R@1"] == 50.0
    assert report["text_to_video"]["MnR"] == 1.5
    assert report["by_tag"]["motion"]["R@1"] == pytest.approx(100 / 3)
    assert report["by_tag"]["detail"]["questions"] == 1
    assert (report["by_novelty"]["seen"]["R@1"], report["by_novelty"]["unseen"]["R@1"]) == (
        pytest.approx(200 / 3),
        0.0,
    )
    # Videos: a finds a1 first; b prefers a2 to b1; c prefers b1 to c1.
    assert report["video_to_text"]["R@1"] == pytest.approx(100 / 3)
    assert report["rsum"] == pytest.approx(50 + 100 + 100 + 100 / 3 + 100 + 100)
    # Among its hard negatives b1 is right (c is no rival there), a2 is not; c has no rival at all.
    assert report["choice"]["all"] == {"right": pytest.approx(200 / 3), "chance": 50.0, "questions": 3}
    assert set(report["choice"]["by_tag"]) == {"motion"}
    assert headline(report).startswith("text to video R@1 50.0")


def test_entries_without_tags_and_groups_give_no_breakdown() -> None:
    plain = [Entry(entry.path, entry.captions) for entry in ENTRIES]
    assert set(retrieval_metrics(SIM, plain)) == {"text_to_video", "video_to_text", "rsum"}


def test_the_protocol_of_video_to_text_is_a_choice() -> None:
    groups = retrieval_metrics(SIM, ENTRIES, video_to_text="caption_groups")
    assert groups["video_to_text"]["questions"] == 3
    assert groups["text_to_video"] == retrieval_metrics(SIM, ENTRIES)["text_to_video"]


def test_numbers_that_are_none_are_refused() -> None:
    broken = SIM.copy()
    broken[3, 0] = np.nan
    with pytest.raises(NonFiniteScoresError, match="text 3 with video 0 is nan"):
        retrieval_metrics(broken, ENTRIES)


def test_nothing_is_chosen_by_its_score_on_test() -> None:
    refuse_test_split("latest", {"1k-A"}, "validation")
    with pytest.raises(SelectionOnTestError, match=r"validation on the split '1k-A', .* no test score left"):
        refuse_test_split("1k-A", {"1k-A"}, "validation")
