from __future__ import annotations

from pathlib import Path

from tests.index.library import library
from tests.methods import tiny
from tests.service.serving import served
from tests.service.test_jobs import start, state
from tests.service.test_live_index import QUICK, until

from vidsift.service.job_process import run_job


def test_a_job_makes_an_index_that_is_searched_at_once(tmp_path: Path) -> None:
    """The first run: no index yet, a folder is added on the page."""
    model = tiny.model()
    videos = library(tmp_path / "videos", 2)
    (videos / "broken.mp4").write_bytes(b"no video")
    model.save(tmp_path / "model")
    with served(tmp_path / "index", run_job=run_job, model=str(tmp_path / "model"), limits=QUICK) as client:
        assert client.get("/v1/index").json()["model"] is None
        assert client.post("/v1/search", json={"query": "circle"}).json()["data"] == []
        assert client.get("/v1/videos").json() == {"data": [], "total": 0, "next_page": None}
        job = start(client, "add", str(videos))
        until(lambda: state(client, job) in ("done", "failed"), 60)
        done = client.get(f"/v1/index/jobs/{job['job_id']}").json()
        assert (done["state"], done["error"]) == ("done", None)
        assert (done["report"]["added"], len(done["report"]["failed"])) == (2, 1)
        until(lambda: client.get("/v1/videos").json()["total"] == 2)
        assert len(client.post("/v1/search", json={"query": "circle"}).json()["data"]) == 2
        facts = client.get("/v1/index").json()
        assert (facts["videos"], facts["segments"], facts["files"], facts["failed"]) == (2, 2, 2, 1)
        assert facts["folders"] == [{"path": str(videos), "videos": 2, "failed": 1}]
        assert facts["failures"][0]["path"] == str(videos / "broken.mp4")
        gone = start(client, "remove", str(videos))
        until(lambda: state(client, gone) in ("done", "failed"), 60)
        until(lambda: client.get("/v1/videos").json()["total"] == 0)
        assert (videos / "clip0.mp4").exists()


def test_a_job_in_a_process_of_its_own(tmp_path: Path) -> None:
    model = tiny.model()
    model.save(tmp_path / "model")
    videos = library(tmp_path / "videos", 2)
    with served(tmp_path / "index", model=str(tmp_path / "model"), limits=QUICK) as client:
        job = start(client, "add", str(videos))
        until(lambda: state(client, job) in ("done", "failed"), 300)
        done = client.get(f"/v1/index/jobs/{job['job_id']}").json()
        assert (done["state"], done["error"]) == ("done", None)
        assert done["report"]["added"] == 2
        until(lambda: client.get("/healthz").json()["segments"] == 2)
