"""Sentences in order are as sure as their rank: by the whole score, beside other sentences in order."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.index.library import filled
from tests.methods import tiny
from tests.search.rendered import shapes_index, video_of

from vidsift.methods.model import BUNDLED, Model, load
from vidsift.search import calibration as module
from vidsift.search.calibration import FILE, Background, calibrate_in_order
from vidsift.search.calibration_sentences import CALIBRATION_SENTENCES
from vidsift.search.confidence import MIN_CONFIDENCE
from vidsift.search.questions import encode_question
from vidsift.search.searcher import Index
from vidsift.shapes.library import draw_split

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 5, 3] * 2
BANK = [f"{count} {what} {does}" for count in ("a", "two") for what in ("circle", "star", "ring", "square")
        for does in ("moves left", "grows", "blinks", "spins", "in the middle")]  # fmt: skip
FEW = BANK[::4]
FIRST, THEN = "a red circle moves left", "two triangles"
TWO_EVENTS = re.compile(r"(?:first )?(.+?)(?:, then | and then | before )(.+)")


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.fixture(autouse=True)
def _short_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALIBRATION_SENTENCES", FEW)


@pytest.fixture(scope="module")
def index(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index.open(filled(tmp_path_factory.mktemp("in order") / "index", model, COUNTS).folder, model)


def test_captions_of_two_events_are_as_sure_as_they_rank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALIBRATION_SENTENCES", CALIBRATION_SENTENCES[::10])
    clips = draw_split("test", 28)
    index = shapes_index(tmp_path / "shapes", load(BUNDLED, "cpu"), clips)
    right = 0
    for clip in clips:
        two = [parts.groups() for text in clip.captions if (parts := TWO_EVENTS.fullmatch(text))]
        for sentences in two if len(clip.scene.events) == 2 else []:
            hits = index.search(sentences, k=28)
            sure = [hit.confidence or 0.0 for hit in hits]
            assert sure == sorted(sure, reverse=True)
            # By the scores of the sentences alone, those that the order costs most could be the surest.
            assert index.found(sentences, hits) is (sure[0] >= MIN_CONFIDENCE)
            if hits[0].video_id == video_of(clip):
                right += 1
                others = [
                    confidence
                    for confidence, hit in zip(sure, hits, strict=True)
                    if hit.video_id != video_of(clip)
                ]
                assert sure[0] > max(others)
    assert right >= 3


def test_best_answers_to_sentences_in_order_are_as_sure_as_their_rank_among_each_other(index: Index) -> None:
    fits, background = calibrate_in_order(index.model, _background(index), BANK, 2), _background(index)
    assert fits is not None
    sure = []
    for n, sentence in enumerate(BANK):
        sentences = [sentence, BANK[(n + len(BANK) // 2) % len(BANK)]]
        mean = sum(background.mean(encode_question(index.model, sentence)) for sentence in sentences) / 2
        sure.append(fits.confidence(index.search(sentences, k=1)[0].score, mean))
    sure.sort()
    assert np.mean([confidence >= MIN_CONFIDENCE for confidence in sure]) <= 0.15
    assert 0.3 < sure[len(sure) // 2] < 0.7


def test_a_hit_is_as_sure_as_its_whole_score_and_nothing_is_said_of_its_sentences(index: Index) -> None:
    hits = index.search([FIRST, THEN], k=9)
    assert index.calibration is not None
    fits = calibrate_in_order(index.model, _background(index), FEW, 2)
    assert fits is not None
    means = [_background(index).mean(encode_question(index.model, sentence)) for sentence in (FIRST, THEN)]
    assert [hit.confidence for hit in hits] == pytest.approx(
        [fits.confidence(hit.score, sum(means) / 2) for hit in hits]
    )
    assert {part.confidence for hit in hits for part in hit.parts} == {None}
    # Filters and pages change nothing.
    assert index.search([FIRST, THEN], k=2, skip=3) == hits[3:5]
    by_segment = {hit.segment_id: hit.confidence for hit in hits}
    assert all(hit.confidence == by_segment[hit.segment_id]
               for hit in index.search([FIRST, THEN], k=3, under="/videos/a"))  # fmt: skip


def _background(index: Index) -> Background:
    background = index._reader.segments.calibrator.background
    assert background is not None
    return background


def test_sums_in_order_have_no_confidence(index: Index) -> None:
    sentences = ["a circle + a star", THEN]
    hits = index.search(sentences, k=3)
    assert [hit.confidence for hit in hits] == [None] * 3
    assert index.found(sentences, hits) is None


def test_what_was_measured_is_kept_beside_the_rest_and_only_when_it_was_asked(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALIBRATION_SENTENCES", BANK[::10])
    index = Index.open(filled(tmp_path / "index", model, COUNTS[:8]).folder, model)
    measured: list[int] = []

    def counted(model: Model, background: Background, bank: Sequence[str], count: int) -> object:
        measured.append(count)
        return calibrate_in_order(model, background, bank, count)

    monkeypatch.setattr(module, "calibrate_in_order", counted)
    folder = index.store.folder
    index.search(FIRST, k=1)
    plain = json.loads((folder / FILE).read_text())
    assert measured == []
    hits = index.search([FIRST, THEN], k=3)
    index.search([FIRST, THEN], k=2)
    index.search([FIRST, THEN, "circle"], k=1)
    assert measured == [2, 3]
    whole = json.loads((folder / FILE).read_text())
    assert {name: whole[name] for name in plain} | {"in_order": plain["in_order"]} == plain
    assert set(whole["in_order"]) == {"2", "3"}
    assert Index.open(folder, model).search([FIRST, THEN], k=3) == hits
    assert measured == [2, 3]
    # A file of an earlier version holds single sentences alone; one that says nothing sensible of these holds
    # the others all the same.
    monkeypatch.setattr(module, "calibrate", None)
    of_two = whole["in_order"]["2"]
    others: list[Any] = [{}, [], {"version": 0}, {"plain": [0, 0]}, {"better": [math.nan, 1]}]
    broken: list[Any] = [of_two | fits if isinstance(fits, dict) and fits else fits for fits in others]
    files: list[Any] = [{}, [], *({"2": fits} for fits in broken)]
    for in_order in files:
        (folder / FILE).write_text(json.dumps(whole | {"in_order": in_order}))
        assert Index.open(folder, model).search([FIRST, THEN], k=3) == hits
    del whole["in_order"]
    (folder / FILE).write_text(json.dumps(whole))
    assert Index.open(folder, model).search([FIRST, THEN], k=3) == hits
    assert measured == [2, 3] + [2] * (len(files) + 1)


def test_a_black_box_is_as_sure_as_the_order_of_its_first_stage(tmp_path: Path) -> None:
    box = tiny.model("clip4clip", {"head": "tightTransf", "cross_layers": 1})
    plain = tiny.model("clip4clip")
    sure = []
    for number, model in enumerate((box, plain)):
        index = Index.open(filled(tmp_path / str(number), model, COUNTS).folder, model)
        hits = index.search([FIRST, THEN], k=99)
        sure.append({hit.video_id: hit.confidence for hit in hits})
    assert len(sure[0]) > 9
    assert sure[0] == pytest.approx(sure[1], abs=5e-3)  # the box keeps its frames as encoded, in fp16


def test_libraries_without_so_many_pictures_say_nothing(model: Model, tmp_path: Path) -> None:
    # Of one picture each: no two of them can come in order, but in the videos of two segments.
    index = Index.open(filled(tmp_path / "index", model, [1] * 9).folder, model)
    assert index.search([FIRST, THEN, FIRST], k=3) == []
    assert index.found([FIRST, THEN, FIRST], []) is False
    assert calibrate_in_order(model, _background(index), FEW, 3) is None
    assert [hit.confidence is None for hit in index.search([FIRST, THEN], k=3)] == [False] * 3


@pytest.mark.parametrize(("name", "value"), [("_SCANNED", 10), ("_LONGEST", 1)])
def test_segments_beyond_those_asked_change_little(
    index: Index, name: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = calibrate_in_order(index.model, _background(index), BANK[::2], 2)
    monkeypatch.setattr(module, name, value)
    part = calibrate_in_order(index.model, _background(index), BANK[::2], 2)
    assert everything is not None
    assert part is not None
    assert part != everything
    assert part.plain.location == pytest.approx(everything.plain.location, abs=0.6 * everything.plain.scale)


def test_chance_is_measured_without_reading_all_of_a_large_index(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SCANNED", 10)
    background = _background(index)

    def refuse(*_: object) -> None:
        raise AssertionError("the whole index was scanned")

    monkeypatch.setattr(index.gallery, "block", refuse)
    assert calibrate_in_order(index.model, background, FEW, 2) is not None
    assert module.calibrate(index.model, background, FEW).questions == len(FEW)


def test_what_others_measured_meanwhile_is_kept_too(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, whole = index.store.folder, calibrate_in_order
    (folder / FILE).unlink(missing_ok=True)

    def slow(*given: Any) -> Any:
        monkeypatch.setattr(module, "calibrate_in_order", whole)
        assert Index.open(folder, index.model).calibration_in_order(3) is not None
        return whole(*given)

    monkeypatch.setattr(module, "calibrate_in_order", slow)
    assert Index.open(folder, index.model).calibration_in_order(2) is not None
    assert set(json.loads((folder / FILE).read_text())["in_order"]) == {"2", "3"}
    assert [path.name for path in folder.glob(FILE + "*")] == [FILE]
