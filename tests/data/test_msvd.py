"""MSVD: the counts of the real files, both kinds of captions' files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.annotated import shared, source_with

from vidsift.data.catalog import open_source
from vidsift.data.msvd import Msvd
from vidsift.errors import CaptionsError

LISTS = {"train_list.txt": "a_1_2\nb_0_5\n", "val_list.txt": "c_3_4\r\n", "test_list.txt": "d_5_6\n"}


def test_the_real_files_hold_the_known_numbers(tmp_path: Path) -> None:
    source = open_source("msvd", str(tmp_path), str(shared("msvd")))
    entries = {split: source.entries(split) for split in source.splits}
    assert {split: len(held) for split, held in entries.items()} == {"train": 1200, "val": 100, "test": 670}
    captions = {split: sum(len(entry.captions) for entry in held) for split, held in entries.items()}
    assert captions == {"train": 48_774, "val": 4_290, "test": 27_763}
    assert sum(captions.values()) == 80_827
    assert len({entry.path for held in entries.values() for entry in held}) == 1970
    assert entries["test"][0].captions[0] == "a boy playing with dog"


def test_captions_are_sentences_or_lists_of_words(tmp_path: Path) -> None:
    captions = {name: [["a", "dog", "runs"], "it stops"] for name in ("a_1_2", "b_0_5", "c_3_4", "d_5_6")}
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a_1_2.avi").touch()
    source = source_with(tmp_path, "msvd", {**LISTS, "raw-captions.json": captions})
    first, second = source.entries("train")
    assert first.captions == ("a dog runs", "it stops")
    assert first.path == tmp_path / "videos" / "a_1_2.avi"
    # It is not there: it is expected with the extension that the others have.
    assert second.path == tmp_path / "videos" / "b_0_5.avi"
    assert [entry.id for entry in source.entries("val")] == ["c_3_4"]


def test_a_pickle_is_not_read_and_the_way_out_is_named(tmp_path: Path) -> None:
    source = source_with(tmp_path, "msvd", {**LISTS, "raw-captions.pkl": "(dp0\n."})
    with pytest.raises(
        CaptionsError, match=r"no .*captions_msvd.json.*, or else raw-captions.json.*pickle.*convert"
    ):
        source.entries("train")


@pytest.mark.parametrize(
    ("captions", "problem"),
    [
        ({"a_1_2": ["x"]}, "b_0_5 has no caption"),
        ({"a_1_2": ["x"], "b_0_5": {"0": "x"}}, "captions of b_0_5 are .*expected a list"),
        (["x"], "holds list, expected captions by video id"),
        ({"a_1_2": ["x"], "b_0_5": [[1, 2]]}, "not in the format"),
    ],
)
def test_what_is_no_caption_is_refused(tmp_path: Path, captions: object, problem: str) -> None:
    source = source_with(tmp_path, "msvd", {**LISTS, "captions_msvd.json": captions})
    with pytest.raises(CaptionsError, match=problem):
        source.entries("train")


def test_it_says_how_papers_use_it() -> None:
    assert (Msvd.tests, Msvd.validation_split, Msvd.caption_protocol) == (("test",), "val", "every caption")
    assert (Msvd.max_words, Msvd.frames) == (32, 12)
