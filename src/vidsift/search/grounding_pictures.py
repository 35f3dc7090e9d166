"""Pointing in the picture: whether the largest place of a map lies on the thing that is named.

Where tokens stand for places of the picture in all frames together (PIDRo's patches), each word has a map of
its own. Where a method tells which patches of a frame its tokens come from (ProST, TS2-Net), the map is that
of the sentence: what each token gave, spread over its patches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vidsift.data.entries import Entry
from vidsift.data.frame_cache import read_entry
from vidsift.data.grounding import GroundedWord
from vidsift.errors import VideoReadError
from vidsift.evaluation.evaluate import EncodedGallery
from vidsift.evaluation.grounding import (
    PointedWord,
    WordAccount,
    best_frames,
    boxes_near,
    cells_of_boxes,
    pointing,
)
from vidsift.methods.model import Model
from vidsift.search.explain import TermAccount, traced_patches
from vidsift.search.grounded_captions import GroundedCaption
from vidsift.search.word_accounts import terms_of_pairs
from vidsift.types import PatchShares
from vidsift.video import probe

__all__ = ["PictureShapes", "sentences_in_picture", "words_in_picture"]


class PictureShapes:
    """Width over height of videos, each file looked at once."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        """See the class."""
        self._entries = entries
        self._aspects: dict[int, float] = {}

    def aspect(self, entry: int) -> float:
        """Return the width of an entry's pictures over their height, in pixels."""
        if entry not in self._aspects:
            about = probe(self._entries[entry].path)
            self._aspects[entry] = about.width_px / about.height_px
        return self._aspects[entry]


def words_in_picture(
    account: WordAccount,
    truth: Sequence[GroundedWord | None],
    aspect: float,
    other_C: NDArray[np.float64] | None = None,
) -> list[PointedWord]:
    """Judge each word that has boxes by the place of the picture that it is most alike.

    A place is right where the thing is in one of the frames that the model looked at.

    Args:
        account: with ``places``.
        truth: of its words.
        aspect: width of the pictures over their height.
        other_C: the best places of the words of another caption on average, summing to 1 ``(C,)``.
    """
    assert account.places is not None
    assert account.grid is not None
    judged = []
    for places_C, known in zip(account.places, truth, strict=True):
        if known is None or not known.boxes or np.isnan(places_C).all():
            continue
        boxes = [box for time in account.times_seconds for box in boxes_near(known.boxes, time)]
        # Chance is among the places that the model keeps: it cannot point to others.
        seen_C = ~np.isnan(places_C)
        right_C = cells_of_boxes(boxes, account.grid, aspect)[seen_C]
        pointed = pointing(best_frames(places_C[seen_C]), right_C)
        if pointed is not None:
            other = None if other_C is None else pointing(other_C[seen_C], right_C)
            judged.append(PointedWord(known.kind, pointed, float(right_C.mean()), other_caption=other))
    return judged


def sentences_in_picture(
    model: Model,
    gallery: EncodedGallery,
    captions: Sequence[GroundedCaption],
    others: Sequence[GroundedCaption | None],
) -> Iterator[list[PointedWord]]:
    """Judge each sentence by the frame and patch that gave most: whether it is on any thing that is named.

    The videos are read and encoded again for it: which patches tokens come from is not stored with them.

    Args:
        model: one that tells which patches its tokens come from.
        gallery: its videos, encoded.
        captions: video by video.
        others: for each a caption of another video, whose place in this one is judged too; None without.
    """
    shapes = PictureShapes(gallery.entries)
    start = 0
    for of_video in _by_video(captions):
        traced = _traced(model, gallery, of_video[0])
        pairs_of_sentences = [
            (caption.sentence, caption.sentence if other is None else other.sentence)
            for caption, other in zip(of_video, others[start : start + len(of_video)], strict=True)
        ]
        sentences = [sentence for both in pairs_of_sentences for sentence in both]
        rows = [of_video[0].row] * len(sentences)
        pairs = terms_of_pairs(model, gallery.videos, sentences, rows, [traced] * len(sentences))
        aspect = shapes.aspect(of_video[0].entry)
        for caption, other in zip(of_video, others[start : start + len(of_video)], strict=True):
            of_caption, of_other = next(pairs).terms, next(pairs).terms
            yield _sentence_in_picture(of_caption, None if other is None else of_other, caption, aspect)
        start += len(of_video)


def _by_video(captions: Sequence[GroundedCaption]) -> Iterator[list[GroundedCaption]]:
    """Captions stand video by video."""
    together: list[GroundedCaption] = []
    for caption in captions:
        if together and caption.row != together[0].row:
            yield together
            together = []
        together.append(caption)
    if together:
        yield together


def _traced(model: Model, gallery: EncodedGallery, caption: GroundedCaption) -> dict[str, PatchShares]:
    looking = model.preprocessing
    frames = read_entry(gallery.entries[caption.entry], looking.wanted_times, looking.size_px)
    if isinstance(frames, VideoReadError):  # it could be read before
        raise frames
    video = {name: tokens[caption.row : caption.row + 1] for name, tokens in gallery.videos.items()}
    return traced_patches(model, frames, video)


def _sentence_in_picture(
    terms: Sequence[TermAccount],
    of_other: Sequence[TermAccount] | None,
    caption: GroundedCaption,
    aspect: float,
) -> list[PointedWord]:
    mapped = _with_maps(terms)
    boxes = [known.boxes for known in caption.truth if known.boxes]
    if not mapped or not boxes:
        return []
    right = []
    for term in mapped:
        assert term.grid is not None
        assert term.times_seconds is not None
        for time in np.unique(term.times_seconds):
            near = [box for of_thing in boxes for box in boxes_near(of_thing, float(time))]
            right.append(cells_of_boxes(near, term.grid, aspect))
    right_C = np.concatenate(right)
    pointed = pointing(best_frames(_map_of(mapped)), right_C)
    if pointed is None:
        return []
    other = None if of_other is None else pointing(best_frames(_map_of(_with_maps(of_other))), right_C)
    return [PointedWord("sentence", pointed, float(right_C.mean()), other_caption=other)]


def _with_maps(terms: Sequence[TermAccount]) -> list[TermAccount]:
    return [term for term in terms if term.patches is not None and term.times_seconds is not None]


def _map_of(mapped: Sequence[TermAccount]) -> NDArray[np.float64]:
    """What each patch of each frame gave, term by term."""
    maps = []
    for term in mapped:
        assert term.patches is not None
        assert term.times_seconds is not None
        times_F, frame_N = np.unique(term.times_seconds, return_inverse=True)
        gave_N: NDArray[np.float64] = term.contributions.sum(axis=0, dtype=np.float64)
        map_FP = np.zeros((len(times_F), term.patches.shape[1]))
        np.add.at(map_FP, frame_N, gave_N[:, None] * term.patches)
        maps.append(map_FP.reshape(-1))
    return np.concatenate(maps)
