"""Where in the picture: the patches that tokens come from, in the account, its JSON, the picture."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.index.library import clip
from tests.methods import tiny
from tests.service.serving import index_of

from vidsift.errors import QueryError
from vidsift.methods.prost import Prost
from vidsift.methods.ts2net import Ts2Net
from vidsift.search.canvas import Canvas, Pasted, Rectangle, Written
from vidsift.search.explain import Explanation
from vidsift.search.explain_maps import draw_patches, tokens_with_maps
from vidsift.search.explain_picture import frames_of
from vidsift.search.searcher import Index
from vidsift.types import Frames

QUERY = "a red circle"
SELECTED = 2
METHODS: Mapping[str, dict[str, Any]] = {
    "prost": {"max_frames": tiny.FRAMES, "objects": 3, "phrases": 4, "events": 2, "frame_layers": 1},
    "ts2net": {"selected": SELECTED, "temporal_layers": 1},
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("patches"), "clip", frames=30)


@pytest.fixture(params=METHODS)
def index(request: pytest.FixtureRequest, tmp_path: Path, file: Path) -> Index:
    return index_of(tmp_path / "index", [file], tiny.model(request.param, METHODS[request.param]))


def explained(index: Index, query: str = QUERY) -> Explanation:
    (hit,) = index.search(query, k=1)
    return index.explain(query, hit, frames=index.frames_of(hit))


def test_maps_change_nothing_of_the_account(index: Index) -> None:
    query = f"{QUERY} + two triangles - circle"
    (hit,) = index.search(query, k=1)
    plain, explanation = index.explain(query, hit), explained(index, query)
    assert plain.maps_on_request
    assert explanation.maps_on_request
    assert explanation.total == pytest.approx(hit.score, abs=1e-6)
    assert explanation.score == plain.score == hit.score
    for term, same in zip(explanation.terms, plain.terms, strict=True):
        assert same.patches is None
        assert same.grid is None
        assert same.map_note == ""
        assert np.array_equal(term.contributions, same.contributions)
    mapped = [term for term in explanation.terms if term.grid is not None]
    assert len(mapped) == 3
    for term in mapped:
        assert term.grid == (4, 4)  # 16 px in patches of 4
        assert term.patches is not None
        assert term.patches.shape == (term.values.shape[1], 16)
        assert "no part of the sum" in term.map_note


def test_the_frames_read_again_are_those_that_were_indexed(index: Index) -> None:
    (hit,) = index.search(QUERY, k=1)
    frames = index.frames_of(hit)
    again = index.model.encode_frames([frames.pixels], [frames.times_seconds])
    stored = index.gallery.exact([0])
    for name, tokens in again.items():
        # Stored tokens are rounded to fp16.
        torch.testing.assert_close(tokens.tokens, stored[name].tokens.float(), atol=2e-3, rtol=2e-3)


def test_shares_of_prost_rebuild_the_direction_of_its_objects(tmp_path: Path, file: Path) -> None:
    model = tiny.model("prost", METHODS["prost"])
    method = model.method
    assert isinstance(method, Prost)
    index = index_of(tmp_path / "index", [file], model)
    (term, _) = explained(index).terms
    assert term.patches is not None
    assert term.group is not None
    assert term.frame is not None
    (hit,) = index.search(QUERY, k=1)
    frames = index.frames_of(hit)
    pixels, mask, _ = model.inputs.pictures([frames.pixels], [frames.times_seconds])
    with torch.inference_mode():
        tokens_FLD = method.towers.encode_frames(pixels, mask, method.shift_blocks).float()[0]
        raw_FLO = method.video_maps(pixels, mask).objects[0]
        made = method.video_features(pixels, mask, torch.zeros(mask.shape))["object"].tokens[0]
    mixed = 0
    for token, (frame, place) in enumerate(zip(term.frame, term.group, strict=True)):
        if place == 0:
            assert not term.patches[token].any()
            continue
        raw_L = raw_FLO[frame, :, place - 1]
        if not raw_L.any():
            assert not term.patches[token].any()
            continue
        mixed += 1
        share_P = torch.from_numpy(term.patches[token]).float()
        assert -1e-6 <= share_P.min() <= share_P.max() <= 1 + 1e-6
        rest = 1 - share_P.sum()
        rebuilt_D = rest * tokens_FLD[frame, 0] + share_P @ tokens_FLD[frame, 1:]
        assert torch.cosine_similarity(rebuilt_D, made[token], dim=0) > 0.999
    assert mixed > 4


def test_squares_of_ts2net_are_the_patches_that_it_selected(tmp_path: Path, file: Path) -> None:
    model = tiny.model("ts2net", METHODS["ts2net"])
    method = model.method
    assert isinstance(method, Ts2Net)
    index = index_of(tmp_path / "index", [file], model)
    (term,) = explained(index).terms
    assert term.patches is not None
    (hit,) = index.search(QUERY, k=1)
    frames = index.frames_of(hit)
    pixels, mask, _ = model.inputs.pictures([frames.pixels], [frames.times_seconds])
    with torch.inference_mode():
        tokens_FLD = method.towers.encode_frames(pixels, mask, method.shift_blocks).float()[0]
        best = method.selector.scores(tokens_FLD)[:, 1:].topk(SELECTED).indices
        selected = method.selector(tokens_FLD)[:, 1:]
    for frame, row in enumerate(term.patches):
        assert set(np.flatnonzero(row)) == set(best[frame].tolist())
        assert row.sum() == SELECTED
        assert torch.equal(tokens_FLD[frame, 1:][torch.from_numpy(row == 1)], selected[frame])
    assert len({tuple(row) for row in term.patches}) > 1


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("prost", {**METHODS["prost"], "padding": "included"}), ("ts2net", {"frame_mask": "tiled"})],
)
def test_padding_that_takes_part_has_its_row_too(method: str, arguments: dict[str, Any]) -> None:
    model = tiny.model(method, arguments)
    pixels, times = tiny.videos([3])
    sets = model.encode_frames(pixels, times)
    (name,) = model.method.traced_sets
    shares = model.patch_shares(Frames(pixels[0], times[0]))[name].shares
    assert shares.shape == (*sets[name].mask.shape, 16)


def test_other_frames_are_refused(index: Index) -> None:
    (hit,) = index.search(QUERY, k=1)
    frames = index.frames_of(hit)
    for other in (
        Frames(frames.pixels[:3], frames.times_seconds[:3]),
        Frames(frames.pixels, frames.times_seconds + 0.2),
    ):
        with pytest.raises(QueryError, match=r"frames given are not those .* Index\.frames_of"):
            index.explain(QUERY, hit, frames=other)


def test_methods_without_patches_take_frames_and_say_nothing(tmp_path: Path, file: Path) -> None:
    index = index_of(tmp_path / "index", [file], tiny.model("drl"))
    explanation = explained(index)
    assert not explanation.maps_on_request
    assert [(term.grid, term.patches, term.map_note) for term in explanation.terms] == [(None, None, "")]


def test_a_file_that_changed_or_went_gives_no_frames(tmp_path: Path) -> None:
    video = clip(tmp_path / "videos", "own", frames=20)
    index = index_of(tmp_path / "index", [video], tiny.model("ts2net", METHODS["ts2net"]))
    (hit,) = index.search(QUERY, k=1)
    os.utime(video, (1, 1))
    with pytest.raises(QueryError, match="not the file that was indexed; index it again"):
        index.frames_of(hit)
    video.unlink()
    with pytest.raises(FileNotFoundError):
        index.frames_of(hit)


def test_json_holds_the_maps(index: Index) -> None:
    explanation = explained(index)
    back = json.loads(json.dumps(explanation.to_dict()))
    assert back["maps_on_request"] is True
    assert back["maps_missing"] == ""
    term = back["terms"][0]
    assert term["grid"] == [4, 4]
    assert np.array_equal(term["patches"], np.asarray(explanation.terms[0].patches))


def test_the_picture_draws_each_square_where_it_is(index: Index) -> None:
    explanation = explained(index)
    term = explanation.terms[0]
    assert term.patches is not None
    canvas = Canvas(8.0)
    draw_patches(canvas, (0.0, 0.0, 8.0, 0.0), term, frames_of(explanation))
    maps = [mark.box for mark in canvas.marks if isinstance(mark, Pasted)]
    squares = [mark.box for mark in canvas.marks if isinstance(mark, Rectangle) and mark.fill is not None]
    written = [mark.text for mark in canvas.marks if isinstance(mark, Written)]
    tokens = tokens_with_maps(term)
    assert len(maps) == len(tokens) > 1
    for (left, top, right, bottom), token in zip(maps, tokens, strict=True):
        gave = term.contributions[:, token].sum(dtype=np.float64)
        assert f"gave {gave:.4f}" in written
        side = (right - left) / 4
        drawn = {
            (int(((box[1] + box[3]) / 2 - top) / side), int(((box[0] + box[2]) / 2 - left) / side))
            for box in squares
            if left < (box[0] + box[2]) / 2 < right and top < (box[1] + box[3]) / 2 < bottom
        }
        assert drawn == {tuple(map(int, divmod(place, 4))) for place in np.flatnonzero(term.patches[token])}
    whole = sum(not term.patches[token].any() for token in tokens)
    assert written.count("the whole frame") == whole
    assert len(squares) == sum(np.count_nonzero(term.patches[token]) for token in tokens)
