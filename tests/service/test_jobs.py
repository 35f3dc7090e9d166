from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.index.library import clip
from tests.service.serving import index_of, problem, served
from tests.service.test_live_index import until

from vidsift.index.build import Report
from vidsift.index.manifest import JOBS
from vidsift.search.searcher import Index
from vidsift.service.job_process import JobControls, JobSpec
from vidsift.service.jobs import _Entry, _report
from vidsift.service.limits import ServiceLimits


class Worked:
    """Work that goes on when it is let, and can be stopped; remembers its tasks."""

    def __init__(self) -> None:
        self.tasks: list[JobSpec] = []
        self.go = threading.Event()
        self.waited = 0

    def __call__(self, task: JobSpec, controls: JobControls) -> dict[str, Any]:
        self.tasks.append(task)
        progress = {"videos_done": 1, "videos_total": 5, "frames": 12, "failed": 0, "step": "reading"}
        controls.on_progress(progress | {"unknown": 7})
        while not self.go.wait(0.01) and not controls.stop.is_set():
            self.waited += controls.pause.is_set()
        if task.folders == ("/broken",):
            raise ValueError("the folder is away; plug its drive in")
        if task.folders == ("/fault",):
            raise RuntimeError("secret of the house")
        failed = [{"path": "/v/b.mp4", "reason": "is empty"}]
        missing = [f"/away/{number}" for number in range(1002)] if task.folders == ("/away",) else []
        return {
            "added": 5,
            "failed": failed,
            "missing": missing,
            "stopped": controls.stop.is_set(),
            "seconds": 1.5,
        }


@pytest.fixture
def work() -> Worked:
    return Worked()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("jobs")
    return index_of(folder / "index", [clip(folder / "videos", "clip")])


@pytest.fixture(autouse=True)
def finished(index: Index) -> Iterator[None]:
    """No test goes on with jobs of another."""
    yield
    (index.store.folder / JOBS).unlink(missing_ok=True)


@pytest.fixture
def client(index: Index, work: Worked) -> Iterator[TestClient]:
    with served(
        index,
        run_job=work,
        limits=ServiceLimits(jobs_waiting=2, jobs_listed=3, streams=2, poll_seconds=0.02),
    ) as opened:
        yield opened
        work.go.set()


def start(client: TestClient, action: str = "remove", *folders: str) -> dict[str, Any]:
    answer = client.post("/v1/index/jobs", json={"action": action, "folders": folders or ["/v"]})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def state(client: TestClient, job: dict[str, Any]) -> str:
    return str(client.get(f"/v1/index/jobs/{job['job_id']}").json()["state"])


def steer(client: TestClient, job: dict[str, Any], action: str) -> Any:
    return client.post(f"/v1/index/jobs/{job['job_id']}/{action}")


def test_a_job_runs_and_reports(client: TestClient, work: Worked) -> None:
    job = start(client)
    assert (job["action"], job["folders"], job["report"], job["error"]) == ("remove", ["/v"], None, None)
    until(lambda: state(client, job) == "running")
    running = client.get(f"/v1/index/jobs/{job['job_id']}").json()
    assert running["progress"] | {"seconds": 0, "reading_seconds": 0} == {
        "videos_done": 1,
        "videos_total": 5,
        "frames": 12,
        "failed": 0,
        "seconds": 0,
        "step": "reading",
        "reading_seconds": 0,
    }
    work.go.set()
    until(lambda: state(client, job) == "done")
    done = client.get(f"/v1/index/jobs/{job['job_id']}").json()
    assert done["report"]["added"] == 5
    assert done["report"]["failed"] == [{"path": "/v/b.mp4", "reason": "is empty"}]
    assert done["progress"]["seconds"] > 0
    assert 'vidsift_jobs_ended_total{state="done"} 1.0' in client.get("/metrics").text


def test_the_time_of_reading_begins_with_it_and_leaves_pauses_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("vidsift.service.jobs.time.monotonic", lambda: now)
    entry = _Entry(JobSpec("add", ("/v",), Path("/index")), state="running", began=now)

    def after(seconds: float) -> tuple[str, float, float]:
        nonlocal now
        now += seconds
        progress = entry.to_job().progress
        return progress.step, progress.seconds, progress.reading_seconds

    assert after(30) == ("starting", 30, 0)
    entry.take({"step": "looking"})
    assert after(5) == ("looking", 35, 0)
    entry.take({"step": "reading", "videos_total": 9})
    assert after(10) == ("reading", 45, 10)
    entry.steer("paused")
    assert after(100) == ("reading", 145, 10)
    entry.steer("running")
    assert after(2) == ("reading", 147, 12)
    # What is paused before it reads begins to read afterwards.
    early = _Entry(JobSpec("add", ("/v",), Path("/index")), state="running", began=now)
    early.steer("paused")
    now += 50
    early.take({"step": "reading"})
    now += 1
    early.steer("running")
    now += 3
    assert early.to_job().progress.reading_seconds == 3


def test_jobs_run_one_after_the_other(client: TestClient, work: Worked) -> None:
    first = start(client, "remove", "/a")
    until(lambda: state(client, first) == "running")
    second, third = start(client, "remove", "/b"), start(client, "remove", "/c")
    assert (state(client, second), state(client, third)) == ("queued", "queued")
    assert "2 jobs wait already" in problem(
        client.post("/v1/index/jobs", json={"action": "remove", "folders": ["/d"]}), 429
    )
    listed = [job["folders"] for job in client.get("/v1/index/jobs").json()["data"]]
    assert listed == [["/c"], ["/b"], ["/a"]]
    assert steer(client, second, "cancel").json()["state"] == "cancelled"
    work.go.set()
    until(lambda: state(client, third) == "done")
    assert [task.folders for task in work.tasks] == [("/a",), ("/c",)]


def test_a_job_waits_goes_on_and_is_cancelled(client: TestClient, work: Worked) -> None:
    job = start(client)
    until(lambda: state(client, job) == "running")
    assert "only a paused job can be resumed" in problem(steer(client, job, "resume"), 409)
    assert steer(client, job, "pause").json()["state"] == "paused"
    problem(steer(client, job, "pause"), 409)
    until(lambda: work.waited > 0)
    assert steer(client, job, "resume").json()["state"] == "running"
    steer(client, job, "pause")
    steer(client, job, "cancel")
    until(lambda: state(client, job) == "cancelled")
    assert client.get(f"/v1/index/jobs/{job['job_id']}").json()["report"]["stopped"] is True
    assert "cancelled already" in problem(steer(client, job, "cancel"), 409)
    problem(steer(client, job, "pause"), 409)


def test_what_goes_wrong_is_told_without_insides(client: TestClient, work: Worked) -> None:
    work.go.set()
    broken, fault = start(client, "remove", "/broken"), start(client, "remove", "/fault")
    until(lambda: state(client, fault) == "failed")
    error = client.get(f"/v1/index/jobs/{broken['job_id']}").json()["error"]
    assert error == "the folder is away; plug its drive in"
    answer = client.get(f"/v1/index/jobs/{fault['job_id']}")
    assert answer.json()["error"].startswith("unexpected; the log")
    assert "secret" not in answer.text


def events(client: TestClient, job: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    answer = client.get(f"/v1/index/jobs/{job['job_id']}/events")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    received = []
    for block in answer.text.strip().split("\n\n"):
        name, number, data = block.split("\n")
        assert re.fullmatch(r"id: \d+", number)
        received.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return received


def test_progress_comes_as_events(client: TestClient, work: Worked) -> None:
    job = start(client)
    threading.Timer(0.5, work.go.set).start()
    followed = events(client, job)
    assert [name for name, _ in followed[:-1]] == ["progress"] * (len(followed) - 1)
    assert followed[-1][0] == "done"
    assert followed[-1][1]["state"] == "done"
    assert {job_then["state"] for _, job_then in followed} == {"running", "done"}
    assert [name for name, _ in events(client, job)] == ["progress", "done"]  # for who comes late
    whole = client.get(f"/v1/index/jobs/{job['job_id']}/events").text
    last = whole.rpartition("id: ")[2].partition("\n")[0]
    broken_off = {"last-event-id": last}  # nothing has changed since
    rest = client.get(f"/v1/index/jobs/{job['job_id']}/events", headers=broken_off).text
    assert rest == whole[whole.index("event: done") :]
    for odd in ("", "x", "-1", "9" * 100):
        answer = client.get(f"/v1/index/jobs/{job['job_id']}/events", headers={"last-event-id": odd})
        assert answer.text.endswith(rest)


def test_a_job_says_where_it_can_be_asked_for(client: TestClient) -> None:
    answer = client.post("/v1/index/jobs", json={"action": "remove", "folders": ["/v"]})
    assert answer.status_code == 202
    assert client.get(answer.headers["location"]).json()["job_id"] == answer.json()["job_id"]


def test_old_jobs_are_forgotten(client: TestClient, work: Worked) -> None:
    work.go.set()
    jobs = []
    for number in range(6):
        jobs.append(start(client, "remove", f"/{number}"))
        until(lambda: state(client, jobs[-1]) == "done")
    start(client, "remove", "/last")
    problem(client.get(f"/v1/index/jobs/{jobs[0]['job_id']}"), 404)
    assert len(client.get("/v1/index/jobs").json()["data"]) <= 4


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"action": "add"}, "needs at least one folder"),
        ({"action": "remove", "folders": []}, "needs at least one folder"),
        ({"action": "add", "folders": ["videos"]}, "is no full path"),
        ({"action": "add", "folders": ["~nobody-of-this-name/x"]}, "is no full path"),
        ({"action": "add", "folders": ["/no/such/folder"]}, "is not there"),
        ({"action": "add", "folders": ["file:///no/such%20folder"]}, "'/no/such folder' is not there"),
        ({"action": "add", "folders": ["/a\x00b"]}, "is no full path"),
        ({"action": "add", "folders": ["/" + "x" * 4000]}, "is n"),
        ({"action": "add", "folders": ["/"] * 101}, "folders: "),
        ({"action": "format"}, "action: "),
        ({}, "action: "),
    ],
)
def test_work_that_makes_no_sense_is_refused(
    client: TestClient, body: dict[str, object], message: str
) -> None:
    assert message in problem(client.post("/v1/index/jobs", json=body), 422)


def test_known_folders_stand_in_where_none_is_named(client: TestClient, index: Index) -> None:
    answer = client.post("/v1/index/jobs", json={"action": "update"})
    assert answer.json()["folders"] == [str(index.store.folder.parent / "videos")]


def test_there_is_no_such_job(client: TestClient) -> None:
    for path in ("", "/events"):
        problem(client.get(f"/v1/index/jobs/{'0' * 16}{path}"), 404)
        problem(client.get(f"/v1/index/jobs/x{path}"), 422)


def test_who_may_only_read_changes_nothing(index: Index) -> None:
    with served(index, read_only=True) as client:
        detail = problem(client.post("/v1/index/jobs", json={"action": "remove", "folders": ["/v"]}), 403)
        assert detail == "this service only reads; its index cannot be changed here"
        (video,) = client.get("/v1/videos").json()["data"]
        problem(client.put(f"/v1/videos/{video['video_id']}/tags", json={"tags": []}), 403)


def test_stopping_ends_what_runs_and_the_streams(index: Index, work: Worked) -> None:
    with served(index, run_job=work) as client:
        running, waiting = start(client), start(client)
        until(lambda: state(client, running) == "running")
        jobs = client.app.state.service.jobs  # type: ignore[attr-defined]
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert [job.state for job in jobs.all()] == ["cancelled", "cancelled"]
    assert waiting["state"] == "queued"
    assert len(work.tasks) == 1


def test_who_asks_twice_waits_for_no_job(index: Index) -> None:
    go = threading.Event()

    def deaf(_task: JobSpec, controls: JobControls) -> dict[str, Any]:
        while not controls.kill.is_set() and not go.wait(0.01):
            pass
        raise ValueError("was ended as it was")

    began = time.monotonic()
    with served(index, run_job=deaf, limits=ServiceLimits(stop_seconds=60.0)) as client:
        job = start(client)
        until(lambda: state(client, job) == "running")
        service = client.app.state.service  # type: ignore[attr-defined]
        threading.Timer(0.2, service.kill).start()  # the second Ctrl-C
    assert time.monotonic() - began < 30
    assert service.jobs.look(job["job_id"])[0].state == "cancelled"
    go.set()


def test_lists_of_files_are_told_of_one_job_alone(client: TestClient, work: Worked) -> None:
    work.go.set()
    job = start(client)
    until(lambda: state(client, job) == "done")
    assert client.get(f"/v1/index/jobs/{job['job_id']}").json()["report"]["failed"]
    (listed, *_) = client.get("/v1/index/jobs").json()["data"]
    assert (listed["report"]["failed"], listed["report"]["failed_count"]) == ([], 1)
    assert events(client, job)[-1][1]["report"]["failed_count"] == 1


def test_what_is_away_is_told(client: TestClient, work: Worked) -> None:
    work.go.set()
    job = start(client, "remove", "/away")
    until(lambda: state(client, job) == "done")
    report = client.get(f"/v1/index/jobs/{job['job_id']}").json()["report"]
    assert report["missing_count"] == 1002
    assert report["missing"] == [f"/away/{number}" for number in range(1000)]
    (listed,) = client.get("/v1/index/jobs").json()["data"]
    assert (listed["report"]["missing"], listed["report"]["missing_count"]) == ([], 1002)
    assert events(client, job)[-1][1]["report"]["missing_count"] == 1002


def test_streams_are_limited(client: TestClient) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    job = start(client)
    with service.stream_slots.hold(), service.stream_slots.hold():
        answer = client.get(f"/v1/index/jobs/{job['job_id']}/events")
        assert "2 progress streams are under way" in problem(answer, 429)
        assert answer.headers["retry-after"] == "5"


def test_a_report_counts_what_was_passed_over() -> None:
    report = _report(asdict(Report(passed_over={"single picture": 3})))
    assert report.passed_over == {"single picture": 3}
    assert report.failed_count == 0
