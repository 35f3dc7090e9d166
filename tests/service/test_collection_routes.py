from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.index.library import clip
from tests.service.serving import index_of, problem, served, video_id

from vidsift.index.moment_collections import CollectedMoment, MomentCollections
from vidsift.search.searcher import Index

PATH = "/v1/collections"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    return [clip(folder, f"clip{number}", frames=24 + number) for number in range(2)]


@pytest.fixture(scope="module")
def index(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Index:
    return index_of(tmp_path_factory.mktemp("collections") / "index", files)


@pytest.fixture(scope="module")
def client(index: Index) -> Iterator[TestClient]:
    with served(index) as opened:
        yield opened


@pytest.fixture
def made(client: TestClient) -> Iterator[dict[str, Any]]:
    """An empty collection."""
    answer = client.post(PATH, json={"name": " best of "})
    assert answer.status_code == 201, answer.text
    collection: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{PATH}/{collection['collection_id']}"
    yield collection
    client.delete(f"{PATH}/{collection['collection_id']}")


def moment(file: Path, start: float, end: float, **more: str) -> dict[str, Any]:
    return {"video_id": video_id(file), "start": start, "end": end} | more


def test_moments_are_put_together(client: TestClient, made: dict[str, Any], files: list[Path]) -> None:
    assert (made["name"], made["size"], made["moments"], made["thumbnail_url"]) == ("best of", 0, [], None)
    path = f"{PATH}/{made['collection_id']}"
    body = {"moments": [moment(files[1], 0.5, 1.5, note="run"), moment(files[0], 0, 1)]}
    full = client.post(f"{path}/moments", json=body).json()
    assert client.post(f"{path}/moments", json=body).json() == full
    first, second = full["moments"]
    name = video_id(files[1])
    assert first == {
        "moment_id": first["moment_id"],
        "video_id": name,
        "start": 0.5,
        "end": 1.5,
        "note": "run",
        "added": first["added"],
        "in_library": True,
        "path": str(files[1]),
        "duration": pytest.approx(25 / 12),
        "thumbnail_url": f"/v1/videos/{name}/thumbnail?at=1.000",
        "media_url": f"/v1/videos/{name}/media",
    }
    assert client.get(first["thumbnail_url"]).status_code == 200
    assert client.get(path).json() == full
    about = {key: value for key, value in full.items() if key != "moments"}
    assert about["thumbnail_url"] == first["thumbnail_url"]
    assert client.get(PATH).json() == {"data": [about]}
    assert client.delete(f"{path}/moments/{first['moment_id']}").status_code == 204
    assert client.get(path).json()["moments"] == [second]
    assert client.patch(path, json={"name": "cut"}).json()["name"] == "cut"


def test_a_collection_is_exported(client: TestClient, made: dict[str, Any], files: list[Path]) -> None:
    path = f"{PATH}/{made['collection_id']}/moments"
    full = client.post(path, json={"moments": [moment(files[1], 0.5, 1), moment(files[0], 0, 1)]}).json()
    moments = [{name: part[name] for name in ("video_id", "start", "end")} for part in full["moments"]]
    answer = client.post("/v1/exports", json={"kind": "csv", "moments": moments, "title": full["name"]})
    assert [line.split(",")[0] for line in answer.text.splitlines()][1:] == ["1", "2"]
    assert answer.headers["content-disposition"].endswith("best%20of.csv")


def test_a_moment_whose_video_has_left_stays_and_says_so(
    client: TestClient, made: dict[str, Any], index: Index, files: list[Path]
) -> None:
    gone = CollectedMoment("", "f" * 32, "/gone/party.mp4", 3, 4)
    MomentCollections(index.store.folder).add_moments(made["collection_id"], [gone])
    (shown,) = client.get(f"{PATH}/{made['collection_id']}").json()["moments"]
    assert (shown["in_library"], shown["path"], shown["start"]) == (False, "/gone/party.mp4", 3)
    assert shown["thumbnail_url"] is shown["media_url"] is shown["duration"] is None
    (about,) = client.get(PATH).json()["data"]
    assert (about["size"], about["thumbnail_url"]) == (1, None)


def test_what_makes_no_sense_is_refused(client: TestClient, made: dict[str, Any], files: list[Path]) -> None:
    path, missing = f"{PATH}/{made['collection_id']}", f"{PATH}/{'0' * 16}"
    good = moment(files[0], 0, 1)
    problem(client.post(PATH, json={"name": "Best of"}), 409)
    problem(client.post(PATH, json={"name": ""}), 422)
    problem(client.get(missing), 404)
    problem(client.patch(missing, json={"name": "x"}), 404)
    problem(client.delete(missing), 404)
    problem(client.delete(f"{path}/moments/{'0' * 16}"), 404)
    problem(client.post(f"{missing}/moments", json={"moments": [good]}), 404)
    unknown = good | {"video_id": "none"}
    assert "no video of the index" in problem(
        client.post(f"{path}/moments", json={"moments": [unknown]}), 404
    )
    for moments in ([], [good] * 101, [good | {"end": 0}], [good | {"note": "x" * 501}], [good | {"at": 1}]):
        problem(client.post(f"{path}/moments", json={"moments": moments}), 422)
    assert client.get(path).json() == made
