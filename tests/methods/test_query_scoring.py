"""What query-scoring is beside its interactions: its arguments, and that it searches as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny
from tests.methods.searching import search_in_every_format

from vidsift.methods.catalog import build_method

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 3]
QUERY = "a red circle moves left"


@pytest.mark.parametrize(
    "arguments",
    [{}, {"temperature": 0.01, "average": "cosine"}, {"pooling": "max"}, {"pooling": "token_wise"}],
    ids=["paper", "cosine", "max", "token-wise"],
)
def test_it_is_scanned_and_explained_in_every_format(tmp_path: Path, arguments: dict[str, object]) -> None:
    model = tiny.model("query_scoring", arguments)
    store = filled(tmp_path / "index", model, COUNTS)
    answer = search_in_every_format(model, store, QUERY, k=4)
    for hit, account in zip(answer.hits, answer.accounts, strict=True):
        (term,) = account.terms
        assert term.words == [QUERY]
        assert sum(hit.shares) == pytest.approx(hit.score, abs=1e-5)


def test_the_poolings_are_those_that_they_are_called() -> None:
    """One CLIP throughout: cosines of the sentence with the frames decide all of them."""
    pixels, times = tiny.videos([4])
    sims = {}
    for pooling in ("softmax", "max", "token_wise"):
        model = tiny.model("query_scoring", {"pooling": pooling, "average": "cosine"})
        text, video = model.encode_text([QUERY]), model.encode_frames(pixels, times)
        sims[pooling] = float(model.similarity(text, video))
        cosines = video["frame"].tokens[0] @ text["sentence"].tokens[0, 0]
    assert sims["max"] == pytest.approx(float(cosines.max()), abs=1e-6)
    assert sims["token_wise"] == pytest.approx(float(cosines.max() + cosines.mean()) / 2, abs=1e-6)
    weights = torch.softmax(cosines / 0.1, dim=0)
    assert sims["softmax"] == pytest.approx(float(weights @ cosines), abs=1e-6)


def test_nothing_is_learned_but_the_towers() -> None:
    method = tiny.model("query_scoring").method
    assert all(name.startswith("towers.") for name, _ in method.named_parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "mean"}, "pooling is 'mean', expected one of softmax, max, token_wise"),
        ({"average": "score"}, "average is 'score', expected one of cosine, frame"),
        ({"temperature": 0}, "temperature is 0, expected a number above 0; pooling='max' is its limit"),
        ({"temperature": float("inf")}, "temperature is inf, expected a finite number"),
    ],
)
def test_arguments_that_are_none_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_method("query_scoring", tiny.towers(), arguments)
