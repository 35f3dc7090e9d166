"""VATEX: the splits of HGR and of the authors, from each kind of file in which they are given out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.annotated import source_with, write_files

from vidsift.errors import CaptionsError

ID = "Ptf_2VRj-V0_000122_000132"
LISTS = {
    "train_list.txt": f"{ID}\n",
    "val_list.txt": "a_000000_000010\n",
    "test_list.txt": "b_000001_000011\n",
}


def said(*ids: str) -> list[dict[str, Any]]:
    return [{"videoID": name, "enCap": [f"{name} walks", f"{name} runs"], "chCap": ["走"]} for name in ids]


def test_lists_and_captions_of_one_file(tmp_path: Path) -> None:
    ids = (ID, "a_000000_000010", "b_000001_000011")
    captions = {row["videoID"]: row for row in said(*ids)}
    source = source_with(tmp_path, "vatex", {**LISTS, "vatex_data.json": captions})
    for split, video_id in zip(("train", "val", "test"), ids, strict=True):
        (entry,) = source.entries(split)
        assert (entry.id, entry.captions) == (video_id, (f"{video_id} walks", f"{video_id} runs"))
    # An id holds full seconds of the film it was cut from: the file is the clip, whole.
    assert not entry.is_part


def test_the_authors_files_hold_captions_for_the_lists_and_splits_of_their_own(tmp_path: Path) -> None:
    files = {
        "vatex_training_v1.0.json": said(ID),
        "vatex_validation_v1.0.json": said("b_000001_000011", "a_000000_000010"),
        "vatex_public_test_english_v1.1.json": said("c_000002_000012"),
    }
    source = source_with(tmp_path, "vatex", files)
    assert [entry.id for entry in source.entries("train")] == [ID]
    assert len(source.entries("official-val")) == 2
    assert [entry.id for entry in source.entries("public-test")] == ["c_000002_000012"]
    # Half of official-val is the test split, so that it is one itself.
    assert source.test_splits() == ("test", "official-val", "public-test")
    with pytest.raises(
        CaptionsError, match=r"no .*val_list.txt.*, or else val_list_split1.txt, val_names.npy"
    ):
        source.entries("val")
    write_files(tmp_path / "annotations", {"vatex_test_HGR.txt": "b_000001_000011\n"})
    (entry,) = source_with(tmp_path, "vatex", {}).entries("test")
    assert entry.captions == ("b_000001_000011 walks", "b_000001_000011 runs")


def test_the_files_of_hgr_are_read_and_pickled_arrays_are_not(tmp_path: Path) -> None:
    source = source_with(
        tmp_path, "vatex", {"RET/ref_captions.json": {ID: ["a man runs"], "a_000000_000010": ["b"]}}
    )
    np.save(tmp_path / "annotations" / "trn_names.npy", np.array([ID]))
    np.save(tmp_path / "annotations" / "val_names.npy", np.array(["a_000000_000010"], object))
    source = source_with(tmp_path, "vatex", {})
    assert [entry.captions for entry in source.entries("train")] == [("a man runs",)]
    with pytest.raises(
        CaptionsError, match=r"val_names.npy cannot be read: Object arrays.*expected an array of names"
    ):
        source.entries("val")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaptionsError, match=r"no .*vatex_data.json; .*ref_captions.json, raw-captions.json"):
        source_with(tmp_path, "vatex", LISTS).entries("train")
    with pytest.raises(CaptionsError, match=f"{ID} has no caption"):
        source_with(tmp_path, "vatex", {"ref_captions.json": {"else": ["x"]}}).entries("train")
