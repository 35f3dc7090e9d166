from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods import tiny

from vidsift.index.decode_worker import Facts, Segment
from vidsift.index.encode import Encoder, best_centred, segment_id, sets_of
from vidsift.types import Span, TokenSet


def _segment(start: float, seed: int = 0) -> Segment:
    (pixels,), (times,) = tiny.videos([tiny.FRAMES], seed)
    return Segment(Span(start, start + 6), pixels, times + start, [b"%d" % i for i in range(tiny.FRAMES)])


def _facts(video: str) -> Facts:
    return Facts(video, 12.0, 64, 48, "h264", None)


@pytest.mark.parametrize(
    ("weights", "expected"), [([0, 0, 0, 1, 0], 3), ([1, 0, 0, 0, 1], 2), ([0, 0, 0, 0, 0], 2)]
)
def test_the_thumbnail_is_the_picture_nearest_to_the_weighted_middle(
    weights: list[float], expected: int
) -> None:
    times = np.arange(5.0)
    row = TokenSet(
        torch.zeros(1, 5, 8),
        torch.ones(1, 5, dtype=torch.bool),
        torch.tensor([weights]),
        torch.from_numpy(times)[None],
    )
    assert best_centred(row, times) == expected


def test_videos_come_out_whole_and_once() -> None:
    model = tiny.model()
    encoder = Encoder(model, sets_of(model))
    for path, video in (("/a", "aa"), ("/copy", "aa"), ("/b", "bb"), ("/bad", "cc")):
        encoder.begin(path, _facts(video))
        encoder.add(path, _segment(0.0))
        encoder.add(path, _segment(6.0, seed=1))
    assert encoder.end("/a", keep=True) == "aa"
    assert encoder.end("/copy", keep=True) == "aa"
    assert encoder.end("/bad", keep=False) is None
    encoder.flush()
    table, ids = encoder.take_finished(stored=set())
    assert table is not None
    assert table["segment_id"].to_pylist() == [segment_id("aa", Span(0, 6)), segment_id("aa", Span(6, 12))]
    assert ids == {"aa"}
    assert encoder.take_finished(stored=ids) == (None, set())
    encoder.end("/b", keep=True)
    assert encoder.take_finished(stored={"bb"}) == (None, set())


def test_layouts_are_found_without_a_video() -> None:
    layout = sets_of(tiny.model())["frame"]
    assert (layout.slots, layout.dim) == (tiny.FRAMES, 16)
    assert layout.parts == ("weights", "times_seconds", "frame")


def test_ids_of_segments_sort_as_they_lie_in_the_video() -> None:
    ids = [segment_id("aa", Span(start, start + 30)) for start in (0.0, 30.0, 990.0, 1020.0, 36000.0)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5
