"""How far scores fall without a word: for every kind of method, by the scores that hits have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.index.library import filled
from tests.methods import tiny

from vidsift.data.folder import read_folder
from vidsift.errors import NoAlignmentError, QueryError
from vidsift.index.build import build_index
from vidsift.methods.model import BUNDLED, Model
from vidsift.search.leaving_out import MEANING, LeavingOut, leave_words_out
from vidsift.search.searcher import Index
from vidsift.search.sentence_words import is_function_word, sentence_words
from vidsift.shapes.library import write_library

QUERY = "a large blue, blue square + circle - two triangles"
PARTS = {"a large blue, blue square": 1 / 3, "circle": 1 / 3, "two triangles": -1 / 3}
WITHOUT = {
    "a large blue, blue square": [
        "large blue, blue square",
        "a blue, blue square",
        "a large, blue square",
        "a large blue, square",
        "a large blue, blue",
    ],
    "circle": [""],
    "two triangles": ["triangles", "two"],
}
SMALL_PROST = {"max_frames": tiny.FRAMES, "objects": 3, "phrases": 4, "events": 2, "frame_layers": 1}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain CLIP": ("zero_shot", {}),
    "wti": ("drl", {}),
    "mlp": ("drl", {"interaction": "mlp", "temporal": "none"}),
    "xti": ("drl", {"interaction": "xti"}),
    "pidro": ("pidro", {"patch_tokens": 6}),
    "prost": ("prost", SMALL_PROST),
    "xpool": ("xpool", {}),
    "xclip": ("xclip", {"max_frames": tiny.FRAMES}),
}
BLACK_BOXES = {"mlp", "xti"}
WITH_UNTIMED = {"pidro", "prost", "xclip"}


def opened(folder: Path, name: str) -> Index:
    method, arguments = METHODS[name]
    model = tiny.model(method, arguments)
    return Index.open(filled(folder / "index", model, [5, 3, 5, 2]).folder, model)


def falls(index: Index, query: str, segment: str) -> LeavingOut:
    leaving_out = index.explain(query, segment, leave_out=True).leaving_out
    assert leaving_out is not None
    return leaving_out


@pytest.mark.parametrize("name", METHODS)
def test_falls_are_differences_of_the_scores_of_hits(tmp_path: Path, name: str) -> None:
    index = opened(tmp_path, name)
    segment = index.gallery.segment_ids[1]

    def score(sentence: str) -> float:
        return index.explain(sentence, segment, leave_out=True).score

    account = falls(index, QUERY, segment)
    assert [word.word for word in account.words] == [
        word.text for part in PARTS for word in sentence_words(part)
    ]
    assert [word.without for word in account.words] == [text for part in WITHOUT.values() for text in part]
    for word in account.words:
        assert word.weight == pytest.approx(PARTS[word.sentence])
        assert word.sentence[word.start : word.end] == word.word
        if not word.without:
            assert word.fall is None
            assert word.frame_falls is None
            continue
        fall = word.weight * (score(word.sentence) - score(word.without))
        assert word.fall == pytest.approx(fall, abs=2e-7)
    # The comma is one word to the right of the first "blue": another sentence, another score.
    assert len({word.fall for word in account.words if word.word == "blue"}) == 2
    json.dumps(account.to_dict())


@pytest.mark.parametrize("name", METHODS)
def test_the_falls_of_frames_sum_to_that_of_the_score(tmp_path: Path, name: str) -> None:
    index = opened(tmp_path, name)
    segment = index.gallery.segment_ids[0]
    sentence = "a red circle moves left"
    account = falls(index, sentence, segment)
    assert len(account.words) == 5
    if name in BLACK_BOXES:
        assert account.times_seconds is None
        assert account.frames_missing.startswith("the model cannot say what each frame gave")
        assert all(word.fall is not None and word.frame_falls is None for word in account.words)
        return
    assert account.frames_missing == ""
    shares = shares_of(index, sentence, segment)
    assert account.times_seconds is not None
    assert account.times_seconds.tolist() == list(shares)
    for word in account.words:
        assert word.frame_falls is not None
        less = shares_of(index, word.without, segment)
        expected = np.array([shares[time] - less[time] for time in shares])
        assert word.frame_falls == pytest.approx(expected, abs=2e-7)
        assert (word.untimed_fall is not None) == (name in WITH_UNTIMED)
        assert word.frame_falls.sum() + (word.untimed_fall or 0.0) == pytest.approx(word.fall, abs=1e-6)


def shares_of(index: Index, sentence: str, segment: str) -> dict[float, float]:
    (hit,) = (hit for hit in index.search(sentence, k=9) if hit.segment_id == segment)
    return dict(zip(hit.times_seconds, hit.shares, strict=True))


def test_a_black_box_has_this_account_alone(tmp_path: Path) -> None:
    index = opened(tmp_path, "mlp")
    (hit,) = index.search("a red circle", k=1)
    with pytest.raises(
        NoAlignmentError, match=r"is a black box.*; leave_out=True says how much the score falls"
    ):
        index.explain("a red circle", hit)
    explanation = index.explain("a red circle", hit, leave_out=True)
    assert explanation.score == hit.score
    assert explanation.terms == []
    assert "PairPerceptron is a black box" in explanation.account_missing
    account = explanation.to_dict()["leaving_out"]
    assert account["meaning"] == MEANING
    assert [word["fall"] is None for word in account["words"]] == [False] * 3
    assert index.explain("a red circle", hit, leave_out=True).to_dict()["leaving_out"] == account


def test_words_are_left_out_only_where_that_is_asked_for(tmp_path: Path) -> None:
    index = opened(tmp_path, "wti")
    (hit,) = index.search("a red circle", k=1)
    plain = index.explain("a red circle", hit)
    assert plain.leaving_out is None
    assert plain.account_missing == ""
    assert index.explain("a red circle", hit, leave_out=True).terms[0].total == plain.terms[0].total
    with pytest.raises(QueryError, match="too long"):
        index.explain("square " * 20, hit, leave_out=True)


@pytest.mark.parametrize(
    ("name", "compares_words", "carry"),
    [
        ("wti", True, True),
        ("pidro", True, False),  # routed words of random weights: the end of text wins all frames
        ("plain CLIP", False, False),
        ("prost", False, False),
        ("mlp", False, False),
    ],
)
def test_words_that_do_not_carry_the_score_are_left_out_without_being_asked_for(
    tmp_path: Path, name: str, compares_words: bool, carry: bool
) -> None:
    index = opened(tmp_path, name)
    segment = index.gallery.segment_ids[0]
    explanation = index.explain("a red circle", segment, leave_out="auto")
    assert explanation.words_carry is carry
    assert (explanation.leaving_out is None) is carry
    assert [word.word for word in explanation.words] == ["a", "red", "circle"]
    assert all((word.contribution is not None) is compares_words for word in explanation.words)
    if not carry:
        always = index.explain("a red circle", segment, leave_out=True)
        assert explanation.to_dict() == always.to_dict()


def test_several_hits_of_a_question_are_encoded_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = opened(tmp_path, "plain CLIP")
    batches: list[list[str]] = []
    encode_text = Model.encode_text

    def counted(self: Model, texts: Sequence[str], **named: Any) -> Any:
        batches.append(list(texts))
        return encode_text(self, texts, **named)

    monkeypatch.setattr(Model, "encode_text", counted)
    for segment in index.gallery.segment_ids:
        index.explain("a very very red circle", segment, leave_out=True)
    # The questions themselves are encoded each by itself, as a search encodes them.
    several = [batch for batch in batches if len(batch) > 1]
    # Two words leave the same sentence.
    assert several == [["very very red circle", "a very red circle", "a very very circle", "a very very red"]]


def test_only_what_the_model_reads_is_left_out() -> None:
    model = tiny.model("zero_shot")
    long = "circle " * 3 + "square " * 30
    read = leave_words_out(model, long)
    pieces = model.tokenize([long]).pieces[0]
    assert 3 < len(read.words) <= len(pieces) - 2
    # No word that was cut off moves up.
    assert all(len(sentence_words(text)) == len(read.words) - 1 for text in read.texts)
    assert read.count == len(set(read.texts)) == 2


@pytest.mark.parametrize(
    ("sentence", "words"), [("circle!", ["circle"]), ("\U0001f680 !", []), ("円が動く", ["円が動く"])]
)
def test_sentences_of_one_word_or_none(tmp_path: Path, sentence: str, words: list[str]) -> None:
    index = opened(tmp_path, "plain CLIP")
    account = falls(index, sentence, index.gallery.segment_ids[0])
    assert [word.word for word in account.words] == words
    assert all(word.fall is None for word in account.words)
    assert account.times_seconds is not None


def test_on_real_files_the_bundled_model_falls_furthest_without_what_it_sees(tmp_path: Path) -> None:
    write_library(tmp_path / "videos", "test", videos=8, seed=2, workers=1)
    build_index([tmp_path / "videos"], tmp_path / "index", BUNDLED, workers=1)
    index = Index.open(tmp_path / "index")
    without: dict[bool, list[float]] = {False: [], True: []}
    for video in read_folder(tmp_path / "videos"):
        sentence = video.captions[0]
        hit = index.segment_of(sentence, video.path)
        explanation = index.explain(sentence, hit, leave_out=True)
        assert explanation.leaving_out is not None
        for word in explanation.leaving_out.words:
            assert word.fall is not None
            assert word.frame_falls is not None
            assert word.frame_falls.sum() == pytest.approx(word.fall, abs=1e-6)
            without[is_function_word(word.word)].append(word.fall)
    # .0017 and -.0011 when this was written: a mean over words moves little without one of them.
    assert np.mean(without[False]) > 0.001 + np.mean(without[True])
