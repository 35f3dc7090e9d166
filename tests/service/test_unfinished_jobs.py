"""Jobs that a service did not finish: the next one goes on with them, and nothing is there twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.index.library import library, rows
from tests.methods import tiny
from tests.service.serving import served
from tests.service.test_jobs import Worked, start, state
from tests.service.test_live_index import QUICK, until

from vidsift.index.manifest import JOBS
from vidsift.service.job_process import JobControls, JobSpec, run_job
from vidsift.service.jobs import Jobs
from vidsift.service.limits import ServiceLimits
from vidsift.service.schemas_library import JobRequest
from vidsift.service.unfinished_jobs import UnfinishedJob, UnfinishedJobs


def unfinished(folder: Path) -> list[dict[str, Any]]:
    left: list[dict[str, Any]] = json.loads((folder / JOBS).read_text("utf-8"))
    return left


def jobs_of(client: TestClient) -> dict[str, str]:
    return {job["job_id"]: job["state"] for job in client.get("/v1/index/jobs").json()["data"]}


def test_what_a_stop_ended_goes_on_and_what_a_person_cancelled_does_not(tmp_path: Path) -> None:
    index, work = tmp_path / "index", Worked()
    with served(index, run_job=work, limits=QUICK) as client:
        first, second, third = (start(client, "remove", folder)["job_id"] for folder in ("/a", "/b", "/c"))
        until(lambda: state(client, {"job_id": first}) == "running")
        client.post(f"/v1/index/jobs/{second}/cancel")
        assert [job["job_id"] for job in unfinished(index)] == [first, third]
    assert [job["deaths"] for job in unfinished(index)] == [0, 0]
    again = Worked()
    with served(index, run_job=again, limits=QUICK) as client:
        until(lambda: jobs_of(client) == {first: "running", third: "queued"})
        # Who asks for the same meanwhile waits for it as for any other.
        again.go.set()
        until(lambda: jobs_of(client) == {first: "done", third: "done"})
        assert [task.folders for task in again.tasks] == [("/a",), ("/c",)]
    assert unfinished(index) == []
    with served(index, run_job=work, limits=QUICK) as client:
        assert jobs_of(client) == {}


def test_a_job_that_ends_the_service_each_time_is_not_begun_for_ever(tmp_path: Path) -> None:
    job = UnfinishedJob(job_id="ab" * 8, action="add", folders=["/a"], all_folders=False, deaths=3)
    (tmp_path / JOBS).write_text(json.dumps([job.model_dump()]), encoding="utf-8")
    work = Worked()
    with served(tmp_path, run_job=work, limits=QUICK) as client:
        answer = client.get(f"/v1/index/jobs/{job.job_id}").json()
        assert answer["state"] == "failed"
        assert answer["error"].startswith("3 services ended while this ran")
        assert work.tasks == []
    assert unfinished(tmp_path) == []


def test_what_was_begun_anew_is_not_done_twice(tmp_path: Path) -> None:
    job = UnfinishedJob(job_id="ab" * 8, action="add", folders=["/a"], all_folders=False, deaths=1)
    (tmp_path / JOBS).write_text(json.dumps([job.model_dump()]), encoding="utf-8")
    work = Worked()
    jobs = Jobs(tmp_path, work, ServiceLimits())
    added = jobs.add(JobRequest(action="add", folders=["/a"]), ("/a",))
    jobs.start()
    assert [job.job_id for job in jobs.all()] == [added.job_id]
    assert [job["job_id"] for job in unfinished(tmp_path)] == [added.job_id]
    work.go.set()
    until(lambda: unfinished(tmp_path) == [])
    jobs.close()


def test_only_one_service_of_an_index_remembers_and_a_reader_none(tmp_path: Path) -> None:
    work = Worked()
    with served(tmp_path, run_job=work, limits=QUICK) as first:
        start(first, "remove", "/a")
        with served(tmp_path, run_job=work, limits=QUICK) as second:
            assert jobs_of(second) == {}
            start(second, "remove", "/b")
            assert [job["folders"] for job in unfinished(tmp_path)] == [["/a"]]
    with served(tmp_path, run_job=work, limits=QUICK, read_only=True) as reader:
        assert jobs_of(reader) == {}
    assert [job["folders"] for job in unfinished(tmp_path)] == [["/a"]]


@pytest.mark.parametrize("content", ["{", "[1]", '[{"job_id": "a"}]', "[" * 200_000], ids=range(4))
def test_a_damaged_file_is_put_aside_and_said(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / JOBS).write_text(content, encoding="utf-8")
    jobs = UnfinishedJobs(tmp_path)
    assert jobs.read() == []
    (aside,) = tmp_path.glob("jobs.json.damaged-*")
    assert aside.read_text("utf-8") == content
    assert f"cannot be read, and lie in {aside}" in caplog.text
    jobs.write([])
    assert unfinished(tmp_path) == []
    jobs.close()


def test_nothing_is_written_into_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"a film")
    (tmp_path / JOBS).write_text('{"of": "another program"}', encoding="utf-8")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    work = Worked()
    work.go.set()
    with served(tmp_path, run_job=work, limits=QUICK) as client:
        job = start(client, "remove", "/a")
        until(lambda: state(client, job) == "done")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_job_that_is_stopped_each_evening_goes_on_each_morning(tmp_path: Path) -> None:
    with served(tmp_path, run_job=Worked(), limits=QUICK) as client:
        job = start(client, "remove", "/a")
    for _ in range(4):
        with served(tmp_path, run_job=Worked(), limits=QUICK) as client:
            until(lambda: jobs_of(client) == {job["job_id"]: "running"})
            assert unfinished(tmp_path)[0]["deaths"] == 1  # if this service dies now
        assert unfinished(tmp_path)[0]["deaths"] == 0


def test_what_a_person_cancels_is_forgotten_at_once(tmp_path: Path) -> None:
    go_on = threading.Event()

    def slow(_task: JobSpec, _controls: JobControls) -> dict[str, Any]:
        go_on.wait(60)
        return {"stopped": True}

    with served(tmp_path, run_job=slow, limits=QUICK) as client:
        job = start(client, "remove", "/a")
        until(lambda: state(client, job) == "running")
        client.post(f"/v1/index/jobs/{job['job_id']}/cancel")
        assert (state(client, job), unfinished(tmp_path)) == ("running", [])
        go_on.set()


def test_what_another_service_left_meanwhile_is_kept(tmp_path: Path) -> None:
    work = Worked()
    mine = Jobs(tmp_path, work, ServiceLimits())
    mine.start()
    other = UnfinishedJobs(tmp_path)
    other.write([UnfinishedJob(job_id="bb" * 8, action="add", folders=["/b"], all_folders=False, deaths=1)])
    other.close()  # as its death does
    mine.add(JobRequest(action="add", folders=["/a"]), ("/a",))
    assert [job["folders"] for job in unfinished(tmp_path)] == [["/b"], ["/a"]]
    work.go.set()
    until(lambda: [job["folders"] for job in unfinished(tmp_path)] == [["/b"]])
    mine.close()


def test_what_whoever_started_the_service_begins_again_is_not_remembered(tmp_path: Path) -> None:
    work = Worked()
    jobs = Jobs(tmp_path, work, ServiceLimits())
    jobs.start()
    jobs.add(JobRequest(action="add", folders=["/a"]), ("/a",), remembered=False)
    jobs.add(JobRequest(action="add", folders=["/b"]), ("/b",))
    assert [job["folders"] for job in unfinished(tmp_path)] == [["/b"]]
    jobs.close()
    assert [job["folders"] for job in unfinished(tmp_path)] == [["/b"]]


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from tests.service.serving import served
from tests.service.test_jobs import start
from vidsift.index.tables import Table
from vidsift.service.job_process import JobControls, JobSpec, run_job

index, videos, model = map(Path, sys.argv[1:])
really = Table.add

def add(self, *arguments, **named):
    really(self, *arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)  # the segments are written, their files are not

Table.add = add
with served(index, run_job=run_job, model=str(model)) as client:
    start(client, "add", str(videos))
    threading.Event().wait(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is killed so on Windows")
def test_a_service_that_is_killed_in_the_middle_of_writing_goes_on(tmp_path: Path) -> None:
    model, videos, index = tmp_path / "model", library(tmp_path / "videos", 3), tmp_path / "index"
    tiny.model().save(model)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(index), str(videos), str(model)],
        check=False,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = unfinished(index)
    assert left["folders"] == [str(videos)]
    with served(index, run_job=run_job, model=str(model), limits=QUICK) as client:
        until(lambda: jobs_of(client) == {left["job_id"]: "done"}, 60)
        until(lambda: client.get("/v1/videos").json()["total"] == 3)
    stored = [row["video_id"] for row in rows(index)]
    assert len(stored) == len(set(stored)) == 3
    assert unfinished(index) == []
