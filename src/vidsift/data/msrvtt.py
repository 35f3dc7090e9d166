"""MSR-VTT: 10,000 clips of the web, each with 20 captions (Xu et al., CVPR 2016).

Annotations: ``MSRVTT_data.json`` as published, and the lists that CLIP4Clip gives out:
``MSRVTT_JSFUSION_test.csv`` (1k-A, one caption a video), ``MSRVTT_train.9k.csv``, ``MSRVTT_train.7k.csv``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from vidsift.data.entries import Entry
from vidsift.data.video_files import AnnotatedVideos

__all__ = ["MsrVtt"]


class MsrVtt(AnnotatedVideos):
    """MSR-VTT with the splits that papers report; 1k-A is tested after training on 9k or 7k."""

    title: ClassVar = "MSR-VTT"
    splits: ClassVar = ("9k", "7k", "1k-A", "train", "validate", "test")
    tests: ClassVar = ("1k-A", "test")

    source: Literal["msrvtt"]
    split: Literal["9k", "7k", "train"] = "9k"

    def read(self, split: str) -> Iterator[Entry]:
        """See :class:`~vidsift.data.video_files.AnnotatedVideos`."""
        # One caption a video, and the list holds it: MSRVTT_data.json is not needed for testing.
        if split == "1k-A":
            for row in self.csv_rows("MSRVTT_JSFUSION_test.csv", "video_id", "sentence"):
                yield self.entry(row["video_id"], [row["sentence"]], split=split)
            return
        videos, sentences = self.json_values("MSRVTT_data.json", "videos", "sentences")
        captions: dict[str, list[str]] = {video["video_id"]: [] for video in videos}
        for sentence in sentences:
            captions[sentence["video_id"]].append(sentence["caption"])
        ids = [video["video_id"] for video in videos if video["split"] == split]
        # Of the 10,000 videos of all three official splits: 9k is what 1k-A leaves.
        if split in {"9k", "7k"}:
            ids = [row["video_id"] for row in self.csv_rows(f"MSRVTT_train.{split}.csv", "video_id")]
        for video_id in ids:
            yield self.entry(video_id, captions.get(video_id, ()), split=split)
