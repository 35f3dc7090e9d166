"""Rows of post-processed numbers: labelled, both ways, with missing videos and with a bank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidsift.data.entries import Entry
from vidsift.evaluation.post_processed import Bank, BankSource, bank_captions, post_processed_row

HUB = np.full((4, 4), 0.2, np.float32) + 0.05 * np.eye(4, dtype=np.float32)
HUB[:, 1] = [0.28, 0.34, 0.28, 0.28]
ALL = np.ones(4, bool)


@pytest.mark.parametrize("name", ["dsl", "sinkhorn", "tvh"])
def test_a_hub_gives_way_in_a_row_that_says_transductive(name: str) -> None:
    row, ranks = post_processed_row(
        name,  # type: ignore[arg-type]
        HUB,
        np.arange(4),
        video_to_text="closest_caption",
        present=ALL,
    )
    assert row["transductive"]
    assert (row["text_to_video"]["R@1"], row["video_to_text"]["R@1"]) == (100.0, 100.0)
    assert row["rsum"] == 600.0
    assert ranks is not None
    assert ranks.text_to_video.expected().tolist() == [1.0] * 4


def test_a_missing_video_takes_no_part() -> None:
    holes = HUB.copy()
    holes[:, 1] = np.nan
    row, _ = post_processed_row(
        "dsl",
        holes,
        np.arange(4),
        video_to_text="closest_caption",
        present=np.array([True, False, True, True]),
    )
    assert row["text_to_video"]["R@1"] == 75.0
    assert row["text_to_video"]["questions"] == 4


def source(split: str = "train", captions: int = 100) -> BankSource:
    entries = [Entry(Path(str(number)), (f"caption {number}", "the same for all")) for number in range(9)]
    return BankSource(entries, split, captions, transductive=split == "test")


def test_a_bank_of_captions_answers_one_direction_and_one_of_videos_the_other() -> None:
    texts = np.array([[0.2, 0.3, 0.2, 0.2]] * 5, np.float32)
    options = {"video_to_text": "closest_caption", "present": ALL}
    row, ranks = post_processed_row("qbnorm", HUB, np.arange(4), bank=Bank(texts, None, source()), **options)  # type: ignore[arg-type]
    assert not row["transductive"]
    assert row["text_to_video"]["R@1"] == 100.0
    assert (row["video_to_text"], row["rsum"], ranks) == (None, None, None)
    assert row["settings"]["bank"] == {"split": "train", "captions": 5, "videos": 0, "seed": 0}
    both = Bank(texts, np.full((4, 6), 0.2, np.float32), source("test"))
    row, ranks = post_processed_row("qbnorm", HUB, np.arange(4), bank=both, **options)  # type: ignore[arg-type]
    assert row["transductive"], "a bank of the split that is measured"
    assert ranks is not None
    assert row["rsum"] is not None


def test_captions_of_a_bank_are_drawn_once_each_by_the_seed() -> None:
    everything = bank_captions(source())
    assert len(everything) == 10
    assert everything.count("the same for all") == 1
    drawn = bank_captions(source(captions=4))
    assert len(set(drawn)) == 4
    assert drawn == bank_captions(source(captions=4))
    assert set(drawn) < set(everything)
