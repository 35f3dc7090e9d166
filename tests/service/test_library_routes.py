from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.index.library import clip
from tests.service.serving import index_of, problem, served, video_id

from vidsift.index import storage
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.index.writing import write_lock
from vidsift.methods.model import Model
from vidsift.search.searcher import Index


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def files(folder: Path) -> list[Path]:
    """Seven clips in two folders, one with a hostile name."""
    names = ["a/1", "a/2", "b/<img src=x onerror=alert(1)>", "b/ünï", "b/4", "b/5", "b/6"]
    return sorted(
        clip(folder / "videos" / name[0], name[2:], frames=8 + number) for number, name in enumerate(names)
    )


@pytest.fixture(scope="module")
def client(folder: Path, files: list[Path]) -> Iterator[TestClient]:
    index = index_of(folder / "index", files)
    broken = FileRecord(str(folder / "videos" / "b" / "broken.mp4"), 3, 5, reason="is empty (0 bytes)")
    damaged = replace(index.store.read_files()[str(files[0])], damage="ends early")
    index.store.commit(None, [broken, damaged])
    with served(index) as opened:
        yield opened


def test_videos_are_told_with_their_facts(client: TestClient, files: list[Path]) -> None:
    listed = client.get("/v1/videos").json()
    assert (listed["total"], listed["next_page"]) == (7, None)
    assert [video["path"] for video in listed["data"]] == list(map(str, files))
    first, name = listed["data"][0], video_id(files[0])
    assert first == {
        "video_id": name,
        "path": str(files[0]),
        "paths": [str(files[0])],
        "duration": pytest.approx(8 / 12),
        "width": 64,
        "height": 48,
        "codec": "h264",
        "fps": 12.0,
        "segments": 1,
        "modified": first["modified"],
        "tags": [],
        "damage": "ends early",
        "thumbnail_url": f"/v1/videos/{name}/thumbnail?at=0.333",
        "media_url": f"/v1/videos/{name}/media",
    }
    when = datetime.fromisoformat(first["modified"])
    assert when.tzinfo is not None
    assert abs(when.timestamp() - files[0].stat().st_mtime) < 1
    assert when.astimezone(UTC).year >= 2024
    assert client.get(first["thumbnail_url"]).status_code == 200
    assert client.get(f"/v1/videos/{name}").json() == first | {"captions": []}


def test_pages_follow_one_another(client: TestClient, files: list[Path]) -> None:
    seen: list[str] = []
    page = None
    for count in (3, 3, 1):
        answer = client.get(
            "/v1/videos", params={"limit": 3} | ({} if page is None else {"page": page})
        ).json()
        assert (len(answer["data"]), answer["total"]) == (count, 7)
        seen += [video["path"] for video in answer["data"]]
        page = answer["next_page"]
    assert page is None
    assert seen == list(map(str, files))


def test_a_list_is_ordered_and_narrowed_over_its_pages(client: TestClient, files: list[Path]) -> None:
    def listed(**params: str) -> list[str]:
        seen: list[str] = []
        page: dict[str, str] = {}
        while True:
            answer = client.get("/v1/videos", params={"limit": "2"} | params | page).json()
            seen += [video["path"] for video in answer["data"]]
            if answer["next_page"] is None:
                assert len(seen) == answer["total"]
                return seen
            page = {"page": answer["next_page"]}

    assert listed(sort="path") == list(map(str, files))
    assert listed(sort="name") == [str(file) for file in sorted(files, key=lambda file: file.name)]
    times = {str(file): file.stat().st_mtime_ns for file in files}
    assert listed(sort="date") == sorted(times, key=lambda path: (-times[path], path))
    assert listed(name="\u00dcN\u00cf") == [str(file) for file in files if file.stem == "\u00fcn\u00ef"]
    assert listed(name="no such") == []
    # A page belongs to its order.
    page = client.get("/v1/videos", params={"limit": 2, "sort": "name"}).json()["next_page"]
    problem(client.get("/v1/videos", params={"page": page, "sort": "date"}), 422)


def test_a_folder_narrows_the_list(client: TestClient, folder: Path) -> None:
    under = client.get("/v1/videos", params={"under": str(folder / "videos" / "a")}).json()
    assert (len(under["data"]), under["total"]) == (2, 2)
    assert client.get("/v1/videos", params={"under": "/no/such/place"}).json()["total"] == 0


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 501},
        {"page": "é"},
        {"page": "a"},
        {"page": "_w"},
        {"page": "WyJwYXRoIiwgMSwgMl0"},  # ["path", 1, 2]
        {"page": "W1tbW1tbW1tb"},
        {"name": " "},
        {"sort": "size"},
        {"under": ""},
        {"under": "~nobody-there"},
    ],
)
def test_a_list_that_makes_no_sense_is_refused(client: TestClient, params: dict[str, str]) -> None:
    problem(client.get("/v1/videos", params=params), 422)


def test_tags_are_kept_found_and_follow_the_video(
    client: TestClient, files: list[Path], folder: Path
) -> None:
    name = video_id(files[3])
    answer = client.put(f"/v1/videos/{name}/tags", json={"tags": ["<b>", "ferien"]})
    assert answer.status_code == 200
    assert answer.json()["tags"] == ["<b>", "ferien"]
    assert Store.open(folder / "index").read_tags() == {name: {"<b>", "ferien"}}
    assert client.get("/v1/index").json()["tags"] == ["<b>", "ferien"]
    result = client.post("/v1/search", json={"query": "circle", "filter": {"tags": ["ferien"]}}).json()
    assert [hit["video_id"] for hit in result["data"]] == [name]
    assert result["pool"] == {"segments": 7, "videos": 7, "allowed_segments": 1, "allowed_videos": 1}
    assert client.put(f"/v1/videos/{name}/tags", json={"tags": []}).json()["tags"] == []
    problem(client.put(f"/v1/videos/{'0' * 32}/tags", json={"tags": []}), 404)
    for wrong in ({"tags": [""]}, {"tags": ["x" * 101]}, {"tags": "x"}, {"tags": ["x"] * 33}, {}):
        problem(client.put(f"/v1/videos/{name}/tags", json=wrong), 422)


def test_tags_are_set_while_an_indexer_writes(client: TestClient, files: list[Path], folder: Path) -> None:
    name = video_id(files[1])
    with Store.open(folder / "index").writing():
        assert client.put(f"/v1/videos/{name}/tags", json={"tags": ["now"]}).json()["tags"] == ["now"]
    assert client.put(f"/v1/videos/{name}/tags", json={"tags": []}).json()["tags"] == []


def test_tags_that_cannot_be_set_now_are_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "TAGS_PATIENCE_SECONDS", 0.05)
    file = clip(tmp_path, "clip")
    index = index_of(tmp_path / "index", [file])
    path = f"/v1/videos/{video_id(file)}/tags"
    busy = "another process is writing the index"
    remedy = "; wait until it has finished, or stop it"
    with served(index) as client:
        with write_lock(tmp_path / "index", "notes.lock"):  # as another who sets tags
            detail = problem(client.put(path, json={"tags": ["a"]}), 409)
            assert detail.startswith(busy)
            assert detail.endswith(remedy)
        assert client.put(path, json={"tags": ["a"]}).json()["tags"] == ["a"]
        # An index of the first format has no place for tags yet, and an indexer has to make it one.
        manifest = tmp_path / "index" / "index.json"
        values = json.loads(manifest.read_text("utf-8"))
        manifest.write_text(json.dumps(values | {"format": 1}), "utf-8")
        with write_lock(tmp_path / "index", "writing.lock"):
            detail = problem(client.put(path, json={"tags": ["b"]}), 409)
            assert detail.startswith(busy)
            assert detail.endswith(remedy)


def test_questions_are_suggested_once_for_a_version(
    client: TestClient, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    indexes: list[Index] = []

    def suggestions(index: Index) -> list[str]:
        indexes.append(index)
        return ["a red circle"]

    monkeypatch.setattr(Index, "suggestions", suggestions)
    for _ in range(2):
        assert client.get("/v1/suggestions").json() == {"data": ["a red circle"]}
    assert len(indexes) == 1
    client.put(f"/v1/videos/{video_id(files[0])}/tags", json={"tags": ["new"]})
    assert client.get("/v1/suggestions").json() == {"data": ["a red circle"]}
    assert len(indexes) == 2
    client.put(f"/v1/videos/{video_id(files[0])}/tags", json={"tags": []})


def test_what_the_model_knows_is_told_where_its_card_says_it(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/v1/index").json()["model_knows"] is None
    monkeypatch.setattr(Model, "knows", "drawn shapes only")
    assert client.get("/v1/index").json()["model_knows"] == "drawn shapes only"


def test_the_index_tells_what_is_in_it(client: TestClient, files: list[Path], folder: Path) -> None:
    facts = client.get("/v1/index").json()
    assert facts["bytes_on_disk"] > 1000
    broken = str(folder / "videos" / "b" / "broken.mp4")
    assert facts["failures"] == [{"path": broken, "reason": "is empty (0 bytes)"}]
    assert facts["partial"] == [{"path": str(files[0]), "reason": "ends early"}]
    assert (facts["videos"], facts["segments"], facts["files"], facts["failed"]) == (7, 7, 7, 1)
    assert facts["duration"] == pytest.approx(sum(range(8, 15)) / 12)
    assert facts["folders"] == [
        {"path": str(folder / "videos" / "a"), "videos": 2, "failed": 0},
        {"path": str(folder / "videos" / "b"), "videos": 5, "failed": 1},
    ]
    assert facts["method"] == "drl"
