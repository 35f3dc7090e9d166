"""Whether anything fits: one rule, which no hit that is shown contradicts, in any kind of question."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.index.library import filled
from tests.methods import tiny

from vidsift.search.confidence import MIN_CONFIDENCE, Calibration, Fits, Gumbel
from vidsift.search.match_quality import match_of
from vidsift.search.searcher import Index

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 5, 3] * 2
WORDS = ["good match", "possible match", "unlikely", None]
BOXES = {"plain": ("drl", {}), "black box": ("clip4clip", {"head": "tightTransf", "cross_layers": 1})}
QUESTIONS: list[str | list[str]] = [
    "a red circle moves left",
    "circle",
    "a circle - a star",
    ["a red circle", "two triangles"],
    ["two triangles", "circle", "a yellow ring blinks"],
    ["a circle + a star", "circle"],
    ["circle"],
]


@pytest.fixture(scope="module", params=BOXES)
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Index:
    name, arguments = BOXES[request.param]
    model = tiny.model(name, arguments)
    return Index.open(filled(tmp_path_factory.mktemp("found") / "index", model, COUNTS).folder, model)


def _limited(index: Index, location: float) -> None:
    """Let chance reach so high: hits above it are sure, hits below are not."""
    fits = (Gumbel(location, 0.01), Gumbel(9.0, 0.01), Gumbel(0.0, 1.0), 40)
    calibrator = index._reader.segments.calibrator
    calibrator.calibration = Calibration(*fits)
    calibrator._in_order = {2: Fits(*fits), 3: Fits(*fits)}


def _all_confidences(index: Index, query: str | list[str], **conditions: Any) -> list[float | None]:
    return [hit.confidence for hit in index.search(query, k=99, **conditions)]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_nothing_fits_is_never_said_of_a_hit_that_is_sure(index: Index, data: st.DataObject) -> None:
    query = data.draw(st.sampled_from(QUESTIONS))
    _limited(index, -9.0)
    # Somewhere among the hits, so that some are sure and some are not.
    scores = [hit.score for hit in index.search(query, k=99)]
    if not index.model.method.scans:
        scores += [-1.0, -0.5, 0.0, 0.5, 1.0]  # those of its first stage are on a scale of their own
    _limited(index, data.draw(st.floats(min(scores) - 0.1, max(scores) + 0.1)))
    conditions: dict[str, Any] = {"group_by": data.draw(st.sampled_from(["segment", "video"]))}
    if data.draw(st.booleans()):
        conditions["under"] = "/videos/a"
    if not index.model.method.scans and data.draw(st.booleans()):
        conditions["candidates"] = data.draw(st.integers(1, 20))
    every = _all_confidences(index, query, **conditions)
    page = conditions | {"skip": data.draw(st.integers(0, 12))}
    if data.draw(st.booleans()):
        page["min_score"] = data.draw(st.sampled_from(scores))
    hits = index.search(query, data.draw(st.integers(1, 10)), **page)
    answer = index.found(query, hits, **page)
    sure = any(hit.confidence is not None and hit.confidence >= MIN_CONFIDENCE for hit in hits)
    assert not (sure and answer is not True)
    # It is said of the question, whatever page of the answer it is asked with.
    if any(confidence is not None and confidence >= MIN_CONFIDENCE for confidence in every):
        assert answer is True
    elif index.model.method.scans:
        assert answer is (False if None not in every else None)
    if index.model.method.scans and None not in every:
        assert all(first >= then for first, then in pairwise(every))  # type: ignore[operator]
    # The word of a hit is its own, as its confidence is: no page, filter or grouping changes it.
    words = {hit.segment_id: hit.match for hit in index.search(query, k=99)}
    assert all(hit.match == words[hit.segment_id] for hit in hits)
    if index.model.method.scans:
        order = [WORDS.index(word) for word in words.values()]
        assert order == sorted(order)


def test_the_best_video_is_a_good_match_where_it_stands_clear_of_all_others(tmp_path: Path) -> None:
    model = tiny.model()
    index = Index.open(filled(tmp_path / "index", model, COUNTS).folder, model)
    query = "a red circle moves left"
    by_video = index.search(query, k=99, group_by="video")
    best, second = by_video[:2]
    # Four scales above chance are not enough for a good match; the best leads by one, which counts three.
    scale = best.score - second.score
    fits = Gumbel(best.score - 4 * scale, scale), Gumbel(9.0, scale), Gumbel(0.0, 1.0), 40
    index._reader.segments.calibrator.calibration = Calibration(*fits)
    hits, by_video_again = index.search(query, k=99), index.search(query, k=2, group_by="video")
    assert [hit.match for hit in by_video_again[:2]] == ["good match", "possible match"]
    # Another segment of the best video leads the other videos by less, and no other video leads at all.
    for hit in hits:
        lead = max(0.0, (hit.score - second.score) / scale) if hit.video_id == best.video_id else 0.0
        assert hit.match == match_of(hit.confidence, lead)
    # Where the best may not be found, the next one does not lead.
    others = index.search(query, k=3, skip=1, group_by="video")
    assert others[0].match == "possible match"
    # A video by itself is no search: nothing is said of its segments in a word.
    assert {hit.match for hit in index.in_video(query, best.video_id)} == {None}


def test_what_a_black_box_ranks_low_counts_too(tmp_path: Path) -> None:
    name, arguments = BOXES["black box"]
    model = tiny.model(name, arguments)
    index = Index.open(filled(tmp_path / "index", model, COUNTS).folder, model)
    lowest = 1
    for query in QUESTIONS[0], QUESTIONS[3]:
        low, high = -20.0, 20.0
        fewest: list[int] = []
        for _ in range(30):  # until one hit alone is sure, or those that are worth the same
            middle = (low + high) / 2
            _limited(index, middle)
            sure = [hit.rank for hit in index.search(query, k=99) if (hit.confidence or 0) >= MIN_CONFIDENCE]
            fewest = sure or fewest
            if len(sure) == 1:
                break
            low, high = (middle, high) if sure else (low, middle)
        _limited(index, low if len(sure) != 1 else middle)
        rank = min(fewest)
        lowest = max(rank, lowest)
        # Pages that do not show it say of the question what the one that does will say.
        for k in range(1, rank + 1, 3):
            assert index.found(query, index.search(query, k)) is True
        assert index.found(query, index.search(query, 3, skip=rank)) is True
    assert lowest > 1
