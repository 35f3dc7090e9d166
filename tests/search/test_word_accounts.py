"""Exact accounts by word: they are those of the score, whatever terms a method has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.methods import tiny
from tests.methods.variants import VARIANTS

from vidsift.evaluation.ranks import text_to_video_ranks
from vidsift.index.build import build_index
from vidsift.search.searcher import Index
from vidsift.search.word_accounts import exact_accounts, scores_of_words, scores_without_ends, word_terms
from vidsift.shapes.library import write_library

SENTENCES = ["a red circle moves left", "two triangles, a yellow ring", "a red circle moves left"]
WITH_WORDS = {
    "drl-wti": ["word-frame"],
    "drl-ti-zero": ["word-frame"],
    "pidro": ["word-frame", "word-patch"],
    "xclip-included": ["word-video", "word-frame"],
    "video_colbert": ["word-frame", "word-video"],
    "clip2video": ["word-clip"],
}


@pytest.mark.parametrize("variant", WITH_WORDS)
def test_what_words_and_the_rest_gave_is_the_score(variant: str) -> None:
    model = tiny.model(*VARIANTS[variant])
    videos = model.encode_frames(*tiny.videos([5, 3]))
    rows = [0, 1, 1]
    assert word_terms(model) == WITH_WORDS[variant]
    accounts = list(exact_accounts(model, videos, SENTENCES, rows))
    scores = model.similarity(SENTENCES, videos).numpy()[range(3), rows]
    for account, score in zip(accounts, scores, strict=True):
        assert account.words.parts.sum() == pytest.approx(score, abs=1e-5)
        assert account.piece_weights is not None
        assert account.words.weights is not None
        assert account.words.rest_weights is not None
        total = account.words.weights.sum() + sum(account.words.rest_weights.values())
        assert total == pytest.approx(1)
    # "triangles" is several tokens and one word.
    assert [len(account.words.gave) for account in accounts] == [5, 5, 5]
    assert len(accounts[1].pieces) > 5 + 3
    assert accounts[0].words.evidence.shape == (5, len(accounts[0].words.times_seconds))
    assert (accounts[0].words.places is not None) == (variant == "pidro")


@pytest.mark.parametrize("variant", ["zero_shot", "drl-hi", "drl-xti-word", "prost", "ts2net", "xpool"])
def test_methods_without_words_have_none(variant: str) -> None:
    assert word_terms(tiny.model(*VARIANTS[variant])) == []


def test_a_word_is_at_a_frame_what_its_tokens_are_on_average() -> None:
    model = tiny.model("drl", {"interaction": "ti", "temporal": "none"})
    videos = model.encode_frames(*tiny.videos([4]))
    (account,) = exact_accounts(model, videos, ["two triangles"], [0])
    text = model.encode_text(["two triangles"])["word"].tokens[0].detach().numpy()
    cosines = text @ videos["frame"].tokens[0].detach().numpy().T
    assert account.words.times_seconds.tolist() == [0.5, 1.5, 2.5, 3.5]
    # Start, the pieces of "two", those of "triangles", end.
    second = len(model.tokenize(["two"]).pieces[0]) - 1
    for row, pieces in enumerate((slice(1, second), slice(second, -1))):
        expected = cosines[pieces].mean(axis=0)
        np.testing.assert_allclose(account.words.evidence[row], expected, atol=1e-6)


def test_words_beyond_what_a_model_reads_are_not_in_its_account() -> None:
    model = tiny.model("drl", {"temporal": "none"})
    sentence = "a red circle " * 9
    (account,) = exact_accounts(model, model.encode_frames(*tiny.videos([2])), [sentence], [0])
    assert account.places == list(range(len(account.words.gave)))
    assert len(account.words.gave) < 27


def test_scores_without_start_and_end_are_those_of_a_method_that_never_had_them() -> None:
    model = tiny.model("drl", {"interaction": "ti", "temporal": "none"})
    videos = model.encode_frames(*tiny.videos([4, 5, 2]))
    sim = scores_without_ends(model, videos, SENTENCES, ["word-frame"])
    texts = model.encode_text(SENTENCES)["word"]
    for row, pieces in enumerate(model.tokenize(SENTENCES).pieces):
        words = texts.tokens[row, 1 : len(pieces) - 1].detach().numpy()
        for column in range(3):
            frames = videos["frame"].tokens[column][videos["frame"].mask[column]].detach().numpy()
            meets = words @ frames.T
            assert sim[row, column] == pytest.approx(
                0.5 * meets.max(axis=1).mean() + 0.5 * meets.max(axis=0).mean(), abs=1e-5
            )
    assert len(text_to_video_ranks(sim, [0, 1, 2])) == 3


def test_without_the_ends_a_sentence_as_a_whole_does_not_count() -> None:
    model = tiny.model("xclip", {"temporal_layers": 1})
    videos = model.encode_frames(*tiny.videos([4, 5]))
    names = word_terms(model)
    before = scores_without_ends(model, videos, SENTENCES[:2], names)
    text = model.encode_text(SENTENCES[:2])
    changed = dict(text) | {"sentence": text["sentence"].replace(tokens=-text["sentence"].tokens)}
    model.encode_text = lambda *_, **__: changed  # type: ignore[method-assign]
    np.testing.assert_array_equal(scores_without_ends(model, videos, SENTENCES[:2], names), before)


@pytest.mark.parametrize("variant", ["drl-wti", "pidro", "xclip-included", "clip2video", "video_colbert"])
def test_what_words_gave_alone_is_what_the_account_of_each_pair_gives_them(variant: str) -> None:
    model = tiny.model(*VARIANTS[variant])
    videos = model.encode_frames(*tiny.videos([5, 3, 4]))
    sim = scores_of_words(model, videos, SENTENCES[:2], word_terms(model))
    for row, sentence in enumerate(SENTENCES[:2]):
        accounts = exact_accounts(model, videos, [sentence] * 3, [0, 1, 2])
        expected = [account.words.gave.sum() + account.words.rest["marks"] for account in accounts]
        np.testing.assert_allclose(sim[row], expected, atol=1e-5)


@pytest.mark.parametrize("variant", ["drl-wti", "pidro"])
def test_the_account_is_the_explanation_of_the_same_clip_in_an_index(variant: str, tmp_path: Path) -> None:
    model = tiny.model(*VARIANTS[variant])
    write_library(tmp_path / "clips", videos=4, size_px=32, frames_per_second=4, workers=1)
    paths = sorted((tmp_path / "clips").glob("*.mp4"))
    build_index(paths, tmp_path / "index", model, workers=1)
    index = Index.open(tmp_path / "index", model)
    explanation = index.explain(SENTENCES[0], index.segment_of(SENTENCES[0], str(paths[2])))
    (account,) = exact_accounts(model, model.encode_video(paths), [SENTENCES[0]], [2])
    # An index holds fp16.
    words = [term.contributions.sum(axis=1) for term in explanation.terms]
    total = np.sum(words, axis=0)
    # Each word of this sentence is one token, but for "moves".
    assert explanation.terms[0].words[:4] == ["<|startoftext|>", "a", "red", "circle"]
    np.testing.assert_allclose(account.words.gave[:3], total[1:4], atol=1e-4)
    np.testing.assert_allclose(account.words.gave[3:].sum(), total[4:-1].sum(), atol=1e-4)
    np.testing.assert_allclose(
        [account.words.rest["start"], account.words.rest["end"]], total[[0, -1]], atol=1e-4
    )
    best = explanation.terms[0].best_video_token[1:4]
    assert account.words.evidence[:3].argmax(axis=1).tolist() == best.tolist()
