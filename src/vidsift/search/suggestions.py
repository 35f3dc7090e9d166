"""Questions that a library answers well, for people who do not know yet what to ask it.

Captions that lay beside the videos are suggested where they find their own video as a good match, by the
rule of all answers; then tags that people gave, and everyday scenes where the model's card does not say that
it knows something else. Nobody knows of these whether they are true of any video, so they have to be good
matches without a lead over other videos: of 1,000 unrelated questions one gets that far.

Each is asked of the sample of the index that confidences are measured by
(:class:`~vidsift.search.calibration.Background`), never of all of it: suggestions cost the same for a
thousand segments as for a million. What fits in the sample fits as well in the whole; of a caption's lead
nothing is known where the sample leaves videos out, and it counts nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from vidsift.errors import QueryError
from vidsift.search.everyday_scenes import EVERYDAY_SCENES
from vidsift.search.questions import can_read, encode_question
from vidsift.search.sums import normalise_query, parse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vidsift.search.reader import IndexReader

__all__ = ["suggest_questions"]

_MOST_SENTENCES = 64
"""Sentences that are asked at most."""

_LONGEST = 80
"""Letters of a sentence that is short enough to be taken in at a glance."""


def suggest_questions(reader: IndexReader, count: int) -> list[str]:
    """Name questions whose best answers are good matches, each of another video.

    Args:
        reader: of the index.
        count: how many at most.

    Returns:
        Sentences as they are searched; none of an index that is not calibrated.
    """
    calibrator, gallery = reader.segments.calibrator, reader.gallery
    background = calibrator.background
    if background is None:
        return []
    by_video: dict[str, str] = {}
    rows = background.rows
    videos = gallery.video_numbers[rows]
    complete = len(rows) == len(gallery)
    for sentence, of_video in islice(_candidates(reader, rows), _MOST_SENTENCES):
        if len(by_video) == count:
            break
        question = encode_question(reader.model, sentence)
        scores = background.scores(question).double().numpy()
        best = int(scores.argmax())
        video = gallery.video_ids[rows[best]]
        if video in by_video or of_video not in (None, video):
            continue
        lead = partial(_best_of_others, scores, videos) if complete and of_video else _unknown
        (sureness,) = calibrator.sureness(question, [rows[best]], [float(scores[best])], lead)
        if sureness.match == "good match":
            by_video[video] = sentence
    return list(by_video.values())


def _best_of_others(scores: NDArray[np.float64], videos: NDArray[np.int64], video: int) -> float | None:
    others = scores[videos != video]
    return float(others.max()) if len(others) else None


def _unknown(_video: int) -> None:
    """Say of no other video how good it is."""


def _candidates(reader: IndexReader, rows: Sequence[int]) -> Iterator[tuple[str, str | None]]:
    """Sentences to ask, each once, with the video that they were written for."""
    model = reader.model
    sampled = dict.fromkeys(reader.gallery.video_ids[row] for row in rows)
    captions = [
        [(caption, video) for caption in sorted(reader.captions_by_video.get(video, ()), key=len)]
        for video in sampled
    ]
    # One of each video first, its shortest: those of one video are alike.
    described = (pair for pair in chain.from_iterable(zip_longest(*captions)) if pair is not None)
    tags = sorted({tag for of_video in reader.tags.values() for tag in of_video})
    to_try = (*tags, *(() if model.knows else EVERYDAY_SCENES))
    seen: set[str] = set()
    for sentence, video in chain(described, ((sentence, None) for sentence in to_try)):
        normal = normalise_query(sentence)
        if normal in seen or len(normal) > _LONGEST or not _is_plain(normal) or not can_read(model, normal):
            continue
        seen.add(normal)
        yield normal, video


def _is_plain(sentence: str) -> bool:
    """Whether it is one sentence, and neither a sum nor nothing."""
    try:
        return len(parse(sentence)) == 1
    except QueryError:
        return False
