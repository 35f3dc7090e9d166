"""Accounts by leaving words out: differences of scores and of what frames gave."""

from __future__ import annotations

import numpy as np
import pytest
from tests.methods import tiny
from tests.methods.variants import VARIANTS

from vidsift.search.left_out_accounts import left_out_accounts

SENTENCE = "a red circle moves"
WITHOUT = ["red circle moves", "a circle moves", "a red moves", "a red circle"]


@pytest.mark.parametrize("variant", ["zero_shot", "drl-wti", "pidro", "drl-mlp"])
def test_a_word_gave_what_the_score_falls_by_without_it(variant: str) -> None:
    model = tiny.model(*VARIANTS[variant])
    videos = model.encode_frames(*tiny.videos([3, 5]))
    (account,) = left_out_accounts(model, videos, [SENTENCE], [1])
    second = {name: tokens[1:] for name, tokens in videos.items()}
    scores = [model.similarity([text], second).item() for text in [SENTENCE, *WITHOUT]]
    np.testing.assert_allclose(account.words.gave, scores[0] - np.array(scores[1:]), atol=1e-5)
    assert account.places == [0, 1, 2, 3]
    assert account.words.rest == {}
    if variant in {"zero_shot", "drl-wti"}:
        # All of the score comes from frames, so theirs are the parts of its fall.
        assert account.words.times_seconds.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
        np.testing.assert_allclose(account.words.evidence.sum(axis=1), account.words.gave, atol=1e-5)
    if variant == "drl-mlp":
        assert account.words.evidence.shape == (4, 0)


def test_the_only_word_of_a_sentence_has_no_account() -> None:
    model = tiny.model("zero_shot")
    videos = model.encode_frames(*tiny.videos([2]))
    single, both = left_out_accounts(model, videos, ["circle!", "very very"], [0, 0])
    assert single.places == []
    assert single.words.gave.shape == (0,)
    assert both.places == [0, 1]
    assert both.words.gave[0] == both.words.gave[1]
