from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny

from vidsift.search.explain import Explanation, account_for
from vidsift.search.searcher import Index
from vidsift.search.sums import QueryPart


def _explained(method: str, query: str, frames: int) -> tuple[Explanation, float]:
    model = tiny.model(method)
    text = model.encode_text([query])
    pixels, times = tiny.videos([frames, tiny.FRAMES])
    video = {
        name: tokens[:1] for name, tokens in model.encode_frames(pixels, times).items()
    }  # padded by its company
    with torch.inference_mode():
        account = model.method.align(text, video)
        score = float(model.method.similarity(text, video))
    pieces = model.tokenize([query]).pieces[0]
    terms = account_for(
        QueryPart(query, 1.0), pieces=pieces, method=model.method, text=text, video=video, account=account
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


SMALL_PROST = {"max_frames": tiny.FRAMES, "objects": 3, "phrases": 4, "events": 2, "frame_layers": 1}
METHODS: dict[str, tuple[str, Mapping[str, Any], dict[str, bool]]] = {
    "wti": ("drl", {}, {"word-frame": True}),
    "hi": ("drl", {"interaction": "hi", "levels": 1}, {"level-level": True}),
    "pidro": ("pidro", {"patch_tokens": 6}, {"word-frame": True, "word-patch": False}),
    "prost": ("prost", SMALL_PROST, {"phrase-object": True, "sentence-event": False}),
    "xclip": (
        "xclip",
        {"max_frames": tiny.FRAMES},
        {"sentence-video": False, "word-video": False, "sentence-frame": True, "word-frame": True},
    ),
    "ts2net": ("ts2net", {}, {"sentence-frame": True}),
    "zero_shot": ("zero_shot", {}, {"sentence-frame": True}),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_accounts_for_the_score_of_its_hits(tmp_path: Path, name: str) -> None:
    method, arguments, terms = METHODS[name]
    model = tiny.model(method, arguments)
    index = Index.open(filled(tmp_path / "index", model, [5, 3, 5, 2]).folder, model)
    query = "a large blue square + circle - two triangles"
    for sentence in ("a large blue square", query):
        for hit in index.search(sentence, k=4):
            explanation = index.explain(sentence, hit)
            assert explanation.score == hit.score
            assert explanation.total == pytest.approx(hit.score, abs=1e-6)
            assert sum(term.total for term in explanation.terms) == pytest.approx(hit.score, abs=1e-6)
            parts = 3 if sentence == query else 1
            timed = {term.name: term.times_seconds is not None for term in explanation.terms}
            assert (timed, len(explanation.terms)) == (terms, parts * len(terms))
            # The moment comes from the terms whose tokens have a time.
            assert explanation.moment_from == [name for name, has_time in terms.items() if has_time]
            from_timed = sum(term.total for term in explanation.terms if term.times_seconds is not None)
            assert sum(hit.shares) == pytest.approx(from_timed, abs=1e-6)
            for term in explanation.terms:
                assert (term.note == "") == terms[term.name]
                assert term.values.shape == (len(term.words), len(term.video_weights))
                inside = term.values[np.arange(len(term.words)), term.best_video_token]
                assert inside == pytest.approx(term.values.max(axis=1), abs=1e-6)
            json.dumps(explanation.to_dict())


def test_patches_have_a_place_in_the_picture_and_no_time(tmp_path: Path) -> None:
    model = tiny.model("pidro", {"patch_tokens": 6})
    index = Index.open(filled(tmp_path / "index", model, [5, 3]).folder, model)
    hit = index.search("circle", k=1)[0]
    frame, patch = index.explain("circle", hit).terms
    assert frame.grid is None
    assert patch.grid == (4, 4)  # 16 px in patches of 4
    assert patch.group is not None
    assert len(patch.group) == 6
    assert set(patch.group.tolist()) <= set(range(16))
    assert patch.note == "each patch is one place of the picture in all frames: it has a place and no time"
    assert patch.weight == pytest.approx(0.2)


def test_places_are_those_among_the_real_tokens() -> None:
    """Padding in the middle shifts nothing, and padding that won is no place."""
    from vidsift.search.explain import _among_real

    real = torch.tensor([True, False, True, True, False])
    assert _among_real(torch.tensor([0, 2, 3, 1, 4]), real).tolist() == [0, 1, 2, -1, -1]
