"""Words of a sentence with what their text tokens gave."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from tests.index.library import filled
from tests.methods import tiny

from vidsift.search.explained_words import explain_words
from vidsift.search.searcher import Index
from vidsift.search.sums import QueryPart


def test_pieces_are_summed_by_word_over_terms_and_marks_belong_to_none() -> None:
    model = tiny.model("drl")
    sentence = "Blue squares, blue!"
    (pieces,) = model.tokenize([sentence]).pieces
    gave = [2.0**place for place in range(len(pieces))]
    inner = pieces[1:-1]  # a term that has no start and end
    whole = ([sentence], [5.0])
    words, owners = explain_words(
        QueryPart(sentence, 0.5), [(pieces, gave), (inner, [1.0] * len(inner)), whole], model.tokenizer
    )
    assert [(word.word, word.start, word.end) for word in words] == [
        ("Blue", 0, 4),
        ("squares", 5, 12),
        ("blue", 14, 18),
    ]
    assert {(word.sentence, word.weight) for word in words} == {(sentence, 0.5)}
    of_pieces, of_inner, of_whole = owners
    assert of_whole is None
    assert of_pieces is not None
    assert of_inner == of_pieces[1:-1]
    assert of_pieces[0] == of_pieces[-1] == -1
    # Several pieces make one word here, or the test would not see that they are summed.
    assert max(of_pieces.count(word) for word in range(3)) > 1
    for place, word in enumerate(words):
        expected = sum(gave[at] + 1 for at, owner in enumerate(of_pieces) if owner == place)
        assert word.contribution == expected


def test_the_only_word_of_a_sentence_that_is_one_token_is_not_what_it_gave() -> None:
    model = tiny.model("zero_shot")
    words, owners = explain_words(QueryPart("circle", 1.0), [(["circle"], [0.3])], model.tokenizer)
    assert (owners, [astuple(word) for word in words]) == ([None], [("circle", 0, 6, "circle", 1.0, None)])


@pytest.mark.parametrize("method", ["drl", "pidro"])
def test_words_marks_and_terms_of_a_sum_add_up_to_the_score(tmp_path: Path, method: str) -> None:
    model = tiny.model(method)
    index = Index.open(filled(tmp_path / "index", model, [3, 5]).folder, model)
    query = "a large blue square + circle - two triangles"
    explanation = index.explain(query, index.gallery.segment_ids[1])
    assert [word.word for word in explanation.words] == query.replace("+ ", "").replace("- ", "").split()
    assert len({word.weight for word in explanation.words}) == 2
    of_words, rest = 0.0, 0.0
    for term in explanation.terms:
        assert term.word_of_token is not None
        rows = term.contributions.sum(axis=1, dtype=np.float64)
        for owner, gave in zip(term.word_of_token, rows, strict=True):
            # The place is among the words of the question, not of its part.
            assert owner < 0 or explanation.words[owner].sentence == term.sentence
            of_words, rest = (of_words + gave, rest) if owner >= 0 else (of_words, rest + gave)
    assert sum(word.contribution or 0.0 for word in explanation.words) == pytest.approx(of_words)
    assert of_words + rest == pytest.approx(explanation.score, abs=1e-6)


@pytest.mark.parametrize("query", ["a dog &nbsp; + cat", "a cat &lt;b&gt; + dog", "dog &nbsp;", "R&amp;B"])
@pytest.mark.parametrize("method", ["drl", "zero_shot"])
def test_words_that_the_model_reads_nothing_of_stand_there_all_the_same(
    tmp_path: Path, method: str, query: str
) -> None:
    model = tiny.model(method)
    index = Index.open(filled(tmp_path / "index", model, [3]).folder, model)
    explanation = index.explain(query, index.gallery.segment_ids[0], leave_out=True)
    assert explanation.leaving_out is not None
    falls = explanation.leaving_out.words
    assert [(word.word, word.start, word.sentence) for word in explanation.words] == [
        (word.word, word.start, word.sentence) for word in falls
    ]
    # Of what is left of "dog &nbsp;" the model reads nothing: there is no score to hold against.
    assert query != "dog &nbsp;" or falls[0].fall is None
