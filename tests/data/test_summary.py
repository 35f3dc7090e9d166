"""What splits hold and share, and that a fault of a file that several splits need is told once."""

from __future__ import annotations

from pathlib import Path

from tests.data.annotated import msrvtt, source_with

from vidsift.data.catalog import open_annotations
from vidsift.data.summary import Overlap, SplitSummary, count_shared, summarise

SPLIT_OF = {f"video{number}": "train" for number in range(4)} | {"video4": "validate", "video5": "test"}


def test_splits_that_share_videos_are_told(tmp_path: Path) -> None:
    train_9k = ["video0", "video1", "video2", "video3", "video4"]
    msrvtt(tmp_path, SPLIT_OF, train_9k, {"video5": "a circle"})
    source = open_annotations("msrvtt", str(tmp_path))
    summary = summarise(source)
    assert summary.overlaps == (
        Overlap("9k", "train", 4, 5, 4),
        Overlap("9k", "validate", 1, 5, 1),
        Overlap("1k-A", "test", 1, 1, 1),
    )
    assert summary.splits[0] == SplitSummary("9k", False, 5, 5, 10, 0)
    assert [(split.split, split.test) for split in summary.splits if split.test] == [
        ("1k-A", True),
        ("test", True),
    ]
    # A file that is not there is no fault of the others.
    (problem,) = summary.absent
    assert "MSRVTT_train.7k.csv" in problem
    assert summary.absent[problem] == ["7k"]
    assert not summary.broken
    assert count_shared(source.entries("9k"), source.entries("validate")) == 1


def test_a_fault_that_several_splits_meet_is_told_once(tmp_path: Path) -> None:
    msrvtt(tmp_path, SPLIT_OF, ["video0"], {"video5": "a circle"})
    (tmp_path / "MSRVTT_data.json").write_text("{", encoding="utf-8")
    summary = summarise(open_annotations("msrvtt", str(tmp_path)))
    (problem,) = summary.broken
    assert "no JSON" in problem
    assert summary.broken[problem] == ["9k", "7k", "train", "validate", "test"]
    assert [split.split for split in summary.splits] == ["1k-A"]


def test_spans_are_moments_or_else_parts(tmp_path: Path) -> None:
    rows = "video_id,start,end,text\nx,1,2,stir\nx,2,3,pour\n"
    source = source_with(tmp_path, "youcook2", {"validation_youcook.csv": rows})
    (split,) = summarise(source).splits
    assert (split.videos, split.files, split.spans) == (2, 1, 2)
    (tmp_path / "captions.jsonl").write_text(
        '{"video": "a.mp4", "captions": ["x"], "start": 1}', encoding="utf-8"
    )
    (split,) = summarise(open_annotations("folder", str(tmp_path))).splits
    assert (split.split, split.spans) == ("", 1)
    (split,) = summarise(open_annotations("folder", str(tmp_path / "captions.jsonl"))).splits
    assert split.videos == 1
