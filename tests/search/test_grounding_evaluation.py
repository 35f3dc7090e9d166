"""Accounts of words judged end to end, on tiny models and random pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from tests.methods import tiny
from tests.search import grounded

from vidsift.evaluation.grounding import WordAccount
from vidsift.methods.model import Model
from vidsift.search.grounded_captions import SEED, grounded_captions, other_captions, shuffled_sentence
from vidsift.search.grounding_evaluation import accounts_of, evaluate_grounding
from vidsift.search.left_out_accounts import left_out_accounts
from vidsift.search.sentence_words import sentence_words
from vidsift.search.word_accounts import PairAccount, exact_accounts
from vidsift.types import Features

# Frames stand at 0.5 to 4.5 s: two of five are in the span.
CHANCE = 40.0


def test_every_number_is_that_of_the_accounts_that_an_explanation_shows() -> None:
    model = tiny.model("drl", {"temporal": "none"})
    entries = grounded.entries()
    gallery = grounded.gallery(model, entries)
    counted: list[int] = []
    report = evaluate_grounding(model, gallery, progress=counted.append)
    sentences = [caption for entry in entries for caption in entry.captions]
    rows = [0, 1, 1, 2, 3]
    assert accounts_of(model) == ["exact", "leaving out"]
    assert sum(counted) == 2 * report["protocol"]["captions"] == 10
    pointed, ends = [], []
    for sentence, account in zip(
        sentences, exact_accounts(model, gallery.videos, sentences, rows), strict=True
    ):
        content = [word not in grounded.FUNCTION_WORDS for word in sentence.replace(",", "").split()]
        best = account.words.evidence.argmax(axis=1)
        pointed += [100.0 * (frame < 2) for frame, counts in zip(best, content, strict=True) if counts]
        assert account.piece_weights is not None
        ends.append(100 * account.piece_weights[-1])
    assert report["account"] == "exact"
    assert report["pointing"]["value"] == pytest.approx(np.mean(pointed))
    assert report["pointing"]["of"] == len(pointed) == report["protocol"]["content_words"]
    assert report["chance"]["value"] == pytest.approx(CHANCE)
    assert report["end_weight"]["value"] == pytest.approx(np.mean(ends))
    assert report["weights_by_place"]["end_mean"] == pytest.approx(np.mean(ends) / 100)
    for name in ("shuffled_words", "other_caption"):
        assert 0 <= report[name]["value"] <= 100
    assert set(report["by_kind"]) == {"appearance", "event"}
    # One hard negative each.
    assert report["difference"]["start_and_end_by_size"]["of"] == 5
    scores = model.similarity(model.encode_text(sentences), gallery.videos).numpy()
    right = scores.argmax(axis=1) == np.array(rows)
    without = report["without_ends"]
    assert without["R@1_whole"]["value"] == pytest.approx(100 * right.mean())
    assert without["R@1_lost"]["value"] == pytest.approx(
        without["R@1_whole"]["value"] - without["R@1"]["value"]
    )
    assert report["deletion"]["of"] == 4  # "two triangles" has one content word
    by_leaving_out = report["leaving_out"]
    assert by_leaving_out["chance"] == report["chance"]
    assert by_leaving_out["deletion"]["by_construction"]
    assert by_leaving_out["deletion"]["value"] == 100
    json.dumps(report, allow_nan=False)


def test_deletion_compares_falls_of_sentences_that_are_encoded_again() -> None:
    model = tiny.model("drl", {"temporal": "none"})
    sentence = "a red circle moves left"
    entries = grounded.entries()[:1]
    gallery = grounded.gallery(model, entries)
    report = evaluate_grounding(model, gallery)
    without = ["a circle moves left", "a red moves left", "a red circle left", "a red circle moves"]
    score, *scores = (model.similarity([text], gallery.videos).item() for text in [sentence, *without])
    falls = [score - other for other in scores]
    (account,) = exact_accounts(model, gallery.videos, [sentence], [0])
    gave = account.words.gave[1:]
    assert report["deletion"]["value"] == 100.0 * (falls[gave.argmax()] > falls[gave.argmin()])
    # A single video: there is no other caption, and no hard negative.
    assert report["other_caption"]["of"] == 0
    assert report["difference"] is None


def test_captions_of_missing_videos_and_without_grounding_take_no_part() -> None:
    model = tiny.model("drl", {"temporal": "none"})
    first, second, *others = grounded.entries()
    second = second.__class__(second.path, second.captions, grounding=(second.grounding[0], ()))
    report = evaluate_grounding(model, grounded.gallery(model, [first, second, *others], missing=[0]))
    assert (report["protocol"]["captions"], report["protocol"]["videos"]) == (3, 3)
    plain = [entry.__class__(entry.path, entry.captions) for entry in grounded.entries()]
    with pytest.raises(ValueError, match="no caption has grounding"):
        evaluate_grounding(model, grounded.gallery(model, plain))


def test_words_of_a_method_with_places_point_in_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.model("pidro", {"head_layers": 1})
    gallery = grounded.gallery(model, grounded.entries())
    monkeypatch.setattr("vidsift.search.grounding_pictures.PictureShapes.aspect", lambda _self, _entry: 1.0)
    report = evaluate_grounding(model, gallery)
    assert report["protocol"]["terms"] == ["word-frame", "word-patch"]
    # The left upper quarter of 4 x 4 places.
    assert report["picture"]["chance"]["value"] == pytest.approx(25)
    assert report["picture"]["pointing"]["of"] == report["protocol"]["content_words"]
    sentences = [caption for captions in grounded.CAPTIONS for caption in captions]
    at = [0, 1, 1, 2, 3]
    # Of each caption the other one, by the places that the report's captions were given.
    rng = np.random.default_rng(SEED)
    captions = grounded_captions(gallery)
    for caption in captions:
        shuffled_sentence(caption.sentence, rng)
    others = other_captions(captions, rng)
    expected: list[float] = []
    for place, other in enumerate(others):
        if other is None:
            continue
        (account,) = exact_accounts(model, gallery.videos, [sentences[other]], [at[place]])
        assert account.words.places is not None
        content = [word is not None for word in captions[other].truth_of_words]
        best = account.words.places[content].argmax(axis=1)
        in_corner = float(np.mean((best // 4 < 2) & (best % 4 < 2)))
        expected += [100 * in_corner] * sum(word is not None for word in captions[place].truth_of_words)
    assert report["picture"]["other_caption"]["value"] == pytest.approx(np.mean(expected))
    assert report["picture"]["other_caption"]["of"] == len(expected)


def test_a_method_without_words_is_judged_by_leaving_words_out() -> None:
    model = tiny.model("zero_shot")
    gallery = grounded.gallery(model, grounded.entries())
    counted: list[int] = []
    report = evaluate_grounding(model, gallery, progress=counted.append)
    assert accounts_of(model) == ["leaving out"]
    assert sum(counted) == 5
    assert (report["account"], report["why"]) == (
        "leaving out",
        "the method compares no words: it has an account of frames alone",
    )
    assert "leaving_out" not in report
    assert report["picture"] is None
    sentences = [caption for captions in grounded.CAPTIONS for caption in captions]
    pointed = []
    for sentence, account in zip(
        sentences, left_out_accounts(model, gallery.videos, sentences, [0, 1, 1, 2, 3]), strict=True
    ):
        content = [word not in grounded.FUNCTION_WORDS for word in sentence.replace(",", "").split()]
        best = account.words.evidence[content].argmax(axis=1)
        pointed += (100.0 * (best < 2)).tolist()
    assert report["pointing"]["value"] == pytest.approx(np.mean(pointed))
    assert report["chance"]["value"] == pytest.approx(CHANCE)
    assert report["end_weight"] is None
    assert set(report["score"]) == {"function", "content"}
    json.dumps(report, allow_nan=False)


def test_a_black_box_points_nowhere() -> None:
    model = tiny.model("drl", {"interaction": "mlp", "temporal": "none"})
    report = evaluate_grounding(model, grounded.gallery(model, grounded.entries()))
    assert report["why"] == "the method is a black box: it has no account of its score"
    assert (report["pointing"]["value"], report["pointing"]["of"]) == (None, 0)
    assert report["effective_words"]["value"] > 1


@pytest.mark.parametrize(("known", "expected"), [(True, 100.0), (False, CHANCE)])
def test_a_perfect_account_gets_all_and_one_that_says_nothing_gets_chance(
    known: bool, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By accounts that are made up: of every word the frames in which it is true, or all alike."""

    def made_up(
        _model: Model, _videos: Features, sentences: Sequence[str], _rows: Sequence[int]
    ) -> Iterator[PairAccount]:
        for sentence in sentences:
            words = sentence_words(sentence)
            evidence = np.zeros((len(words), tiny.FRAMES))
            evidence[:, :2] = known
            gave = np.array([float(word.text not in grounded.FUNCTION_WORDS) for word in words])
            rest = {"start": 0.0, "end": 0.0, "marks": 0.0}
            account = WordAccount(evidence, gave, rest, 0.5 + np.arange(tiny.FRAMES, dtype=np.float64))
            yield PairAccount(list(range(len(words))), account, [], None)

    monkeypatch.setattr("vidsift.search.grounding_evaluation.exact_accounts", made_up)
    model = tiny.model("drl", {"temporal": "none"})
    report = evaluate_grounding(model, grounded.gallery(model, grounded.entries()))
    assert report["pointing"]["value"] == pytest.approx(expected)
    assert report["pointing"]["interval"] == pytest.approx([expected, expected])
    # All that gave anything gave alike: the order of their falls says nothing.
    assert report["deletion"]["value"] == 50
    assert report["score"]["content"]["value"] == 100
    assert report["difference"]["start_and_end"]["value"] is None
