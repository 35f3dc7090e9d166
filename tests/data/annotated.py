"""A data set as it lies on a disk: stand-in videos called by their ids, and annotation files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.video.making import Recipe, make

from vidsift.data.catalog import open_source
from vidsift.data.source import DataSource

SHARED = Path(__file__).parents[3] / "shared" / "annotations"


def shared(name: str) -> Path:
    """The real annotations of a data set; skips the test where they are not there."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs the annotation files of {name} in {folder}, which are not in this repository")
    return folder


def write_files(folder: Path, files: Mapping[str, Any]) -> Path:
    """Write annotation files: strings as they are, anything else as JSON."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def source_with(folder: Path, name: str, files: Mapping[str, Any]) -> DataSource:
    """A data set with these annotation files, and a folder of videos that is empty unless filled before."""
    (folder / "videos").mkdir(exist_ok=True)
    write_files(folder / "annotations", files)
    return open_source(name, str(folder / "videos"), str(folder / "annotations"))


def stand_ins(folder: Path, ids: Iterable[str]) -> Path:
    """Make a video of a second for each id, no two alike."""
    folder.mkdir(exist_ok=True)
    for number, video_id in enumerate(ids):
        make(folder, Recipe(fps=8, frames=8 + number), video_id)
    return folder


def msrvtt(
    folder: Path, split_of: Mapping[str, str], train_9k: Sequence[str], test_1k: Mapping[str, str]
) -> Path:
    """Write annotations of MSR-VTT in the format that its authors, and those of CLIP4Clip, gave out."""
    folder.mkdir(exist_ok=True)
    videos: list[dict[str, Any]] = [
        {
            "category": 9, "url": f"https://www.youtube.com/watch?v={video_id}", "video_id": video_id,
            "start time": 1.5, "end time": 11.5, "split": split, "id": number,
        }
        for number, (video_id, split) in enumerate(split_of.items())
    ]  # fmt: skip
    sentences = [
        {"caption": f"sentence {number} about {video_id}", "video_id": video_id, "sen_id": number}
        for number in range(2)
        for video_id in split_of
    ]
    about = {"contributor": "nobody", "year": "2016"}
    text = json.dumps({"info": about, "videos": videos, "sentences": sentences})
    (folder / "MSRVTT_data.json").write_text(text, encoding="utf-8")
    (folder / "MSRVTT_train.9k.csv").write_text("\n".join(["video_id", *train_9k, ""]), encoding="utf-8")
    rows = [
        f'ret{number},msr{number},{video_id},"{sentence}"'
        for number, (video_id, sentence) in enumerate(test_1k.items())
    ]
    text = "\n".join(["key,vid_key,video_id,sentence", *rows, ""])
    (folder / "MSRVTT_JSFUSION_test.csv").write_text(text, encoding="utf-8")
    return folder
