"""VATEX: clips of 10 s of YouTube, each with ten English captions (Wang et al., ICCV 2019).

Papers on retrieval take the split of HGR (Chen et al., CVPR 2020): 25,991 videos to train on, and the 3,000
of the official validation halved into val and test, 1,500 each. Files looked for:

- captions by id, from all of these that are there: ``vatex_data.json`` (``{id: {"enCap": [...]}}``:
  CryhanFang/CLIP2Video and those after it), ``ref_captions.json`` (``{id: [...]}``: cshizhe/hgr_v2t),
  ``raw-captions.json`` (albanie/collaborative-experts, by ``vidsift data convert``),
  ``vatex_training_v1.0.json``, ``vatex_validation_v1.0.json``, ``vatex_public_test_english_v1.1.json`` (the
  authors: lists of ``videoID`` and ``enCap``);
- which videos: ``train_list.txt``, ``val_list.txt``, ``test_list.txt``, or ``vatex_test_HGR.txt``
  (CLIP2Video), ``val_list_split1.txt`` and ``val_list_split2.txt`` (collaborative-experts),
  ``trn_names.npy``, ``val_names.npy``, ``tst_names.npy`` (HGR).

The splits official-val (3,000) and public-test (6,000) are those of the authors' files. official-val holds
the videos of val and test and is a test split for it.

Ids hold the seconds of the clip in the video that it was cut from (``Ptf_2VRj-V0_000122_000132``); the
files are the clips, and called so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np

from vidsift.data.entries import Entry
from vidsift.data.video_files import AnnotatedVideos
from vidsift.errors import CaptionsError

__all__ = ["Vatex"]

_LISTS = {
    "train": ("train_list.txt", "trn_names.npy"),
    "val": ("val_list.txt", "val_list_split1.txt", "val_names.npy"),
    "test": ("test_list.txt", "vatex_test_HGR.txt", "val_list_split2.txt", "tst_names.npy"),
}
_OFFICIAL = {
    "train": ("vatex_training_v1.0.json",),
    "official-val": ("vatex_validation_v1.0.json",),
    "public-test": ("vatex_public_test_english_v1.1.json", "vatex_public_test_english.json"),
}


class Vatex(AnnotatedVideos):
    """VATEX with its English captions, in HGR's splits and in those of its authors."""

    title: ClassVar = "VATEX"
    splits: ClassVar = ("train", "val", "test", "official-val", "public-test")
    tests: ClassVar = ("test", "official-val", "public-test")
    validation_split: ClassVar = "val"

    source: Literal["vatex"]
    split: Literal["train"] = "train"

    def read(self, split: str) -> Iterator[Entry]:
        """See :class:`~vidsift.data.video_files.AnnotatedVideos`."""
        lists, official = _LISTS.get(split, ()), _OFFICIAL.get(split, ())
        if self.files.present(*lists) is None and (split not in _LISTS or self.files.present(*official)):
            captions = self._official(*official)
            ids = list(captions)
        else:
            ids, captions = self._listed(*lists), self._captions()
        for video_id in ids:
            yield self.entry(video_id, captions.get(video_id, ()), split=split)

    def _listed(self, *names: str) -> list[str]:
        file = self.files.file(*names)
        if file.suffix != ".npy":
            return self.lines(file.name)
        try:
            # Without pickles, of which arrays of objects are made.
            return [str(name) for name in np.load(file, allow_pickle=False)]
        except (OSError, ValueError) as error:
            raise CaptionsError(f"{file} cannot be read: {error}; expected an array of names") from error

    def _captions(self) -> dict[str, list[str]]:
        """The captions of all files that are there."""
        captions: dict[str, list[str]] = {}
        for names in _OFFICIAL.values():
            if self.files.present(*names):
                captions |= self._official(*names)
        plain = ("ref_captions.json", "raw-captions.json")
        if self.files.present(*plain):
            captions |= self.files.word_captions(*plain)
        if self.files.present("vatex_data.json"):
            about = self.files.json("vatex_data.json")
            captions |= {video_id: said["enCap"] for video_id, said in about.items()}
        if not captions:
            self.files.file("vatex_data.json", *plain, *_OFFICIAL["train"], *_OFFICIAL["official-val"])
        return captions

    def _official(self, *names: str) -> dict[str, list[str]]:
        about: list[dict[str, Any]] = self.files.json(self.files.file(*names).name)
        return {said["videoID"]: said["enCap"] for said in about}
