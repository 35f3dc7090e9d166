"""YouCook2: 2,000 cooking videos of YouTube, described step by step (Zhou et al., AAAI 2018).

What is searched for is a step: a part of a video with its sentence, so that entries are parts of files.
Files looked for:

- ``youcookii_annotations_trainval.json`` of the authors: ``database`` with ``subset`` and ``annotations``
  (``id``, ``segment`` in seconds, ``sentence``): splits train and val. val has 3,492 steps where all videos
  of it are counted;
- ``validation_youcook.csv`` of antoine77340/MIL-NCE_HowTo100M (columns ``video_id``, ``start``, ``end``,
  ``text``): the split val-3350, the 3,350 steps of val whose videos HowTo100M does not hold, on which
  models trained on HowTo100M are tested.

Some videos are no longer on YouTube: papers differ in how many steps they had. The authors' folders
``training/<recipe>/`` and ``validation/<recipe>/`` are looked through, with any extension.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Literal

from vidsift.data.entries import Entry, Moment
from vidsift.data.video_files import AnnotatedVideos

__all__ = ["YouCook2"]

_SUBSETS = {"train": "training", "val": "validation"}


class YouCook2(AnnotatedVideos):
    """YouCook2 as retrieval of steps, each a part of a video."""

    title: ClassVar = "YouCook2"
    splits: ClassVar = ("train", "val", "val-3350")
    tests: ClassVar = ("val", "val-3350")
    caption_protocol: ClassVar = "one caption"

    source: Literal["youcook2"]
    split: Literal["train"] = "train"

    def read(self, split: str) -> Iterator[Entry]:
        """See :class:`~vidsift.data.video_files.AnnotatedVideos`."""
        steps: Counter[str] = Counter()
        for video_id, start, end, sentence in self._steps(split):
            yield self.entry(
                video_id,
                [sentence.strip()],
                split=split,
                id=f"{video_id}_{steps[video_id]}",
                start_seconds=start,
                end_seconds=end,
                moments=(Moment(sentence.strip(), start, end),),
            )
            steps[video_id] += 1

    def _steps(self, split: str) -> Iterator[tuple[str, float, float, str]]:
        if split == "val-3350":
            for row in self.csv_rows("validation_youcook.csv", "video_id", "start", "end", "text"):
                yield row["video_id"], float(row["start"]), float(row["end"]), row["text"]
            return
        (database,) = self.json_values(
            ("youcookii_annotations_trainval.json", "youcookii_annotations_trainval.v1.json"), "database"
        )
        for video_id, about in database.items():
            if about["subset"] == _SUBSETS[split]:
                for step in about["annotations"]:
                    start, end = step["segment"]
                    yield video_id, float(start), float(end), step["sentence"]
