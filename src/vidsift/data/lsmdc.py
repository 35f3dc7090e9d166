"""LSMDC: 118,081 clips of 202 films with audio descriptions (Rohrbach et al., IJCV 2017; challenge of 2016).

Files looked for, as the challenge gives them out to who signed its agreement (CLIP4Clip reads the same):

- ``LSMDC16_annos_training.csv`` (101,079 lines), ``LSMDC16_annos_val.csv`` (7,408),
  ``LSMDC16_challenge_1000_publictect.csv`` (the 1,000 clips that retrieval is tested on),
  ``LSMDC16_annos_test.csv`` (10,053, here "public-test").

They have no head: clip, start and end as aligned, start and end as cut out, sentence, between tabs. A clip
may stand on several lines of training and then has several captions; in the 1,000 each has one. Names of
persons are SOMEONE.

The clips lie in a folder for each film:
``0001_American_Beauty/0001_American_Beauty_00.00.51.926-00.00.54.129.avi``. What the times in its name and
in the lines mean is the film: the files are the clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from vidsift.data.entries import Entry
from vidsift.data.video_files import AnnotatedVideos

__all__ = ["Lsmdc"]

_COLUMNS = ("clip", "start_aligned", "end_aligned", "start_extracted", "end_extracted", "sentence")
_FILES = {
    "train": "LSMDC16_annos_training.csv",
    "val": "LSMDC16_annos_val.csv",
    "test": "LSMDC16_challenge_1000_publictect.csv",
    "public-test": "LSMDC16_annos_test.csv",
}


class Lsmdc(AnnotatedVideos):
    """LSMDC; papers test on 1,000 clips of the challenge."""

    title: ClassVar = "LSMDC"
    splits: ClassVar = ("train", "val", "test", "public-test")
    tests: ClassVar = ("test", "public-test")
    validation_split: ClassVar = "val"
    caption_protocol: ClassVar = "one caption"

    source: Literal["lsmdc"]
    split: Literal["train"] = "train"

    def read(self, split: str) -> Iterator[Entry]:
        """See :class:`~vidsift.data.video_files.AnnotatedVideos`."""
        for row in self.files.tab_rows(_FILES[split], _COLUMNS):
            yield self.entry(row["clip"], [row["sentence"].strip()], split=split)
