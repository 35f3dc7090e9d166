from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests.methods import tiny

from vidsift.search.explain import Explanation, account_for
from vidsift.search.questions import Part


def _explained(method: str, query: str, frames: int) -> tuple[Explanation, float]:
    model = tiny.model(method)
    text = model.encode_text([query])
    pixels, times = tiny.videos([frames, tiny.FRAMES])
    video = {
        name: one[:1] for name, one in model.encode_frames(pixels, times).items()
    }  # padded by its company
    with torch.inference_mode():
        account = model.method.align(text, video)
        score = float(model.method.similarity(text, video))
    pieces = model.tokenize([query]).pieces[0]
    terms = account_for(
        Part(query, 1.0), pieces=pieces, method=model.method, text=text, video=video, account=account
    )
    return Explanation(query, score, terms), score


@pytest.mark.parametrize("method", ["drl", "zero_shot", "clip4clip"])
def test_contributions_sum_to_the_score(method: str) -> None:
    explanation, score = _explained(method, "a red circle moves left", 3)
    assert explanation.total == pytest.approx(score, abs=1e-6)


def test_words_and_frames_are_the_real_ones() -> None:
    explanation, _ = _explained("drl", "a red circle", 3)
    (term,) = explanation.terms
    assert term.name == "word-frame"
    assert [word.strip() for word in term.words[1:-1]] == ["a", "red", "circle"]
    assert term.values.shape == term.contributions.shape == (5, 3)
    assert term.times_seconds is not None
    assert term.times_seconds.tolist() == [0.5, 1.5, 2.5]
    assert np.array_equal(term.best_video_token, term.values.argmax(axis=1))
    assert np.array_equal(term.best_text_token, term.values.argmax(axis=0))
    assert term.text_weights.sum() == pytest.approx(1, abs=1e-6)
    assert term.video_weights.sum() == pytest.approx(1, abs=1e-6)


def test_a_sentence_that_is_one_token_is_called_by_itself() -> None:
    explanation, _ = _explained("zero_shot", "a red circle", 3)
    assert explanation.terms[0].words == ["a red circle"]


def test_json_holds_the_account() -> None:
    explanation, score = _explained("drl", "circle", 2)
    back = json.loads(json.dumps(explanation.to_dict()))
    assert back["score"] == score
    assert np.sum(back["terms"][0]["contributions"]) == pytest.approx(score, abs=1e-6)
