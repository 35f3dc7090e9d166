from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.index.library import clip
from tests.service.fuzzing import fuzz
from tests.service.serving import index_of, served, video_id

from vidsift.service.job_process import JobControls, JobSpec


def idle(_task: JobSpec, _controls: JobControls) -> dict[str, Any]:
    """Work that is done at once: nobody's folders are indexed here."""
    return {}


def test_made_up_requests_meet_no_fault(tmp_path: Path) -> None:
    files = [clip(tmp_path / "videos", f"clip{number}", frames=8 + number) for number in range(2)]
    index = index_of(tmp_path / "index", files)
    with served(index, run_job=idle) as client:
        job = client.post("/v1/index/jobs", json={"action": "update"}).json()
        known = {
            "video_id": video_id(files[0]),
            "segment_id": index.gallery.segment_ids[0],
            "job_id": job["job_id"],
        }
        statuses = fuzz(client, known, examples=3, fixed=True)
    assert sum(statuses.values()) > 60
    assert statuses[200] > 10
    assert statuses[422] > 10
