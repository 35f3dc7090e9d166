from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.index.library import filled
from tests.methods import tiny
from tests.service.serving import served

from vidsift.search.searcher import Index
from vidsift.service.monitoring import Metrics


def values(text: str) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of their names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_answered_is_counted_by_route(tmp_path: Path) -> None:
    model = tiny.model()
    with served(Index(filled(tmp_path / "index", model, [3] * 3), model)) as client:
        for number in range(3):
            client.get(f"/v1/videos/{number:032x}")
        client.get("/v1/videos/" + "f" * 32)
        client.get("/nowhere/at/all")
        client.request("BREW", "/healthz")
        client.get("/healthz", headers={"host": "evil.example"})
        client.post("/v1/search", json={"query": "circle"})
        answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = values(answer.text)
    by_route = {key[1:]: value for key, value in samples.items() if key[0] == "vidsift_requests_total"}
    assert by_route == {
        ("GET", "/v1/videos/{video_id}", "200"): 2.0,  # the third segment is of the second video
        ("GET", "/v1/videos/{video_id}", "404"): 2.0,
        ("GET", "other", "404"): 1.0,
        ("other", "/healthz", "405"): 1.0,
        ("GET", "other", "421"): 1.0,
        ("POST", "/v1/search", "200"): 1.0,
    }
    assert samples["vidsift_request_seconds_count", "/v1/search"] == 1.0
    assert samples["vidsift_search_batch_size_sum",] == 1.0
    assert samples["vidsift_index", "segments"] == 3.0
    assert samples["vidsift_index", "videos"] == 2.0
    assert samples["vidsift_jobs", "running"] == 0.0
    assert samples["vidsift_requests_in_flight",] == 1.0  # the one that asks


def test_each_service_counts_for_itself(tmp_path: Path) -> None:
    first, second = Metrics(), Metrics()
    first.job("done")
    assert values(first.text().decode())["vidsift_jobs_ended_total", "done"] == 1.0
    assert ("vidsift_jobs_ended_total", "done") not in values(second.text().decode())


@pytest.mark.parametrize("method", ["GET", "BREW"])
def test_methods_are_few(method: str) -> None:
    metrics = Metrics()
    metrics.request(method, "/", 200, 0.1)
    known = "GET" if method == "GET" else "other"
    assert values(metrics.text().decode())["vidsift_requests_total", known, "/", "200"] == 1.0
