"""Jobs that a service did not finish: the next one goes on with them, and nothing is there twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
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
from vidsift.service.job_process import run_job
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
    assert [job["starts"] for job in unfinished(index)] == [1, 1]
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
    job = UnfinishedJob(job_id="ab" * 8, action="add", folders=["/a"], all_folders=False, starts=3)
    (tmp_path / JOBS).write_text(json.dumps([job.model_dump()]), encoding="utf-8")
    work = Worked()
    with served(tmp_path, run_job=work, limits=QUICK) as client:
        answer = client.get(f"/v1/index/jobs/{job.job_id}").json()
        assert answer["state"] == "failed"
        assert answer["error"].startswith("the service ended 3 times before this was done")
        assert work.tasks == []
    assert unfinished(tmp_path) == []


def test_what_was_begun_anew_is_not_done_twice(tmp_path: Path) -> None:
    job = UnfinishedJob(job_id="ab" * 8, action="add", folders=["/a"], all_folders=False, starts=1)
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


@pytest.mark.parametrize("content", ["{", "[1]", '[{"job_id": "a"}]'])
def test_a_damaged_file_is_dropped_and_said(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / JOBS).write_text(content, encoding="utf-8")
    jobs = UnfinishedJobs(tmp_path)
    assert jobs.read() == []
    assert "cannot be read, and are dropped" in caplog.text
    jobs.write([])
    assert unfinished(tmp_path) == []
    jobs.close()


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from tests.service.serving import served
from tests.service.test_jobs import start
from vidsift.index.tables import Table
from vidsift.service.job_process import run_job

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
