"""A served index whose version is cleaned up before the service has read the next one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.index.library import clip, lance_table
from tests.service.serving import index_of, problem, served, video_id

from vidsift.index.storage import Store
from vidsift.service.limits import ServiceLimits


def _tidied(folder: Path) -> None:
    """Write all segments anew, and clean up what was before."""
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
        asked: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/v1/search", {"json": {"query": "circle"}}),
            ("POST", "/v1/search", {"json": {"query": ["circle", "star"]}}),
            ("POST", "/v1/search", {"json": {"video": hit["segment_id"]}}),
            ("POST", "/v1/explain", {"json": segment}),
            ("POST", "/v1/strip", {"json": {"query": "circle", "video_id": name}}),
            ("GET", f"/v1/videos/{name}/thumbnail", {}),
        ]
        for method, path, body in asked:
            before = live.current
            expected = client.request(method, path, **body)
            assert expected.status_code == 200, expected.text
            _tidied(tmp_path / "index")
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
        said = problem(client.post("/v1/search", json={"query": "circle"}), 503)
        assert said.endswith("is damaged; the log of the service says how: run vidsift index check --repair")
