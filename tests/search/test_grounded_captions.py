"""Captions with what is known of their words, and what accounts of them are held against."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.methods import tiny
from tests.search import grounded

from vidsift.search.grounded_captions import (
    grounded_captions,
    other_captions,
    shuffled_sentence,
)
from vidsift.search.sentence_words import sentence_words


def test_captions_know_their_words_their_video_and_its_hard_negatives() -> None:
    model = tiny.model("zero_shot")
    # The second of four videos is missing: rows are of those that are there.
    captions = grounded_captions(grounded.gallery(model, grounded.entries(), missing=[1]))
    assert [caption.sentence for caption in captions] == [
        "a red circle moves left",
        "a blue square grows",
        "a green star spins, a circle",
    ]
    assert [(caption.entry, caption.row) for caption in captions] == [(0, 0), (2, 1), (3, 2)]
    assert [caption.negatives for caption in captions] == [(), (2,), (1,)]
    many = [replace(entry, group="all") for entry in grounded.entries() * 3]
    rivals = grounded_captions(grounded.gallery(model, many))
    assert rivals[0].negatives == (1, 2, 3, 4, 5, 6, 7)
    assert rivals[-1].negatives == (0, 1, 2, 3, 4, 5, 6)
    last = captions[2]
    known = [None if word is None else word.text for word in last.truth_of_words]
    assert known == [None, "green", "star", "spins", None, "circle"]


def test_shuffling_moves_the_words_and_leaves_out_the_marks() -> None:
    sentence = "First, a dog's ball rolls; then it stops!"
    shuffled = shuffled_sentence(sentence, np.random.default_rng(0))
    assert shuffled is not None
    words = [word.text for word in sentence_words(sentence)]
    assert shuffled.sentence.split() == [words[place] for place in shuffled.order]
    assert sorted(shuffled.order) == list(range(len(words)))
    assert shuffled.order != sorted(shuffled.order)
    assert shuffled_sentence("...", np.random.default_rng(0)) is None


def test_another_caption_is_of_another_video_and_group() -> None:
    model = tiny.model("zero_shot")
    captions = grounded_captions(grounded.gallery(model, grounded.entries()))
    for caption, other in zip(captions, other_captions(captions, np.random.default_rng(0)), strict=True):
        assert other is not None
        assert captions[other].group != caption.group
    alone = [replace(caption, group="all") for caption in captions]
    assert other_captions(alone, np.random.default_rng(0)) == [None] * len(captions)
    of_one_video = [replace(caption, entry=0, group="") for caption in captions]
    assert other_captions(of_one_video, np.random.default_rng(0)) == [None] * len(captions)
