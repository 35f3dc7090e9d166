"""Footage as the question: frames meet frames, all weighing alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny

from vidsift.errors import QueryError
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search.searcher import Index
from vidsift.types import Frames

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 5, 3] * 2
METHODS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "wti": ("drl", {}),
    "mean frame": ("zero_shot", {}),
    "objects": ("prost", {"max_frames": tiny.FRAMES, "objects": 3, "phrases": 4, "frame_layers": 1}),
    "black box": ("drl", {"interaction": "mlp", "temporal": "none"}),
}


@pytest.fixture(scope="module", params=METHODS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Model]:
    model = tiny.model(*METHODS[request.param])
    return filled(tmp_path_factory.mktemp("similar") / "index", model, COUNTS), model


@pytest.fixture
def index(made: tuple[Store, Model]) -> Index:
    return Index.open(made[0].folder, made[1], scan_format="int8")


def _expected(index: Index, tokens: torch.Tensor) -> dict[str, float]:
    """The formula written out, segment by segment."""
    name = "object" if "object" in index.gallery.exact([0]) else "frame"
    scores = {}
    query = torch.nn.functional.normalize(tokens, dim=-1)
    for row, segment in enumerate(index.gallery.segment_ids):
        stored = index.gallery.exact([row])[name]
        seen = torch.nn.functional.normalize(stored.tokens[0][stored.mask[0]], dim=-1)
        met = query @ seen.t()
        scores[segment] = float(met.amax(dim=1).mean() + met.amax(dim=0).mean()) / 2
    return scores


def test_more_like_a_segment_is_token_wise_over_frames_without_itself(index: Index) -> None:
    row = 3
    segment = index.gallery.segment_ids[row]
    name = "object" if "object" in index.gallery.exact([0]) else "frame"
    stored = index.gallery.exact([row])[name]
    expected = _expected(index, stored.tokens[0][stored.mask[0]])
    assert expected.pop(segment) == pytest.approx(1, abs=1e-6)
    hits = index.similar(segment, k=6)
    assert [hit.segment_id for hit in hits] == sorted(expected, key=lambda name: -expected[name])[:6]
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.segment_id], abs=1e-6)
        assert sum(hit.shares) == pytest.approx(hit.score, abs=1e-5)
        assert hit.kind == "similar footage"
        assert hit.confidence is None


def test_pictures_find_the_segment_they_are_from(index: Index) -> None:
    pixels, times = tiny.videos(COUNTS, seed=3)
    hits = index.similar(frames=Frames(pixels[4], times[4]), k=3)
    assert hits[0].video_id == f"{4:032x}"
    assert hits[0].score == pytest.approx(1, abs=2e-3)  # the index keeps fp16
    assert hits[0].score > hits[1].score + 1e-3


def test_conditions_and_scan_formats_change_no_score(made: tuple[Store, Model], index: Index) -> None:
    segment = index.gallery.segment_ids[0]
    every = index.similar(segment, k=99)
    assert len(every) == len(COUNTS) - 1
    plain = Index.open(made[0].folder, made[1], scan_format="fp32").similar(segment, k=99)
    assert plain == every
    under = index.similar(segment, k=99, under="/videos/a")
    assert [(hit.segment_id, hit.score) for hit in under] == [
        (hit.segment_id, hit.score) for hit in every if hit.path.startswith("/videos/a/")
    ]
    assert index.similar(segment, k=4, skip=4) == every[4:8]
    grouped = index.similar(segment, k=99, group_by="video")
    assert len({hit.video_id for hit in grouped}) == len(grouped)


def test_what_makes_no_question_is_refused(index: Index) -> None:
    with pytest.raises(QueryError, match="by segment_id or by frames; give one of them"):
        index.similar()
    with pytest.raises(QueryError, match="the segment 'nothing' is not in this index"):
        index.similar("nothing")
    with pytest.raises(QueryError, match="leave candidates out"):
        index.similar(index.gallery.segment_ids[0], candidates=3)
    large = Frames(np.zeros((2, 20, 30, 3), np.uint8), np.arange(2.0))
    with pytest.raises(QueryError, match=r"2 pictures of 30 x 20 px, expected at least one of 16 x 16"):
        index.similar(frames=large)
