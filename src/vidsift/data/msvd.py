"""MSVD, also YouTube2Text: 1,970 clips of YouTube with some 41 captions each (Chen and Dolan, ACL 2011).

Files looked for:

- ``train_list.txt``, ``val_list.txt``, ``test_list.txt``: an id a line, 1,200, 100 and 670 videos
  (albanie/collaborative-experts, which took them from Venugopalan et al., ICCV 2015; CLIP4Clip's
  msvd_data.zip holds the same);
- captions by id, from the first of: ``captions_msvd.json`` (sentences), ``raw-captions.json``,
  ``ref_captions.json`` (cshizhe/hgr_v2t). CLIP4Clip and collaborative-experts give out
  ``raw-captions.pkl``, lists of words: ``vidsift data convert`` makes ``raw-captions.json`` of it.

Every caption of a video is a query of its own: 27,763 in test. Ids hold the seconds of the clip in the film
that it was cut from (``mv89psg6zh4_33_46``); the files are the clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from vidsift.data.entries import Entry
from vidsift.data.video_files import AnnotatedVideos

__all__ = ["Msvd"]

_CAPTIONS = ("captions_msvd.json", "raw-captions.json", "ref_captions.json")


class Msvd(AnnotatedVideos):
    """MSVD with the splits of Venugopalan et al., which all papers take."""

    title: ClassVar = "MSVD"
    splits: ClassVar = ("train", "val", "test")
    tests: ClassVar = ("test",)
    validation_split: ClassVar = "val"

    source: Literal["msvd"]
    split: Literal["train"] = "train"

    def read(self, split: str) -> Iterator[Entry]:
        """See :class:`~vidsift.data.video_files.AnnotatedVideos`."""
        ids = self.lines(f"{split}_list.txt")
        captions = self.files.word_captions(*_CAPTIONS)
        for video_id in ids:
            yield self.entry(video_id, captions.get(video_id, ()), split=split)
