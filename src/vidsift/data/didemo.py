"""DiDeMo: videos of Flickr, up to 30 s, with sentences about moments in them (Hendricks et al., ICCV 2017).

Files looked for:

- ``train_data.json``, ``val_data.json``, ``test_data.json`` of LisaAnne/LocalizingMoments: a list of
  ``video`` (a file name), ``description`` and ``times``, the moment as each of at least four people marked
  it, in pieces of five seconds;
- ``train_list.txt``, ``val_list.txt``, ``test_list.txt`` of albanie/collaborative-experts: a file name a
  line, 8,392, 1,065 and 1,004.

Retrieval takes all sentences of a video, in the order of the file, as one paragraph, and looks at the first
31 s (ArrowLuo/CLIP4Clip, dataloaders/dataloader_didemo_retrieval.py; what is longer was cut at 30 s when it
was described).

**The gallery is the lists.** The JSON names 1,094 videos of val and 1,037 of test, since 29 and 33 videos
stand in it under two names that differ in the extension only (``x.mov``, ``x.mp4``, ``x.``): without it
there are 1,065 and 1,004, those of the lists. Papers' paragraphs, as CLIP4Clip makes them, hold the
sentences under the listed name alone: they lack 71 of 4,180 sentences in val and 89 of 4,021 in test. So it
is here where a list is there; without lists a paragraph holds all sentences. Moments are those of all
sentences in both cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, ClassVar, Literal

from vidsift.data.entries import Entry, Moment
from vidsift.data.video_files import AnnotatedVideos
from vidsift.errors import CaptionsError

__all__ = ["Didemo", "agreed_span"]

_LOOKED_AT_SECONDS = 31.0
_PIECE_SECONDS = 5.0


class Didemo(AnnotatedVideos):
    """DiDeMo as retrieval of whole videos by paragraphs; entries also hold the moments of the sentences."""

    title: ClassVar = "DiDeMo"
    splits: ClassVar = ("train", "val", "test")
    tests: ClassVar = ("test",)
    validation_split: ClassVar = "val"
    caption_protocol: ClassVar = "paragraph"
    max_words: ClassVar = 64
    frames: ClassVar = 64

    source: Literal["didemo"]
    split: Literal["train"] = "train"

    def read(self, split: str) -> Iterator[Entry]:
        """See :class:`~vidsift.data.video_files.AnnotatedVideos`."""
        about: dict[str, list[dict[str, Any]]] = {}
        for said in self.files.json(f"{split}_data.json"):
            about.setdefault(_stem(said["video"]), []).append(said)
        listed = f"{split}_list.txt"
        names = (
            self.lines(listed)
            if self.files.present(listed)
            else [said[0]["video"] for said in about.values()]
        )
        for name in names:
            all_said = about.get(_stem(name), [])
            in_paragraph = [said for said in all_said if said["video"] == name]
            if not self.files.present(listed):
                in_paragraph = all_said
            sentences = [said["description"] for said in in_paragraph]
            if not sentences:
                raise CaptionsError(f"{self.where}: {split}_data.json has no description of {name}")
            yield self.entry(
                name,
                [" ".join(sentences)],
                split=split,
                end_seconds=_LOOKED_AT_SECONDS,
                moments=tuple(Moment(said["description"], *agreed_span(said["times"])) for said in all_said),
            )


def agreed_span(times: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return the span in seconds on which the people who marked a moment agree best.

    It is the marked one with the highest mean IoU with all that were marked, in most cases the one that most
    people marked; the earliest, then the shortest of several.

    Args:
        times: first and last piece of five seconds, both of them part of the moment, by person.

    Raises:
        ValueError: there is none, or one ends before it begins.
    """
    pieces = [(int(first), int(last)) for first, last in times]
    if not pieces or not all(0 <= first <= last for first, last in pieces):
        raise ValueError(f"times is {times!r}, expected the first and the last piece of each person")

    def agreement(span: tuple[int, int]) -> Fraction:
        # Exact: rounding must not settle which of two is better.
        return sum((_overlap(span, other) for other in pieces), Fraction())

    first, last = min(set(pieces), key=lambda span: (-agreement(span), span))
    return first * _PIECE_SECONDS, (last + 1) * _PIECE_SECONDS


def _overlap(span: tuple[int, int], other: tuple[int, int]) -> Fraction:
    """IoU of two spans of whole pieces."""
    common = min(span[1], other[1]) - max(span[0], other[0]) + 1
    return Fraction(max(common, 0), max(span[1], other[1]) - min(span[0], other[0]) + 1)


def _stem(name: str) -> str:
    return name.rpartition(".")[0]
