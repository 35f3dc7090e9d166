"""Maps of an account over HTTP: read in a decoding process, given when asked for, missed with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from tests.index.library import clip
from tests.methods import tiny
from tests.service.serving import index_of, problem, served

from vidsift.search.searcher import Index

SELECTED = 2


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("videos"), "clip", frames=24)


@pytest.fixture(scope="module")
def index(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    model = tiny.model("ts2net", {"selected": SELECTED, "temporal_layers": 1})
    return index_of(tmp_path_factory.mktemp("maps") / "index", [file], model)


@pytest.fixture(scope="module")
def client(index: Index) -> Iterator[TestClient]:
    with served(index) as opened:
        yield opened


def test_maps_are_given_when_asked_for_and_agree_with_the_index(client: TestClient, index: Index) -> None:
    (hit,) = index.search("a red circle", k=1)
    body = {"query": "a red circle", "segment_id": hit.segment_id}
    plain = client.post("/v1/explain", json=body).json()
    assert plain["maps_on_request"] is True
    assert plain["terms"][0]["patches"] is plain["terms"][0]["grid"] is None
    account = client.post("/v1/explain", json=body | {"maps": True}).json()
    assert account == index.explain("a red circle", hit, frames=index.frames_of(hit)).to_dict() | {
        "terms": account["terms"]
    } | {"segment_id": hit.segment_id}
    (term,) = account["terms"]
    assert term["grid"] == [4, 4]
    assert np.sum(term["patches"], axis=1).tolist() == [SELECTED] * tiny.FRAMES
    assert term["contributions"] == plain["terms"][0]["contributions"]
    assert "no part of the sum" in term["map_note"]


def test_a_file_that_is_away_leaves_the_account_and_a_reason(
    client: TestClient, index: Index, file: Path
) -> None:
    (hit,) = index.search("circle", k=1)
    body = {"query": "circle", "segment_id": hit.segment_id, "maps": True}
    away = file.rename(file.with_suffix(".away"))
    try:
        account = client.post("/v1/explain", json=body).json()
    finally:
        away.rename(file)
    assert "is not where it was" in account["maps_missing"]
    assert account["terms"][0]["patches"] is None
    assert account["score"] == pytest.approx(hit.score)
    assert client.post("/v1/explain", json=body).json()["maps_missing"] == ""


def test_a_question_that_cannot_be_answered_stays_a_problem(client: TestClient, index: Index) -> None:
    (hit,) = index.search("circle", k=1)
    body = {"query": "circle " * 99, "segment_id": hit.segment_id, "maps": True}
    assert "too long" in problem(client.post("/v1/explain", json=body), 422)
    problem(client.post("/v1/explain", json={"query": "a", "segment_id": "nothing", "maps": True}), 404)


def test_methods_without_patches_need_no_frames(tmp_path: Path, file: Path) -> None:
    index = index_of(tmp_path / "index", [file])
    (hit,) = index.search("circle", k=1)
    with served(index) as client:
        body = {"query": "circle", "segment_id": hit.segment_id, "maps": True}
        account = client.post("/v1/explain", json=body).json()
    assert (account["maps_on_request"], account["maps_missing"]) == (False, "")
