"""ActivityNet Captions: paragraphs of whole videos, moments, and ids with ``v_`` or without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.data.annotated import shared, source_with

from vidsift.data.annotation_files import AnnotationFolder
from vidsift.data.entries import Moment
from vidsift.errors import CaptionsError

ABOUT: dict[str, Any] = {
    "v_one": {
        "duration": 82.73,
        "timestamps": [[0.83, 19.86], [60.81, 17.37], [56.26, 90], [5, 5]],
        "sentences": ["A woman walks. ", " She swims.", "She waves.", "She blinks."],
    },
    "v_two": {"duration": 10, "timestamps": [[0, 10]], "sentences": ["A man sleeps."]},
    "v_three": {"duration": 10, "timestamps": [[0, 10]], "sentences": ["A dog."]},
}


def test_the_real_lists_hold_the_known_numbers() -> None:
    files = AnnotationFolder(shared("activitynet"), "ActivityNet Captions")
    ids = {name: files.lines(f"{name}_list.txt") for name in ("train", "val_1", "val_2")}
    assert {name: len(set(listed)) for name, listed in ids.items()} == {
        "train": 10_009,
        "val_1": 4_917,
        "val_2": 4_885,
    }
    assert set(ids["val_2"]) < set(ids["val_1"])
    assert not set(ids["train"]) & set(ids["val_1"])
    assert all(name.startswith("v_") for listed in ids.values() for name in listed)


def test_a_video_is_a_paragraph_and_its_moments_lie_within_it(tmp_path: Path) -> None:
    (tmp_path / "videos" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "videos" / "one.MKV").touch()
    (tmp_path / "videos" / "deep" / "er" / "v_two.webm").touch()
    files = {"val_1.json": ABOUT, "val_1_list.txt": "v_two\nv_one\nv_not_described\n"}
    second, first = source_with(tmp_path, "activitynet", files).entries("val1")
    assert first.captions == ("A woman walks. She swims. She waves. She blinks.",)
    assert not first.is_part
    # Turned round, cut at the end of the video, and left out where nothing is left.
    assert first.moments == (
        Moment("A woman walks.", 0.83, 19.86),
        Moment("She swims.", 17.37, 60.81),
        Moment("She waves.", 56.26, 82.73),
    )
    assert first.path == tmp_path / "videos" / "one.MKV"
    assert second.path == tmp_path / "videos" / "deep" / "er" / "v_two.webm"
    assert (second.id, second.split) == ("v_two", "val1")


def test_the_files_of_its_authors_suffice(tmp_path: Path) -> None:
    files = {"train.json": ABOUT, "val_2.json": ABOUT, "val_ids.json": ["v_three", "v_four"]}
    source = source_with(tmp_path, "activitynet", files)
    assert [entry.id for entry in source.entries("train")] == list(ABOUT)
    assert [entry.id for entry in source.entries("val2")] == ["v_three"]
    assert source.test_splits() == ("val1", "val2")
    with pytest.raises(CaptionsError, match=r"there is no .*val_1.json"):
        source.entries("val1")


def test_sentences_without_times_are_refused(tmp_path: Path) -> None:
    about = {"v_one": {"duration": 5, "timestamps": [[0, 1]], "sentences": ["a", "b"]}}
    with pytest.raises(CaptionsError, match="'train' are not in the format"):
        source_with(tmp_path, "activitynet", {"train.json": about}).entries("train")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"timestamps": [[float("nan"), 10]]}, r"timestamps are \[nan, 10\], expected two numbers"),
        ({"timestamps": [[0, float("inf")]]}, "expected two numbers of seconds"),
        ({"duration": 0}, "duration is 0, expected seconds above 0"),
    ],
)
def test_times_that_are_none_are_refused(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    # Sorted and cut to the video they would look like moments, or leave without a word.
    files = {"train.json": ABOUT | {"v_two": ABOUT["v_two"] | wrong}}
    with pytest.raises(CaptionsError, match=words):
        source_with(tmp_path, "activitynet", files).entries("train")
