"""ActivityNet Captions: 20,000 videos of two minutes, described in moments (Krishna et al., ICCV 2017).

Files looked for:

- ``train.json``, ``val_1.json``, ``val_2.json`` of the authors (captions.zip), which CLIP4Clip reads too:
  by id ``duration``, ``timestamps`` and ``sentences``. Both val files are about the same videos, described
  by other people; val_1 holds 4,917 videos, val_2 4,885 of these;
- which of them, if one of these is there: ``train_list.txt`` (10,009), ``val_1_list.txt`` (4,917),
  ``val_2_list.txt`` (4,885) of albanie/collaborative-experts, or ``train_ids.json`` and ``val_ids.json`` of
  the authors. What they list and no caption tells of is left out, as CLIP4Clip does.

Retrieval takes all sentences of a video as one paragraph and the whole video; papers train on train and
test on val1. Entries also hold the moment of each sentence. Ids begin with ``v_``; files may, or not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from vidsift.data.entries import Entry, Moment
from vidsift.data.video_files import AnnotatedVideos

__all__ = ["ActivityNet"]

_NAMES = {"train": "train", "val1": "val_1", "val2": "val_2"}


class ActivityNet(AnnotatedVideos):
    """ActivityNet Captions as retrieval of whole videos by paragraphs; val1 is what papers test on."""

    title: ClassVar = "ActivityNet Captions"
    splits: ClassVar = ("train", "val1", "val2")
    tests: ClassVar = ("val1", "val2")
    caption_protocol: ClassVar = "paragraph"
    max_words: ClassVar = 64
    frames: ClassVar = 64

    source: Literal["activitynet"]
    split: Literal["train"] = "train"

    def read(self, split: str) -> Iterator[Entry]:
        """See :class:`~vidsift.data.video_files.AnnotatedVideos`."""
        about = self.files.json(f"{_NAMES[split]}.json")
        for video_id in self._ids(split, about):
            if video_id not in about:
                continue
            said = about[video_id]
            paragraph = " ".join(sentence.strip() for sentence in said["sentences"])
            yield self.entry(video_id, [paragraph], split=split, moments=_moments(said))

    def _ids(self, split: str, about: Mapping[str, Any]) -> list[str]:
        listed, ids = f"{_NAMES[split]}_list.txt", f"{split.rstrip('12')}_ids.json"
        if self.files.present(listed):
            return self.lines(listed)
        if self.files.present(ids):
            return list(self.files.json(ids))
        return list(about)


def _moments(said: Mapping[str, Any]) -> tuple[Moment, ...]:
    """The moments of a video's sentences, inside the video; what is left of none of them has no moment."""
    duration = float(said["duration"])
    if not 0 < duration < math.inf:
        raise ValueError(f"duration is {said['duration']!r}, expected seconds above 0")
    moments = []
    for sentence, times in zip(said["sentences"], said["timestamps"], strict=True):
        if not all(math.isfinite(seconds) for seconds in times):
            raise ValueError(f"timestamps are {times!r}, expected two numbers of seconds")
        # A few stand the wrong way round, and some end after the video.
        start, end = sorted(float(seconds) for seconds in times)
        start, end = max(start, 0.0), min(end, duration)
        if start < end:
            moments.append(Moment(sentence.strip(), start, end))
    return tuple(moments)
