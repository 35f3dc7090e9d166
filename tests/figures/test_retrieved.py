"""What was found for captions, and which captions are worth a look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from vidsift.data.entries import Entry
from vidsift.figures.retrieved import draw_retrieved, failed_captions, rescued_captions, retrieved

ENTRIES = [
    Entry(Path("a.mp4"), ("one", "two")),
    Entry(Path("b.mp4"), ("three",)),
    Entry(Path("c.mp4"), ("four",)),
]
# Captions of a, a, b, c.
FIRST = np.asarray([[0.9, 0.1, 0.2], [0.1, 0.2, 0.3], [0.5, 0.4, 0.1], [0.0, 0.0, 0.0]])
SECOND = np.asarray([[0.9, 0.1, 0.2], [0.5, 0.2, 0.3], [0.3, 0.4, 0.1], [0.0, 0.1, 0.2]])


def test_the_best_videos_and_the_rank_of_the_right_one() -> None:
    row = retrieved(FIRST, ENTRIES, 1, model="dp", videos=2)
    assert (row.caption, row.videos, row.scores) == ("two", (2, 1), (0.3, 0.2))
    assert (row.right, row.right_rank) == (0, 3)
    # In the middle of those with its very score.
    assert retrieved(FIRST, ENTRIES, 3).right_rank == 2
    with pytest.raises(ValueError, match="caption 4: there are captions 0 to 3"):
        retrieved(FIRST, ENTRIES, 4)


def test_surest_mistakes_come_first() -> None:
    assert failed_captions(FIRST, ENTRIES, 5) == [1, 2]
    assert failed_captions(FIRST, ENTRIES, 1) == [1]


def test_rescued_are_those_that_the_second_model_alone_finds() -> None:
    assert rescued_captions(FIRST, SECOND, ENTRIES, 5) == [1, 2]
    assert rescued_captions(SECOND, FIRST, ENTRIES, 5) == []


def test_a_missing_video_is_no_mistake() -> None:
    scores = FIRST.copy()
    scores[:, 0] = -np.inf
    # Captions 0 and 1 are of the video that is missing.
    assert failed_captions(scores, ENTRIES, 5) == []


def test_boxes_tell_right_from_wrong(clips: list[Entry]) -> None:
    entries = [*clips[:2], Entry(Path("absent.mp4"), ("a video that is gone",))]
    captions = sum(len(entry.captions) for entry in entries)
    sim = np.tile([[0.3, 0.2, 0.1]], (captions, 1))
    drawing = draw_retrieved([retrieved(sim, entries, 0)], entries)
    colours = [to_hex(axes.spines["left"].get_edgecolor()) for axes in drawing.page.axes]
    assert colours == ["#2e8b57", "#c0392b", "#c0392b"]
    assert [axes.get_xlabel().split()[0] for axes in drawing.page.axes] == ["right", "wrong", "wrong"]
    # A video that cannot be read is said to be so, not left out.
    assert [text.get_text() for text in drawing.page.axes[2].texts] == ["cannot be read"]
    assert drawing.numbers[0]["files"][2] == "absent.mp4"
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_retrieved([], entries)
