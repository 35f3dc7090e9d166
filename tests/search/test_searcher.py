"""Hits depend on the question and the segments, and on nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.index.library import filled
from tests.methods import tiny

from vidsift.errors import IndexFolderError, QueryError
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search import gallery as gallery_module
from vidsift.search import ranking, rescore
from vidsift.search import scan as scan_module
from vidsift.search.questions import Question
from vidsift.search.rescore import PrefetchedTokens
from vidsift.search.searcher import Index
from vidsift.types import Hit, Span, TokenSet

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 5, 3] * 4
QUERIES = (
    "a red circle moves left",
    "a large blue square",
    "circle",
    "two triangles",
    "a yellow ring blinks",
)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.fixture(scope="module")
def store(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return filled(tmp_path_factory.mktemp("search") / "index", model, COUNTS)


@pytest.fixture
def index(store: Store, model: Model) -> Index:
    return Index.open(store.folder, model)


@pytest.fixture
def few_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few are scored exactly that the scan has to choose."""
    for name, value in (("_SCORED", 3), ("_SCORED_A_HIT", 1), ("_HELD", 8), ("_HELD_A_HIT", 4)):
        monkeypatch.setattr(ranking, name, value)


def _expected(store: Store, model: Model, query: str) -> list[tuple[str, float]]:
    """Every segment scored one by one with the model's own similarity, the stored tokens as they are."""
    gallery = gallery_module.Gallery.read(Store.open(store.folder), model.method, "fp32")
    text = model.encode_text([query])
    scores = [float(model.similarity(text, gallery.exact([row]))[0, 0]) for row in range(len(gallery))]
    return sorted(zip(gallery.segment_ids, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))


def _id(hit: Hit) -> str:
    from vidsift.index.encode import segment_id

    return segment_id(hit.video_id, hit.segment)


@pytest.mark.usefixtures("few_scored")
@pytest.mark.parametrize("query", QUERIES)
def test_hits_are_the_best_by_the_models_own_similarity(
    index: Index, store: Store, model: Model, query: str
) -> None:
    hits = index.search(query, k=6)
    expected = _expected(store, model, query)[:6]
    assert [_id(hit) for hit in hits] == [name for name, _ in expected]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected], abs=1e-6)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]


@given(
    block=st.integers(1, 50),
    scan_format=st.sampled_from(["int8", "bf16", "fp32"]),
    threads=st.integers(1, 4),
    company=st.lists(st.sampled_from(QUERIES), max_size=4),
    candidates=st.integers(1, 40),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hits_are_the_same_bits_whatever_scans_and_whoever_asks(
    store: Store, model: Model, block: int, scan_format: gallery_module.ScanFormat, threads: int,
    company: list[str], candidates: int,
) -> None:  # fmt: skip
    reference = Index.open(store.folder, model).search(QUERIES[0], k=7)
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery_module, "BLOCK", block)
        patch.setattr(scan_module, "_MERGE_ROWS", 2 * block)
        patch.setattr(ranking, "_SCORED", candidates)
        patch.setattr(ranking, "_SCORED_A_HIT", 1)
        try:
            torch.set_num_threads(threads)
            index = Index.open(store.folder, model, scan_format=scan_format)
            hits = index.search_many([*company, QUERIES[0]], k=7)[-1]
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
    assert hits == reference


def test_hits_do_not_depend_on_the_order_of_adding(tmp_path: Path, model: Model, index: Index) -> None:
    order = np.random.default_rng(1).permutation(len(COUNTS)).tolist()
    other = filled(tmp_path / "other", model, COUNTS, order=order, commits=7)
    assert Index.open(other.folder, model).search_many(QUERIES, k=9) == index.search_many(QUERIES, k=9)


def test_equal_scores_stand_in_the_order_of_ids(tmp_path: Path, model: Model) -> None:
    # The same black pictures under many names: all scores are equal.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "videos", lambda counts, seed: _black(counts))
        store = filled(tmp_path / "black", model, [5] * 9, order=[4, 8, 0, 7, 1, 6, 3, 2, 5], commits=3)
    hits = Index.open(store.folder, model).search("circle", k=9)
    assert len({hit.score for hit in hits}) == 1
    assert [_id(hit) for hit in hits] == sorted(_id(hit) for hit in hits)


def _black(counts: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    size = tiny.SIZE_PX
    return (
        [np.zeros((count, size, size, 3), np.uint8) for count in counts],
        [0.5 + np.arange(count, dtype=np.float64) for count in counts],
    )


@pytest.mark.usefixtures("few_scored")
def test_grouped_by_video_only_its_best_segment_stays(index: Index, store: Store, model: Model) -> None:
    expected: dict[str, str] = {}
    for name, _ in _expected(store, model, QUERIES[1]):
        expected.setdefault(name.split("-")[0], name)
    hits = index.search(QUERIES[1], k=100, group_by="video")
    assert [_id(hit) for hit in hits] == list(expected.values())
    assert [_id(hit) for hit in index.search(QUERIES[1], k=4, group_by="video")] == list(expected.values())[
        :4
    ]


def test_filters_keep_what_fits(index: Index, store: Store, model: Model) -> None:
    under = index.search("circle", k=100, under="/videos/a")
    assert under
    assert all(hit.path.startswith("/videos/a/") for hit in under)
    every = index.search("circle", k=100)
    assert len(every) == len(COUNTS)
    assert [hit.video_id for hit in under] == [
        hit.video_id for hit in every if hit.path.startswith("/videos/a/")
    ]
    lasting = index.search("circle", k=100, min_duration_seconds=10, max_duration_seconds=12)
    assert len(lasting) == 3
    assert index.search("circle", min_duration_seconds=1000) == []
    with pytest.raises(QueryError, match="no video of the index lies under /nowhere"):
        index.search("circle", under="/nowhere")


def test_a_copy_is_found_under_either_path_and_listed_once(tmp_path: Path, model: Model) -> None:
    store = filled(tmp_path / "index", model, COUNTS[:4])
    store.commit(None, [FileRecord("/else/copy.mp4", 1, 1, f"{0:032x}")])
    index = Index.open(store.folder, model)
    assert len(index.search("circle", k=100)) == 4
    assert [hit.path for hit in index.search("circle", under="/else")] == ["/else/copy.mp4"]


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_query_is_refused(index: Index, query: str) -> None:
    with pytest.raises(QueryError, match="the query is empty"):
        index.search(query)


def test_an_over_long_query_is_refused_and_the_longest_is_not(index: Index) -> None:
    with pytest.raises(QueryError, match="too long: the model takes 16 tokens"):
        index.search("circle " * 40)
    assert index.search("a large blue square", k=1)


def test_impossible_arguments_are_refused(index: Index) -> None:
    with pytest.raises(QueryError, match="k is 0"):
        index.search("circle", k=0)
    with pytest.raises(QueryError, match="group_by is 'day'"):
        index.search("circle", group_by="day")  # type: ignore[arg-type]


def test_another_model_is_refused(store: Store) -> None:
    with pytest.raises(IndexFolderError, match="was made with another model"):
        Index.open(store.folder, tiny.model(seed=5))


def test_a_model_that_is_gone_is_said_with_the_remedy(tmp_path: Path) -> None:
    from dataclasses import replace

    given = tiny.model()
    given.save(tmp_path / "model")
    store = filled(tmp_path / "index", given, COUNTS[:3])
    named = Store.create(tmp_path / "named", replace(store.manifest, model=str(tmp_path / "model")))
    assert Index.open(named.folder).search("circle") == []
    (tmp_path / "model").rename(tmp_path / "moved")
    with pytest.raises(IndexFolderError, match=r"cannot be loaded.*with --model"):
        Index.open(named.folder).search("circle")
    assert Index.open(named.folder, tmp_path / "moved").search("circle") == []
    with pytest.raises(IndexFolderError, match="was made with a model from memory"):
        Index.open(store.folder).search("circle")


def test_what_was_added_is_found_after_a_refresh(tmp_path: Path, model: Model) -> None:
    store = filled(tmp_path / "index", model, COUNTS[:5])
    index = Index.open(store.folder, model)
    assert len(index.search("circle", k=100)) == 5
    writer = Store.open(store.folder)
    writer.drop_paths(["/videos/a/0.mp4"])
    writer.drop_orphans()
    assert len(index.search("circle", k=100)) == 5
    index.refresh()
    assert len(index.search("circle", k=100)) == 4


def test_the_moment_lies_in_the_segment_around_the_frames_that_gave_most(index: Index) -> None:
    for hit in index.search("circle", k=20):
        assert hit.segment.start_seconds <= hit.moment.start_seconds < hit.moment.end_seconds
        assert hit.moment.end_seconds <= hit.segment.end_seconds
        (term,) = index.explain("circle", hit).terms
        assert term.times_seconds is not None
        best = term.times_seconds[term.contributions.sum(axis=0).argmax()]
        assert hit.moment.start_seconds <= best <= hit.moment.end_seconds


def test_an_explanation_sums_to_the_score_of_the_hit(index: Index) -> None:
    for hit in index.search(QUERIES[0], k=10):
        explanation = index.explain(QUERIES[0], hit)
        assert explanation.score == hit.score
        assert explanation.total == pytest.approx(hit.score, abs=1e-6)


def test_thumbnails_are_those_of_the_hit(index: Index) -> None:
    for hit in index.search("circle", k=3):
        number = int(hit.video_id, 16) + (hit.segment == Span(6.0, 12.0))
        assert index.thumbnail(hit) == b"jpeg%d" % number


def test_a_score_is_the_same_bits_in_any_company(store: Store, model: Model) -> None:
    gallery = gallery_module.Gallery.read(Store.open(store.folder), model.method, "fp32")
    question = Question((model.encode_text([QUERIES[1]]),))

    def scores(rows: list[int], ahead: list[int]) -> torch.Tensor:
        return rescore.score_exactly(model.method, PrefetchedTokens(gallery, ahead), question, rows)

    every = scores(list(range(len(COUNTS))), [])
    order = np.random.default_rng(0).permutation(len(COUNTS)).tolist()
    for ahead in ([], order, order[:2], list(range(len(COUNTS))) * 2):
        assert torch.equal(scores(order, ahead), every[order])
        assert torch.equal(torch.cat([scores([row], ahead) for row in order]), every[order])


def test_candidates_are_read_once_for_all_questions(
    store: Store, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = gallery_module.Gallery.read(Store.open(store.folder), model.method, "fp32")
    read: list[list[int]] = []
    exact = gallery.exact

    def counted(rows: list[int], *, score_only: bool = False) -> dict[str, TokenSet]:
        read.append(list(rows))
        return exact(rows, score_only=score_only)

    monkeypatch.setattr(gallery, "exact", counted)
    prefetched = PrefetchedTokens(gallery, [3, 1, 3, 0])
    tokens = prefetched([1, 3])["frame"]
    assert prefetched([0])["frame"].times_seconds is None  # no score reads them
    assert read == [[0, 1, 3]]
    assert torch.equal(tokens.tokens, exact([1, 3])["frame"].tokens)
    prefetched([2, 1])
    assert read == [[0, 1, 3], [2, 1]]
    monkeypatch.setattr(rescore, "_FETCHED", 2)
    PrefetchedTokens(gallery, [0, 1, 2])
    assert len(read) == 2


def test_a_hit_says_what_each_frame_gave_to_its_score(index: Index) -> None:
    for hit in index.search(QUERIES[1], k=5):
        assert hit.segment_id == _id(hit)
        assert len(hit.times_seconds) == len(hit.shares) > 0
        assert sum(hit.shares) == pytest.approx(hit.score, abs=1e-6)
        best = hit.times_seconds[int(np.argmax(hit.shares))]
        assert hit.moment.start_seconds <= best <= hit.moment.end_seconds


def test_a_strip_runs_over_all_segments_of_a_video(index: Index) -> None:
    video = f"{1:032x}"  # has a second segment
    hits = index.in_video(QUERIES[0], video)
    assert [hit.segment for hit in hits] == [Span(0.0, 6.0), Span(6.0, 12.0)]
    every = {hit.segment_id: hit for hit in index.search(QUERIES[0], k=100)}
    assert [hit.score for hit in hits] == [every[hit.segment_id].score for hit in hits]
    assert sorted(hit.rank for hit in hits) == [1, 2]
    strip = index.strip(QUERIES[0], video)
    assert strip.times_seconds == hits[0].times_seconds + hits[1].times_seconds
    assert strip.shares == hits[0].shares + hits[1].shares
    assert list(strip.times_seconds) == sorted(strip.times_seconds)
    with pytest.raises(QueryError, match="the index holds no video 'nothing'"):
        index.strip("circle", "nothing")


def test_a_segment_is_explained_by_its_id(index: Index) -> None:
    hit = index.search("circle", k=1)[0]
    account = index.explain("circle", hit.segment_id).to_dict()
    assert account == index.explain("circle", hit).to_dict()
    assert (account["path"], account["start"], account["end"]) == (hit.path, *hit.segment)
    with pytest.raises(QueryError, match="the segment 'nothing' is not in this index"):
        index.explain("circle", "nothing")


@pytest.mark.usefixtures("few_scored")
def test_a_sum_of_sentences_is_scored_by_the_sum_of_their_scores(
    index: Index, store: Store, model: Model
) -> None:
    query = f"{QUERIES[0]} + {QUERIES[1]} - {QUERIES[2]}"
    single = [dict(_expected(store, model, query)) for query in QUERIES[:3]]
    expected = {name: (single[0][name] + single[1][name] - single[2][name]) / 3 for name in single[0]}
    hits = index.search(query, k=8)
    assert [_id(hit) for hit in hits] == sorted(expected, key=lambda name: -expected[name])[:8]
    for hit in hits:
        assert hit.score == pytest.approx(expected[_id(hit)], abs=1e-6)
        assert sum(hit.shares) == pytest.approx(hit.score, abs=1e-6)
        explanation = index.explain(query, hit)
        assert explanation.score == hit.score
        assert explanation.total == pytest.approx(hit.score, abs=1e-6)
        assert [term.sentence for term in explanation.terms] == list(QUERIES[:3])
        assert [term.weight for term in explanation.terms] == pytest.approx([1 / 3, 1 / 3, -1 / 3])
    # Others that ask at the same time change nothing.
    assert index.search_many([QUERIES[3], query, QUERIES[4]], k=8)[1] == hits
