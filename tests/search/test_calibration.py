"""Confidence is a hit's own: of question, segment and index, and of nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.index.library import filled
from tests.methods import tiny

from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search import calibration as module
from vidsift.search.calibration import FILE
from vidsift.search.confidence import MIN_CONFIDENCE, Calibration, Gumbel
from vidsift.search.ranking import Ranked, Wanted
from vidsift.search.searcher import Index
from vidsift.types import Filter

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 5, 3] * 2
QUERY = "a red circle moves left"
BANK = [f"{count} {what} {does}" for count in ("a", "two") for what in ("circle", "star", "ring", "square")
        for does in ("moves left", "grows", "blinks", "spins", "in the middle")]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.fixture(autouse=True)
def _short_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty questions of the tiny model's words measure as well as two hundred that something works."""
    monkeypatch.setattr(module, "CALIBRATION_SENTENCES", BANK)


@pytest.fixture
def store(model: Model, tmp_path: Path) -> Store:
    return filled(tmp_path / "index", model, COUNTS)


def test_best_answers_to_the_bank_are_as_sure_as_their_rank_among_each_other(
    store: Store, model: Model
) -> None:
    index = Index.open(store.folder, model)
    sure = sorted(hits[0].confidence or 0 for hits in index.search_many(BANK, k=1))
    assert np.mean([confidence >= MIN_CONFIDENCE for confidence in sure]) <= 0.15
    assert 0.3 < sure[len(sure) // 2] < 0.7


def test_confidence_falls_with_the_score_and_asks_nobody_else(store: Store, model: Model) -> None:
    index = Index.open(store.folder, model)
    hits = index.search(QUERY, k=99)
    sure = [hit.confidence for hit in hits]
    assert all(confidence is not None and 0 <= confidence <= 1 for confidence in sure)
    assert sure == sorted(sure, key=lambda confidence: -(confidence or 0))
    by_segment = {hit.segment_id: hit.confidence for hit in hits}
    for other in (
        index.search(QUERY, k=3, skip=4),
        index.search(QUERY, k=99, under="/videos/a"),
        index.search_many(["circle", QUERY], k=5)[1],
        index.in_video(QUERY, hits[3].video_id),
        Index.open(store.folder, model, scan_format="int8").search(QUERY, k=4),
    ):
        assert other
        assert all(hit.confidence == by_segment[hit.segment_id] for hit in other)


def test_what_was_measured_is_kept_until_the_segments_change(
    store: Store, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []
    calibrate = module.calibrate

    def counted(*given: object) -> Calibration:
        measured.append(1)
        return calibrate(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "calibrate", counted)
    index = Index.open(store.folder, model)
    hits = index.search(QUERY, k=5)
    assert (store.folder / FILE).is_file()
    assert Index.open(store.folder, model).search(QUERY, k=5) == hits
    assert len(measured) == 1
    writer = Store.open(store.folder)
    writer.drop_paths(["/videos/a/0.mp4"])
    writer.drop_orphans()
    index.refresh()
    assert index.calibration is not None
    assert len(measured) == 2
    # A file that says nothing sensible is measured anew.
    for broken in ("{", "[]", json.dumps({"plain": [0, 0], "centred": [0, 1], "better": [0, 1]})):
        (store.folder / FILE).write_text(broken)
        assert Index.open(store.folder, model).calibration == index.calibration
    assert len(measured) == 5


def test_a_read_only_index_is_calibrated_all_the_same(
    store: Store, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "write_text", refuse)
    index = Index.open(store.folder, model)
    assert index.search(QUERY, k=1)[0].confidence is not None
    assert not (store.folder / FILE).exists()


def test_very_small_indexes_say_nothing(tmp_path: Path, model: Model) -> None:
    index = Index.open(filled(tmp_path / "small", model, COUNTS[:3]).folder, model)
    hits = index.search(QUERY)
    assert [hit.confidence for hit in hits] == [None, None, None]
    assert index.found(QUERY, hits) is None
    assert index.found(QUERY, []) is None
    assert not (tmp_path / "small" / FILE).exists()


def test_found_goes_by_the_best_hit_of_the_library(store: Store, model: Model) -> None:
    index = Index.open(store.folder, model)
    hits = index.search(QUERY, k=5)
    best = hits[0].confidence
    assert best is not None
    for limits, expected in ((Gumbel(-9.0, 0.1), True), (Gumbel(9.0, 0.1), False)):
        index._reader.segments.calibrator.calibration = Calibration(limits, limits, Gumbel(0.0, 1.0), 40)
        hits = index.search(QUERY, k=5)
        assert index.found(QUERY, hits) is expected
        # A later page, or none at all, does not hide what is there.
        assert index.found(QUERY, index.search(QUERY, k=2, skip=5)) is expected
        assert index.found(QUERY, []) is expected


def test_found_looks_only_at_videos_that_fit_the_conditions(
    store: Store, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(store, model)
    filters: list[Filter] = []
    search = Index.search

    def noted(self: Index, query: str, k: int, *, filter: Filter) -> object:
        filters.append(filter)
        return search(self, query, k, filter=filter)

    monkeypatch.setattr(Index, "search", noted)
    index.found(QUERY, [], max_duration_seconds=5.0, skip=3, min_score=0.9)
    assert filters == [Filter(max_duration_seconds=5.0)]


def test_sums_of_sentences_are_not_measured_by_single_ones(store: Store, model: Model) -> None:
    index = Index(store, model)
    hits = index.search("a circle - a star", k=3)
    assert [hit.confidence for hit in hits] == [None] * 3
    assert index.found("a circle - a star", hits) is None
    assert index.search("a circle", k=1)[0].confidence is not None


def test_a_black_box_is_as_sure_as_its_first_stage(tmp_path: Path) -> None:
    box = tiny.model("clip4clip", {"head": "tightTransf", "cross_layers": 1})
    plain = tiny.model("clip4clip")
    indexes = [Index.open(filled(tmp_path / str(n), model, COUNTS).folder, model)
               for n, model in enumerate((box, plain))]  # fmt: skip
    sure = [{hit.segment_id: hit.confidence for hit in index.search(QUERY, k=99)} for index in indexes]
    assert sure[0] == pytest.approx(sure[1], abs=5e-3)  # the box keeps its frames as encoded, in fp16
    assert indexes[0].found(QUERY, indexes[0].search(QUERY)) == indexes[1].found(
        QUERY, indexes[1].search(QUERY)
    )


class _Scored:
    """A background of made-up scores ``(Q, V)``; a part of its gallery is the rows."""

    terms = None

    def __init__(self, score_QV: NDArray[np.float64]) -> None:
        self.score_QV = score_QV
        self.gallery = range(score_QV.shape[1])

    def mean(self, question: int) -> float:
        return float(self.score_QV[question].mean())

    def part(self, rows: Sequence[int]) -> Sequence[int]:
        return rows

    def rank(
        self, rows: Sequence[int], _terms: object, questions: Sequence[int], wanted: Wanted
    ) -> list[Ranked]:
        allowed = np.where(wanted.allowed, self.score_QV[list(questions)][:, list(rows)], -np.inf)
        return [Ranked([(int(row.argmax()), float(row.max()))]) for row in allowed]


def test_more_segments_than_are_asked_are_extrapolated(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    offset_Q1 = random.normal(0.0, 3.0, (400, 1))
    made = _Scored(offset_Q1 + random.normal(0.0, 1.0, (400, 8192)))
    monkeypatch.setattr(module, "rank", made.rank)
    monkeypatch.setattr(module, "_questions", lambda _model, bank: list(range(len(bank))))
    calibrations = []
    for scanned in (8192, 512):
        monkeypatch.setattr(module, "_SCANNED", scanned)
        calibrations.append(module.calibrate(None, made, ["a question"] * 400))  # type: ignore[arg-type]
    everything, part = calibrations
    # The best of 8,192 normal scores lies 0.83 above that of 512; what questions differ by (3.0, a scale of
    # 2.3) has no part in it. A bell is thinner than the tail that is assumed: a little too high is right.
    for fit, whole in ((part.plain, everything.plain), (part.centred, everything.centred)):
        assert 0.0 < fit.location - whole.location < 0.25
    # A hit is as sure by either, to a few percent.
    for score in (4.0, 6.0, 8.0):
        sure = [calibration.confidence(score, 1.0) for calibration in calibrations]
        assert sure[1] == pytest.approx(sure[0], abs=0.1)


def test_segments_beyond_those_asked_change_little_in_a_real_index(
    store: Store, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = Index.open(store.folder, model).calibration
    (store.folder / FILE).unlink()
    monkeypatch.setattr(module, "_SCANNED", 10)
    part = Index.open(store.folder, model).calibration
    assert everything is not None
    assert part is not None
    assert part.plain.location == pytest.approx(everything.plain.location, abs=0.4 * everything.plain.scale)
