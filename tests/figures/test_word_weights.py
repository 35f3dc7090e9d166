"""Weights of words, summed over captions with their own videos."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from tests.methods import tiny

from vidsift.data.entries import Entry, captions_of
from vidsift.evaluation.evaluate import encode_gallery
from vidsift.figures.word_weights import WordWeights, draw_weights_by_place, draw_word_cloud, weigh_words


def test_weights_are_those_of_the_prepared_text(clips: list[Entry]) -> None:
    model = tiny.model("drl", {"interaction": "wti"})
    chosen = clips[:4]
    weights = weigh_words(model, encode_gallery(model, chosen, workers=0))
    captions = captions_of(chosen)
    with torch.inference_mode():
        text = model.encode_text(captions)["word"]
    assert text.weights is not None
    ends, others, largest = [], [], 0
    for row, words in enumerate(model.tokenize(captions).pieces):
        values = text.weights[row, : len(words)].numpy()
        ends.append(values[-1])
        others += values[:-1].tolist()
        largest += int(values.argmax()) == len(values) - 1
    assert weights.captions == len(captions) == 12
    assert weights.end_mean == pytest.approx(np.mean(ends), abs=1e-5)
    assert weights.others_mean == pytest.approx(np.mean(others), abs=1e-5)
    assert weights.end_first == largest / 12
    assert sum(weights.heaviest.values()) == 12
    assert not {"<|startoftext|>", "<|endoftext|>", ","} & weights.heaviest.keys()


def test_a_method_without_words_is_refused(clips: list[Entry]) -> None:
    model = tiny.model("clip4clip", {"head": "meanP"})
    with pytest.raises(ValueError, match="compares no words"):
        weigh_words(model, encode_gallery(model, clips[:2], workers=0))


WEIGHTS = WordWeights(10, 0.9, 0.5, 0.1, [0.01, 0.2, 0.1], {"red": 8, "ring": 2})


def test_bars_stand_at_the_places_of_a_sentence() -> None:
    [axes] = draw_weights_by_place(WEIGHTS).page.axes
    assert [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)] == [0.01, 0.2, 0.1, 0.5]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["start", "1", "2", "end"]
    assert "90.0 % of 10 captions" in axes.get_title()


def test_words_are_the_larger_the_oftener_they_weigh_most() -> None:
    texts = draw_word_cloud(WEIGHTS).page.texts
    assert [text.get_text() for text in texts] == ["red", "ring"]
    assert [text.get_fontsize() for text in texts] == pytest.approx([30.0, 7 + 23 * 0.5])
    assert len(draw_word_cloud(WEIGHTS, most=1).page.texts) == 1
    with pytest.raises(ValueError, match="no caption has a word"):
        draw_word_cloud(WordWeights(1, 1.0, 1.0, 0.0, [0.0], {}))
