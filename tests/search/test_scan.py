from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.index.library import filled
from tests.methods import tiny

from vidsift.search import gallery as gallery_module
from vidsift.search import scan as scan_module
from vidsift.search.gallery import Gallery
from vidsift.search.questions import Question
from vidsift.search.scan import _leaders, scan, scanned_together

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 5, 3]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_module, "BLOCK", 3)
    monkeypatch.setattr(scan_module, "_MERGE_ROWS", 6)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 12))
@settings(max_examples=200, deadline=None)
def test_leaders_are_the_largest_and_the_first_of_equals(values: list[int], keep: int) -> None:
    places = _leaders(torch.tensor([values], dtype=torch.float32), keep)[0].tolist()
    assert places == sorted(range(len(values)), key=lambda place: (-values[place], place))[:keep]


@pytest.mark.processor
@pytest.mark.parametrize("keep", [1, 2, 4, 100])
@pytest.mark.parametrize("method", ["drl", "zero_shot"])
def test_the_best_allowed_segments_are_kept(tmp_path: Path, method: str, keep: int) -> None:
    model = tiny.model(method)
    gallery = Gallery.read(filled(tmp_path / "a", model, COUNTS), model.method, "fp32")
    texts = model.encode_text(list(tiny.CAPTIONS))
    allowed = np.array([True, True, False, False, False, False, True, True, True, True])
    scores, rows = scan(gallery, model.method, texts, allowed, keep)
    whole = model.method.similarity(texts, gallery.exact(range(len(COUNTS)))).detach()
    whole[:, ~torch.from_numpy(allowed)] = -torch.inf
    order = whole.argsort(dim=1, descending=True)[:, : min(keep, 6)]
    assert torch.equal(rows, order)
    assert torch.allclose(scores, whole.gather(1, order), atol=1e-6)


@pytest.mark.processor
def test_int8_scores_are_near(tmp_path: Path) -> None:
    model = tiny.model()
    store = filled(tmp_path / "a", model, COUNTS)
    texts = model.encode_text(list(tiny.CAPTIONS))
    scores_by_format = {}
    for scan_format in ("int8", "fp32"):
        gallery = Gallery.read(store, model.method, scan_format)
        scores, rows = scan(gallery, model.method, texts, np.ones(len(COUNTS), bool), 100)
        scores_by_format[scan_format] = torch.zeros_like(scores).scatter(1, rows, scores)
    assert (scores_by_format["int8"] - scores_by_format["fp32"]).abs().max() < 0.01
    assert not torch.equal(scores_by_format["int8"], scores_by_format["fp32"])


def test_nothing_allowed_is_nothing_found(tmp_path: Path) -> None:
    model = tiny.model()
    gallery = Gallery.read(filled(tmp_path / "a", model, COUNTS), model.method, "int8")
    scores, rows = scan(gallery, model.method, model.encode_text(["circle"]), np.zeros(len(COUNTS), bool), 5)
    assert scores.shape == rows.shape == (1, 0)


def test_texts_are_grouped_by_their_words_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "_WORDS_AT_ONCE", 8)
    lengths = [3, 5, 1, 9, 2, 2, 4, 1]
    texts = [{"word": tiny.token_set([length], length)} for length in lengths]
    questions = [Question((text,)) for text in texts]
    groups = [[question.words for question in group] for group in scanned_together(questions)]
    assert groups == [[3, 5], [1], [9], [2, 2, 4], [1]]
    # The texts of a sum stay together.
    summed = Question((texts[0], texts[1]), (0.5, 0.5))
    assert [len(group) for group in scanned_together([questions[2], summed, questions[2]])] == [1, 1, 1]
    assert list(scanned_together([])) == []
