"""The moments that a search shows, scored: the very ones, on Shapes videos of several scenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.methods import tiny

from vidsift.data.entries import Entry, Moment
from vidsift.data.folder import read_folder
from vidsift.errors import MissingVideosError
from vidsift.evaluation.moments import best_iou, timed_sentences
from vidsift.index.build import build_index
from vidsift.methods.model import Model, load
from vidsift.search.moment_evaluation import evaluate_moments
from vidsift.search.searcher import Index
from vidsift.shapes.joined import write_joined_library

SCENES = 4


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("moments") / "joined"
    write_joined_library(folder, videos=6, scenes=SCENES, size_px=64)
    return read_folder(folder)


@pytest.fixture(scope="module")
def shapes() -> Model:
    return load("shapes")


def test_a_trained_model_finds_moments_far_above_chance(library: list[Entry], shapes: Model) -> None:
    sentences: list[int] = []
    result = evaluate_moments(shapes, library, workers=1, progress=sentences.append)
    given, corpus, chance = result["given_video"], result["whole_corpus"], result["chance"]
    assert given["sentences"] == sum(sentences) == 6 * SCENES
    # Given the video a sentence has 4 scenes to choose from.
    assert given["mIoU"] > 2 * chance["given_video"]["mIoU"]
    assert given["R@1 IoU 0.5"] > 3 * chance["given_video"]["R@1 IoU 0.5"]
    # In the corpus the video has to be right too.
    assert 0 < corpus["mIoU"] <= given["mIoU"]
    assert chance["whole_corpus"]["mIoU"] == pytest.approx(chance["given_video"]["mIoU"] / 6)
    # Each scene is a quarter of its video.
    assert chance["whole_video"]["mIoU"] == pytest.approx(100 / SCENES, abs=0.1)
    protocol = result["protocol"]
    assert (protocol["videos"], protocol["segment"], protocol["moments_from"]) == (6, "auto", "the method")


def short(entry: Entry) -> Entry:
    """The entry with sentences that a tiny model reads whole."""
    sentences = ("circle", "two triangles", "a yellow ring blinks", "a red circle moves left")
    moments = tuple(
        moment._replace(caption=sentence) for moment, sentence in zip(entry.moments, sentences, strict=True)
    )
    return replace(entry, moments=moments)


@pytest.mark.parametrize("method", ["drl", "zero_shot"])
def test_the_moments_scored_are_those_that_a_search_shows(
    method: str, library: list[Entry], tmp_path: Path
) -> None:
    model = tiny.model(method, {"temporal": "none"} if method == "drl" else None)
    entries = [short(entry) for entry in library[:3]]
    result = evaluate_moments(model, entries, segment=4.0)
    build_index([entry.path for entry in entries], tmp_path / "index", model, segment=4.0, workers=1)
    index = Index.open(tmp_path / "index", model)
    given, corpus = [], []
    for sentence in timed_sentences(entries):
        video_id = index.video_at(sentence.path)
        shown = min(index.in_video(sentence.sentence, video_id), key=lambda hit: hit.rank)
        given.append(float(best_iou(*shown.moment, sentence.spans)))
        (first,) = index.search(sentence.sentence, 1, group_by="video")
        right = first.video_id == video_id
        corpus.append(float(best_iou(*first.moment, sentence.spans)) if right else 0.0)
    assert len(given) == result["given_video"]["sentences"] == 3 * SCENES
    assert result["given_video"]["mIoU"] == pytest.approx(100 * sum(given) / len(given))
    assert result["whole_corpus"]["mIoU"] == pytest.approx(100 * sum(corpus) / len(corpus))
    assert 0 < sum(corpus) < sum(given)


def test_missing_videos_are_refused_missed_or_left_out(library: list[Entry], tmp_path: Path) -> None:
    model = tiny.model("drl", {"temporal": "none"})
    # Signs that a search reads as a sum, and more words than the model takes, are part of the sentence here.
    there = replace(library[0], moments=(Moment("circle - two " + "a ring " * 20, 1.0, 9.0),))
    absent = replace(library[1], path=tmp_path / "absent.mp4")
    broken = replace(library[2], path=tmp_path / "broken.mp4")
    broken.path.write_bytes(b"no video")
    with pytest.raises(MissingVideosError, match=r"absent\.mp4: there is no such file.*No moment was scored"):
        evaluate_moments(model, [there, absent])
    with pytest.raises(MissingVideosError, match=r"1 of 2 videos missing: .*broken\.mp4"):
        evaluate_moments(model, [there, broken])
    entries = [there, absent, broken]
    skipped = evaluate_moments(model, entries, missing="skip")
    protocol = skipped["protocol"]
    assert (protocol["missing_videos"], protocol["sentences"], protocol["sentences_cut"]) == (2, 1, 1)
    assert skipped["given_video"]["mIoU"] > 0
    missed = evaluate_moments(model, entries, missing="miss")
    count = 2 * SCENES + 1
    assert missed["given_video"]["sentences"] == count
    for name in ("given_video", "whole_corpus"):
        assert missed[name]["mIoU"] == pytest.approx(skipped[name]["mIoU"] / count)
    chance = skipped["chance"]["given_video"]["mIoU"]
    assert missed["chance"]["given_video"]["mIoU"] == pytest.approx(chance / count)
    with pytest.raises(ValueError, match="not one of the videos with moments can be read"):
        evaluate_moments(model, [broken], missing="skip")


def test_data_without_moments_are_refused(library: list[Entry]) -> None:
    plain = [replace(entry, moments=()) for entry in library]
    with pytest.raises(ValueError, match="no sentence has a moment"):
        evaluate_moments(tiny.model(), plain)
