"""Several sentences that have to come in order within one video."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.index.library import filled
from tests.methods import tiny

from vidsift.errors import QueryError
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search import sequence
from vidsift.search.searcher import Index
from vidsift.search.sequence import best_order
from vidsift.types import Hit

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 5, 3] * 3
FIRST, THEN = "a red circle moves left", "two triangles"


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.fixture(scope="module")
def store(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return filled(tmp_path_factory.mktemp("sequence") / "index", model, COUNTS)


@pytest.fixture
def index(store: Store, model: Model) -> Index:
    return Index.open(store.folder, model)


@given(
    st.integers(1, 4).flatmap(
        lambda count: st.integers(1, 7).flatmap(
            lambda places: st.lists(
                st.lists(st.integers(-3, 3), min_size=places, max_size=places),
                min_size=count,
                max_size=count,
            )
        )
    )
)
@settings(max_examples=200, deadline=None)
def test_the_best_order_is_the_best_of_all(values: list[list[int]]) -> None:
    arrays = [np.asarray(row, np.float64) for row in values]
    every = list(combinations(range(len(values[0])), len(values)))
    order = best_order(arrays)
    if not every:
        assert order is None
        return
    assert order is not None
    score, chosen = order
    assert chosen == sorted(set(chosen))
    reached = [sum(values[i][place] for i, place in enumerate(places)) / len(values) for places in every]
    assert score == pytest.approx(max(reached))
    assert score == pytest.approx(sum(values[i][place] for i, place in enumerate(chosen)) / len(values))


def _by_hand(index: Index, sentences: list[str]) -> dict[str, float]:
    """The formula written out: every choice of frames of every video."""
    scores: dict[str, float] = {}
    hits = [{hit.segment_id: hit for hit in index.search(sentence, k=99)} for sentence in sentences]
    videos: dict[str, list[str]] = {}
    for name in sorted(hits[0]):
        videos.setdefault(hits[0][name].video_id, []).append(name)
    for video, names in videos.items():
        frames = [(name, place) for name in names for place in range(len(hits[0][name].shares))]
        best = -np.inf
        for chosen in combinations(frames, len(sentences)):
            got = 0.0
            for by_segment, (name, place) in zip(hits, chosen, strict=True):
                hit = by_segment[name]
                got += hit.score - (max(hit.shares) - hit.shares[place])
            best = max(best, got / len(sentences))
        if np.isfinite(best):
            scores[video] = best
    return scores


@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("sentences", [[FIRST, THEN], [THEN, FIRST], [FIRST, THEN, "circle"]])
def test_videos_are_ranked_by_the_formula(
    index: Index, sentences: list[str], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _by_hand(index, sentences)
    monkeypatch.setattr(sequence, "_ROWS_AT_ONCE", rows)
    hits = index.search(sentences, k=6)
    assert [hit.video_id for hit in hits] == sorted(expected, key=lambda video: -expected[video])[:6]
    assert [hit.score for hit in hits] == pytest.approx([expected[hit.video_id] for hit in hits], abs=1e-6)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]


def test_each_sentence_has_its_own_hit_and_they_come_in_order(index: Index) -> None:
    alone = {
        sentence: {hit.segment_id: hit for hit in index.search(sentence, k=99)} for sentence in (FIRST, THEN)
    }
    for hit in index.search([FIRST, THEN], k=9):
        first, then = hit.parts
        assert first.segment <= then.segment
        assert (hit.segment.start_seconds, hit.segment.end_seconds) == (first.segment[0], then.segment[1])
        assert hit.segment_id == first.segment_id
        for part, sentence in zip(hit.parts, (FIRST, THEN), strict=True):
            assert part.score == alone[sentence][part.segment_id].score
            assert part.shares == alone[sentence][part.segment_id].shares
            assert hit.moment.start_seconds <= part.moment.start_seconds
            assert part.moment.end_seconds <= hit.moment.end_seconds
        # No better than each sentence's best segment of the video.
        bound = [max(hit_alone.score for hit_alone in every.values() if hit_alone.video_id == hit.video_id)
                 for every in alone.values()]  # fmt: skip
        assert hit.score <= np.mean(bound) + 1e-6


def test_the_answer_is_the_same_whatever_scans(index: Index, store: Store, model: Model) -> None:
    reference = index.search([FIRST, THEN], k=5)
    for scan_format in ("int8", "bf16"):
        other = Index.open(store.folder, model, scan_format=scan_format)
        assert other.search([FIRST, THEN], k=5) == reference
    assert index.search([FIRST, THEN], k=2, skip=1) == reference[1:3]
    assert index.search([FIRST, THEN], k=5, min_score=reference[1].score) == reference[:2]


def test_a_video_with_fewer_frames_than_sentences_is_none(index: Index) -> None:
    videos = {int(hit.video_id, 16) for hit in index.search([FIRST, THEN], k=99)}
    # Number 21 is the one video of a single picture that has no second segment.
    assert videos == {number for number in range(len(COUNTS)) if number % 3 != 2} - {21}


def test_conditions_hold_for_the_whole_video(index: Index) -> None:
    hits = index.search([FIRST, THEN], k=99, under="/videos/a")
    assert hits
    assert all(hit.path.startswith("/videos/a/") for hit in hits)
    assert index.search([FIRST, THEN], min_duration_seconds=1000) == []


def test_one_sentence_in_a_list_is_a_plain_question(index: Index) -> None:
    assert index.search([FIRST], k=3) == index.search(FIRST, k=3)
    with pytest.raises(QueryError, match="there is no sentence"):
        index.search([])
    with pytest.raises(QueryError, match="the query is empty"):
        index.search([FIRST, " "])


def test_a_black_box_scores_what_its_first_stage_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    model = tiny.model("drl", {"interaction": "mlp", "temporal": "none"})
    store = filled(tmp_path_factory.mktemp("black") / "index", model, COUNTS[:12])
    index = Index.open(store.folder, model)
    hits = index.search([FIRST, THEN], k=3)
    for hit in hits:
        assert hit.parts[0].shares == ()
        for part, sentence in zip(hit.parts, (FIRST, THEN), strict=True):
            row = index.gallery.segment_ids.index(part.segment_id)
            score = float(index.model.similarity([sentence], index.gallery.exact([row])))
            assert part.score == pytest.approx(score, abs=1e-5)
        assert hit.score == pytest.approx(np.mean([part.score for part in hit.parts]))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    every: list[Hit] = index.search([FIRST, THEN], k=99)
    assert every[0].candidates is None
    assert {hit.candidates for hit in index.search([FIRST, THEN], k=1, candidates=2)} == {2}


def test_who_leaves_videos_out_says_how_many_were_looked_at(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = index.search([FIRST, THEN], k=99)
    assert {hit.candidates for hit in every} == {None}
    monkeypatch.setattr(sequence, "_ROWS_AT_ONCE", 1)
    # Nothing that the bound rules out was left out.
    assert {hit.candidates for hit in index.search([FIRST, THEN], k=1)} == {None}
    # Bounds that rule nothing out, as where the order takes much off every video.
    scan_all = sequence._scan_all
    monkeypatch.setattr(sequence, "_scan_all", lambda *given: scan_all(*given) + 100.0)
    monkeypatch.setattr(sequence, "_MOST_ROWS", 8)
    hits = index.search([FIRST, THEN], k=2)
    (looked_at,) = {hit.candidates for hit in hits}
    # Of twenty videos of one or two segments, so many have eight.
    assert looked_at in range(4, 9)
    assert {part.candidates for hit in hits for part in hit.parts} == {looked_at}
    # As many hits as are asked for, however many videos that takes.
    assert len(index.search([FIRST, THEN], k=9)) == 9
    monkeypatch.setattr(sequence, "_MOST_ROWS", 4096)
    assert {hit.candidates for hit in index.search([FIRST, THEN], k=2)} == {None}
