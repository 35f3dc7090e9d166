"""What a library suggests to ask: its own captions and what is often filmed, where that is a good match."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.index.library import filled
from tests.methods import tiny
from tests.search.rendered import shapes_index, video_of

from vidsift.methods.model import BUNDLED, load
from vidsift.search import calibration, calibration_sentences
from vidsift.search import suggestions as module
from vidsift.search.match_quality import match_of
from vidsift.search.searcher import Index
from vidsift.search.sums import normalise_query
from vidsift.shapes.library import draw_split
from vidsift.shapes.world import SHAPES

CLIPS = draw_split("test", 24)
CAPTIONS = {video_of(clip): list(clip.captions) for clip in CLIPS}
SEARCHED = {video: [normalise_query(text) for text in captions] for video, captions in CAPTIONS.items()}


@pytest.fixture(autouse=True, scope="module")
def _short_bank() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        sentences = calibration_sentences.CALIBRATION_SENTENCES[::10]
        patch.setattr(calibration, "CALIBRATION_SENTENCES", sentences)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suggestions") / "index"
    store = shapes_index(folder, load(BUNDLED, "cpu"), CLIPS).store
    with store.writing():
        store.write_captions({"captions.jsonl": CAPTIONS})
    return folder


def _opened(folder: Path) -> Index:
    return Index.open(folder, load(BUNDLED, "cpu"))


def test_captions_are_suggested_that_find_their_own_video(folder: Path) -> None:
    index = _opened(folder)
    suggested = index.suggestions(5)
    assert len(suggested) == 5
    hits = [index.search(sentence, 1)[0] for sentence in suggested]
    assert {hit.match for hit in hits} == {"good match"}
    assert len({hit.video_id for hit in hits}) == 5
    for sentence, hit in zip(suggested, hits, strict=True):
        assert sentence in SEARCHED[hit.video_id]
        assert len(sentence) <= 80


def test_of_a_larger_library_a_sample_is_asked_and_what_stands_out_there_fits_the_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_SAMPLE", 12)
    index = _opened(folder)
    sampled = {index.gallery.video_ids[row] for row in calibration._evenly(len(index), 12)}
    suggested = index.suggestions(9)
    assert suggested
    for sentence in suggested:
        assert any(sentence in SEARCHED[video] for video in sampled)
        # Nothing is known of the videos beside the sample, so it has to be good without a lead.
        hit = index.search(sentence, 1)[0]
        assert match_of(hit.confidence, None) == "good match"


def test_what_nobody_described_is_suggested_where_it_is_good_without_a_lead(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = _opened(folder)
    index._reader.captions_by_video = {}
    true = [min(captions, key=len) for captions in SEARCHED.values()][::4]
    scenes = [*true, *(f"a {colour} {shape}" for colour in ("red", "green", "white") for shape in SHAPES)]
    monkeypatch.setattr(module, "EVERYDAY_SCENES", ["a + b", "", *scenes, "show me " + scenes[0]])
    # A model that says what it knows is asked for nothing else.
    assert index.model.knows
    assert index.suggestions() == []
    index.model.card = {}
    suggested = index.suggestions(len(scenes))
    best = {sentence: index.search(sentence, 1)[0] for sentence in scenes}
    clear = [scene for scene in scenes if match_of(best[scene].confidence, None) == "good match"]
    assert 0 < len(clear) < len(scenes)
    assert set(suggested) <= set(clear)
    assert {best[scene].video_id for scene in suggested} == {best[scene].video_id for scene in clear}


def test_an_index_without_confidences_suggests_nothing(tmp_path: Path) -> None:
    model = tiny.model()
    assert Index.open(filled(tmp_path / "index", model, [3, 4]).folder, model).suggestions() == []
