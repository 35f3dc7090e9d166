"""Accounts of a sentence and a file, and the pictures made of them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from tests.methods import tiny

from vidsift.data.entries import Entry
from vidsift.errors import NoAlignmentError
from vidsift.figures.pairs import explain_pair, timed_term
from vidsift.figures.word_frames import WordFrames, draw_word_frames, word_frames
from vidsift.types import Span


def test_the_account_sums_to_the_score_of_the_pair(clips: list[Entry]) -> None:
    model = tiny.model("drl", {"interaction": "wti"})
    explanation, frames = explain_pair(model, clips[0].path, "a red circle moves left")
    expected = float(model.similarity(["a red circle moves left"], [clips[0].path])[0, 0])
    assert explanation.score == pytest.approx(expected, abs=1e-6)
    assert explanation.total == pytest.approx(expected, abs=1e-5)
    assert len(frames) == tiny.FRAMES


def test_a_part_of_a_file_is_looked_at_alone(clips: list[Entry]) -> None:
    model = tiny.model("drl", {"interaction": "wti"})
    _, frames = explain_pair(model, clips[0].path, "circle", Span(1.0, 2.0))
    assert frames.times_seconds.min() >= 0.9
    assert frames.times_seconds.max() <= 2.0


def test_black_boxes_and_single_vectors_are_refused(clips: list[Entry]) -> None:
    with pytest.raises(NoAlignmentError):
        explain_pair(tiny.model("drl", {"interaction": "mlp"}), clips[0].path, "circle")
    explanation, _ = explain_pair(tiny.model("clip4clip", {"head": "meanP"}), clips[0].path, "circle")
    with pytest.raises(ValueError, match="no term of this model compares words with frames"):
        timed_term(explanation)


def test_lines_show_the_values_of_the_account(clips: list[Entry]) -> None:
    model = tiny.model("drl", {"interaction": "wti"})
    explanation, frames = explain_pair(model, clips[0].path, "a red circle")
    cell = word_frames(explanation, frames)
    assert cell.words == ["a", "red", "circle"]
    # Marks of start and end are left out.
    np.testing.assert_array_equal(cell.values, explanation.terms[0].values[1:-1])
    drawing = draw_word_frames([[cell]], ["tiny"])
    [axes] = drawing.page.axes
    assert len(axes.lines) == cell.values.size
    shown = [text.get_text() for text in axes.texts]
    assert shown[::2] == cell.words
    assert shown[1::2] == [f"{best:.2f}" for best in cell.values.max(axis=1)]


def test_what_is_alike_is_drawn_over_the_rest_in_red() -> None:
    values = np.asarray([[0.1, 0.9], [0.5, 0.3]], np.float32)
    cell = WordFrames(["a", "b"], [0.0, 1.0], values, np.zeros((2, 8, 8, 3), np.uint8))
    [axes] = draw_word_frames([[cell]], ["tiny"]).page.axes
    red = [rgb[0] - rgb[2] for rgb in (to_rgb(line.get_color()) for line in axes.lines)]
    assert red == sorted(red)
    # From the middle of the second frame to the first word: the pair that is most alike comes last.
    assert np.asarray(axes.lines[-1].get_xdata()).tolist() == pytest.approx([0.75, 0.25])


def test_of_many_frames_twelve_are_shown(clips: list[Entry]) -> None:
    model = tiny.model("drl", {"interaction": "ti", "max_frames": 30})
    explanation, frames = explain_pair(model, clips[0].path, "circle")
    assert len(word_frames(explanation, frames).seconds) == tiny.FRAMES
