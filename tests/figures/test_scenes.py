"""Scenes counted by cuts, and what a method gains on videos of so many."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from vidsift.data.entries import Entry
from vidsift.figures.scenes import count_scenes, draw_gain_by_scenes, is_cut
from vidsift.types import Span


def write_scenes(path: Path, colours: list[tuple[int, int, int]], seconds: int = 2) -> None:
    """A video with a moving square before a plain wall that changes at every cut."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for colour in colours:
            for number in range(8 * seconds):
                picture = np.full((64, 64, 3), colour, np.uint8)
                picture[20:36, number * 2 : number * 2 + 16] = 255 - np.asarray(colour, np.uint8)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def test_cuts_are_counted_and_movement_is_not(tmp_path: Path, clips: list[Entry]) -> None:
    colours = [(200, 30, 30), (30, 30, 200), (30, 200, 30)]
    write_scenes(tmp_path / "three.mp4", colours)
    assert count_scenes(tmp_path / "three.mp4") == 3
    assert count_scenes(tmp_path / "three.mp4", Span(0.0, 1.9)) == 1
    # In these clips everything moves and nothing is cut.
    assert [count_scenes(entry.path) for entry in clips[:3]] == [1, 1, 1]


def test_half_of_the_pixels_make_a_cut() -> None:
    black, half = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    half[:4] = 255
    assert is_cut(black, half)
    half[3] = 0
    assert not is_cut(black, half)


def test_the_gain_is_told_by_the_number_of_scenes() -> None:
    drawing = draw_gain_by_scenes(
        [1, 1, 2, 7, 9], [0, 50, 0, 10, 0], [50, 50, 100, 0, 0], names=("dp", "wti")
    )
    bars = drawing.numbers["bars"]
    assert [(bar["scenes"], bar["videos"], bar["gain"]) for bar in bars] == [
        (1, 2, 25),
        (2, 1, 100),
        (5, 2, -5),
    ]
    assert [bar["error"] for bar in bars] == pytest.approx([25.0, 0.0, 5.0])
    [axes] = drawing.page.axes
    assert [label.get_text() for label in axes.get_xticklabels()][-1] == "5 or more\n(2 videos)"
    with pytest.raises(ValueError, match="2 videos, 1 and 1 recalls"):
        draw_gain_by_scenes([1, 2], [0], [1], names=("dp", "wti"))
