"""YouCook2: steps are parts of videos, with spans, ids of their own, and recipes' folders on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.data.annotated import source_with

from vidsift.data.entries import Moment
from vidsift.errors import CaptionsError


def about(subset: str, *steps: tuple[list[float], str]) -> dict[str, Any]:
    annotations = [
        {"id": number, "segment": span, "sentence": text} for number, (span, text) in enumerate(steps)
    ]
    return {
        "duration": 311.8,
        "subset": subset,
        "recipe_type": "113",
        "annotations": annotations,
        "video_url": "x",
    }


DATABASE = {
    "GLd3aX16zBg": about("training", ([90, 102], "spread margarine on bread "), ([114, 127], "place cheese")),
    "xHr8X2Wpmno": about("validation", ([47, 60], "pick the ends"), ([67, 89.5], "pick the ends")),
}


def test_each_step_is_an_entry_with_its_span(tmp_path: Path) -> None:
    folder = tmp_path / "videos" / "training" / "113"
    folder.mkdir(parents=True)
    (folder / "GLd3aX16zBg.mkv").touch()
    source = source_with(
        tmp_path, "youcook2", {"youcookii_annotations_trainval.json": {"database": DATABASE}}
    )
    first, second = source.entries("train")
    assert first.path == second.path == folder / "GLd3aX16zBg.mkv"
    assert (first.id, first.captions) == ("GLd3aX16zBg_0", ("spread margarine on bread",))
    assert (first.start_seconds, first.end_seconds) == (90.0, 102.0)
    assert second.moments == (Moment("place cheese", 114.0, 127.0),)
    # The same words of two steps are two entries.
    assert [entry.id for entry in source.entries("val")] == ["xHr8X2Wpmno_0", "xHr8X2Wpmno_1"]


def test_the_list_of_mil_nce_is_a_split_of_its_own(tmp_path: Path) -> None:
    rows = (
        "end,start,task,text,video_id",
        '60,47,226,"pick the ends, all",xHr8X2Wpmno',
        "89,67,226,mash,xHr8X2Wpmno",
    )
    table = "\n".join(rows)
    source = source_with(tmp_path, "youcook2", {"validation_youcook.csv": table})
    first, second = source.entries("val-3350")
    assert (first.captions, first.start_seconds, first.end_seconds) == (("pick the ends, all",), 47.0, 60.0)
    assert second.id == "xHr8X2Wpmno_1"
    with pytest.raises(CaptionsError, match=r"youcookii_annotations_trainval.json"):
        source.entries("val")


@pytest.mark.parametrize("span", [[5, 5], [9, 3], [1], ["a", 2]])
def test_a_span_that_is_none_is_refused(tmp_path: Path, span: list[Any]) -> None:
    database = {"a": about("validation", (span, "stir"))}
    source = source_with(
        tmp_path, "youcook2", {"youcookii_annotations_trainval.json": {"database": database}}
    )
    with pytest.raises(CaptionsError, match="'val' are not in the format"):
        source.entries("val")
