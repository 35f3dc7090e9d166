from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.index.library import clip, lance_table
from tests.methods import tiny
from tests.service.serving import add, index_of, problem, served, video_id

from vidsift.errors import IndexFolderError
from vidsift.index.storage import Store
from vidsift.service.limits import ServiceLimits
from vidsift.service.live_index import LiveIndex
from vidsift.service.problems import ProblemError

QUICK = ServiceLimits(poll_seconds=0.02)


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def test_what_another_process_adds_is_found_without_a_restart(tmp_path: Path) -> None:
    files = [clip(tmp_path / "videos", f"clip{number}", frames=8 + number) for number in range(4)]
    index = index_of(tmp_path / "index", files[:2])
    with served(index, limits=QUICK) as client:
        assert client.get("/healthz").json()["segments"] == 2
        store = Store.open(tmp_path / "index")
        with store.writing():
            add(store, tiny.model(), files[2:])
        until(lambda: client.get("/healthz").json()["segments"] == 4)
        hits = client.post("/v1/search", json={"query": "circle"}).json()["data"]
        assert {hit["path"] for hit in hits} == set(map(str, files))
        with store.writing():
            store.drop_paths([str(files[0])])
        until(lambda: client.get("/v1/videos").json()["total"] == 3)
        hits = client.post("/v1/search", json={"query": "circle"}).json()["data"]
        assert {hit["path"] for hit in hits} == set(map(str, files[1:]))


def test_a_version_that_somebody_holds_does_not_change(tmp_path: Path) -> None:
    files = [clip(tmp_path / "videos", f"clip{number}", frames=8 + number) for number in range(3)]
    live = LiveIndex(tmp_path / "index", index_of(tmp_path / "index", files[:2]))
    live.catch_up()
    held = live.current
    assert held.index is not None
    before = held.index.search("circle")
    store = Store.open(tmp_path / "index")
    add(store, tiny.model(), files[2:])
    store.drop_paths([str(files[0])])
    live.catch_up()
    assert live.current is not held
    assert held.index.search("circle") == before
    assert set(held.library.files) == set(map(str, files[:2]))
    assert live.current.index is not None
    assert {hit.path for hit in live.current.index.search("circle")} == set(map(str, files[1:]))


def test_segments_are_read_again_only_if_there_are_others(tmp_path: Path) -> None:
    file = clip(tmp_path / "videos", "clip")
    live = LiveIndex(tmp_path / "index", index_of(tmp_path / "index", [file]))
    live.catch_up()
    first = live.current.index
    assert first is not None
    live.catch_up()
    assert live.current.index is first
    (video,) = live.current.library.videos
    Store.open(tmp_path / "index").set_tags(video, ["holiday"])
    live.catch_up()
    second = live.current.index
    assert second is not None
    assert second is not first
    assert second.gallery is first.gallery
    assert live.current.library.videos[video].tags == {"holiday"}


def test_an_index_may_come_go_and_be_made_anew(tmp_path: Path) -> None:
    files = [clip(tmp_path / "videos", f"clip{number}", frames=8 + number) for number in range(2)]
    tiny.model().save(tmp_path / "model")
    from vidsift.methods.model import load

    live = LiveIndex(tmp_path / "index")
    with pytest.raises(ProblemError, match="is being read"):
        _ = live.current
    live.catch_up()
    assert live.current.index is None
    assert live.current.library.videos == {}
    for some in (files[:1], files):
        model = load(tmp_path / "model")
        made = index_of(tmp_path / "made", some, model)
        del made
        manifest = (tmp_path / "made" / "index.json").read_text("utf-8")
        named = manifest.replace('"model": ""', f'"model": "{tmp_path / "model"}"')
        (tmp_path / "made" / "index.json").write_text(named, "utf-8")
        shutil.rmtree(tmp_path / "index", ignore_errors=True)
        (tmp_path / "made").rename(tmp_path / "index")
        live.catch_up()
        assert len(live.current.library.videos) == len(some)
    shutil.rmtree(tmp_path / "index")
    live.catch_up()
    assert live.current.index is None


def test_a_damaged_version_leaves_the_old_one_serving(tmp_path: Path) -> None:
    file = clip(tmp_path / "videos", "clip")
    live = LiveIndex(tmp_path / "index", index_of(tmp_path / "index", [file]), poll_seconds=0.01)
    live.start(60)
    held = live.current
    try:
        (tmp_path / "index" / "index.json").write_text("{", "utf-8")
        with pytest.raises(IndexFolderError):
            live.catch_up()
        assert live.current is held
        assert held.index is not None
        assert len(held.index.search("circle")) == 1
        assert live._thread is not None
        assert live._thread.is_alive()
    finally:
        live.close()
    assert not live._thread.is_alive()


def test_readers_see_whole_commits_while_an_index_grows(tmp_path: Path) -> None:
    """Every video of 32 s has two segments: no answer has one without the other."""
    files = [clip(tmp_path / "videos", f"clip{number}", frames=64 + number, fps=2) for number in range(4)]
    index = index_of(tmp_path / "index", files[:1])
    store = Store.open(tmp_path / "index")
    done = threading.Event()

    with served(index, limits=QUICK) as client:

        def grow() -> None:
            try:
                for number, file in enumerate(files[1:], 2):
                    add(store, tiny.model(), [file])
                    until(lambda: client.get("/healthz").json()["segments"] == 2 * number)  # noqa: B023
            finally:
                done.set()

        thread = threading.Thread(target=grow)
        thread.start()
        sizes = set()
        last = False
        while not last:
            last = done.is_set()
            answer = client.post("/v1/search", json={"query": "circle", "k": 100}).json()
            hits = answer["data"]
            by_video = [hit["video_id"] for hit in hits]
            assert all(by_video.count(video) == 2 for video in by_video)
            assert len(hits) == answer["pool"]["segments"] == 2 * answer["pool"]["videos"]
            sizes.add(len(hits))
        thread.join()
    assert 8 in sizes
    assert len(sizes) > 1


def test_an_index_that_cannot_be_read_is_told_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "index.json").write_text("{", "utf-8")
    with served(tmp_path / "index", limits=QUICK) as client:
        detail = problem(client.get("/healthz"), 503)
        assert "is damaged" in detail
        assert "line 1" not in detail  # the words of the reader of JSON
        (tmp_path / "index" / "index.json").unlink()
        until(lambda: client.get("/healthz").status_code == 200)


def _clean_up(folder: Path) -> None:
    """Write all segments anew, and remove the versions before."""
    store = Store.open(folder)
    with store.writing():
        lance_table(folder).update(where="true", values={"codec": "other"})
        store.refresh()
        store.optimize(timedelta(0))


def test_no_question_meets_a_version_that_is_gone(tmp_path: Path) -> None:
    files = [clip(tmp_path / "videos", f"clip{number}", frames=8 + number) for number in range(3)]
    index = index_of(tmp_path / "index", files)
    name = video_id(files[0])
    # It looks once, as it starts: what comes later it learns when a question meets it.
    with served(index, limits=ServiceLimits(poll_seconds=3600)) as client:
        live = client.app.state.service.live_index  # type: ignore[attr-defined]
        hit = client.post("/v1/search", json={"query": "circle", "k": 1}).json()["data"][0]
        segment = {"query": "circle", "segment_id": hit["segment_id"]}
        files[0].unlink()  # its thumbnail is the one that the index keeps
        requests: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/v1/search", {"json": {"query": "circle"}}),
            ("POST", "/v1/search", {"json": {"query": ["circle", "star"]}}),
            ("POST", "/v1/search", {"json": {"video": hit["segment_id"]}}),
            ("POST", "/v1/explain", {"json": segment}),
            ("POST", "/v1/strip", {"json": {"query": "circle", "video_id": name}}),
            ("GET", f"/v1/videos/{name}/thumbnail", {}),
        ]
        for method, path, body in requests:
            before = live.current
            expected = client.request(method, path, **body)
            assert expected.status_code == 200, expected.text
            _clean_up(tmp_path / "index")
            answer = client.request(method, path, **body)
            assert answer.status_code == 200, (path, body, answer.text)
            assert live.current is not before
            if path != "/v1/search":
                assert answer.content == expected.content
            else:
                assert answer.json()["data"] == expected.json()["data"]
        # It is not the same as an index that is damaged.
        for file in (tmp_path / "index" / "segments.lance" / "data").iterdir():
            file.unlink()
        detail = problem(client.post("/v1/search", json={"query": "circle"}), 503)
        assert detail.endswith(
            "is damaged; the log of the service says how, and whoever runs it can repair it"
        )
