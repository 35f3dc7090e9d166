"""MSR-VTT: 10,000 clips of the web, each with 20 captions (Xu et al., CVPR 2016).

Captions are read from the first of these that is there:

- ``MSRVTT_data.json``, as CLIP4Clip gives it out (msrvtt_data.zip of ArrowLuo/CLIP4Clip), ``MSRVTT.json``:
  objects with ``videos`` and ``sentences``;
- ``train_val_videodatainfo.json`` and ``test_videodatainfo.json``: the same in two files, as the authors of
  the data did;
- ``MSR_VTT.json``: ``annotations`` with ``image_id`` and ``caption``, as m-bain/frozen-in-time reads it.

Which videos a split holds:

- 1k-A (JSFusion's split, 1,000 videos with one caption each): ``MSRVTT_JSFUSION_test.csv``; it needs no
  other file;
- 9k and 7k, trained on before 1k-A is tested: ``MSRVTT_train.9k.csv``, ``MSRVTT_train.7k.csv`` of
  CLIP4Clip, or ``train_list_jsfusion.txt`` of albanie/collaborative-experts for 9k;
- train, validate and test (6,513, 497 and 2,990 videos, the "full" split): as the captions' file says, or
  ``train_list_full.txt``, ``val_list_full.txt`` and ``test_list_full.txt`` of collaborative-experts, or
  ``MSRVTT_train.full.csv`` and so on of CryhanFang/CLIP2Video.

9k holds all videos of validate and 1,990 of test, 7k all of train and validate: neither leaves an official
split to choose a model by.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from vidsift.data.entries import Entry
from vidsift.data.video_files import AnnotatedVideos
from vidsift.errors import CaptionsError

__all__ = ["MsrVtt"]

_WHOLE = ("MSRVTT_data.json", "MSRVTT.json")
_PARTS = ("train_val_videodatainfo.json", "test_videodatainfo.json")
_COCO = "MSR_VTT.json"
_LISTS = {"train": "train", "validate": "val", "test": "test"}


class MsrVtt(AnnotatedVideos):
    """MSR-VTT with the splits that papers report; 1k-A is tested after training on 9k or 7k."""

    title: ClassVar = "MSR-VTT"
    splits: ClassVar = ("9k", "7k", "1k-A", "train", "validate", "test")
    tests: ClassVar = ("1k-A", "test")
    caption_protocol: ClassVar = "one caption"

    source: Literal["msrvtt"]
    split: Literal["9k", "7k", "train"] = "9k"

    def read(self, split: str) -> Iterator[Entry]:
        """See :class:`~vidsift.data.video_files.AnnotatedVideos`."""
        # One caption a video, and the list holds it: the captions' file is not needed for testing.
        if split == "1k-A":
            for row in self.csv_rows("MSRVTT_JSFUSION_test.csv", "video_id", "sentence"):
                yield self.entry(row["video_id"], [row["sentence"]], split=split)
            return
        captions, split_of = self._captions()
        for video_id in self._ids(split, split_of):
            yield self.entry(video_id, captions.get(video_id, ()), split=split)

    def _ids(self, split: str, split_of: dict[str, str]) -> list[str]:
        # Of the 10,000 videos of all three official splits: 9k is what 1k-A leaves.
        if split in {"9k", "7k"}:
            table, other = f"MSRVTT_train.{split}.csv", "train_list_jsfusion.txt"
            if split == "9k" and self.files.present(table) is None and self.files.present(other):
                return self.lines(other)
            return [row["video_id"] for row in self.csv_rows(table, "video_id")]
        if split_of:
            return [video_id for video_id, its_split in split_of.items() if its_split == split]
        name = _LISTS[split]
        full = self.files.present(f"MSRVTT_{name}.full.csv")
        if full is not None:
            return [row["video_id"] for row in self.csv_rows(full, "video_id")]
        return self.lines(f"{name}_list_full.txt")

    def _captions(self) -> tuple[dict[str, list[str]], dict[str, str]]:
        """Captions by video, and the official split of each video where the files say."""
        if self.files.present(*_WHOLE, *_PARTS) is None and self.files.present(_COCO):
            (annotations,) = self.json_values(_COCO, "annotations")
            captions: dict[str, list[str]] = {}
            for annotation in annotations:
                captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
            return captions, {}
        parts = _PARTS if self.files.present(*_WHOLE) is None and self.files.present(*_PARTS) else (_WHOLE,)
        videos: list[Any] = []
        sentences: list[Any] = []
        for names in parts:
            its_videos, its_sentences = self.json_values(names, "videos", "sentences")
            videos += its_videos
            sentences += its_sentences
        captions = {video["video_id"]: [] for video in videos}
        for sentence in sentences:
            captions[sentence["video_id"]].append(sentence["caption"])
        split_of: dict[str, str] = {}
        for video in videos:
            video_id, split = video["video_id"], video["split"]
            if split_of.setdefault(video_id, split) != split:
                raise CaptionsError(f"{self.where}: {video_id} is of {split_of[video_id]!r} and of {split!r}")
        return captions, split_of
