"""The service under requests that nobody would send: no fault, and every answer as the document says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.index.library import clip
from tests.service.fuzzing import fuzz
from tests.service.serving import index_of, served, video_id
from tests.service.test_fuzz import idle
from tests.soak.lives import count

REQUESTS = count("REQUESTS", 20_000)
_EXAMPLES = 50


def test_no_request_meets_a_fault(tmp_path: Path) -> None:
    files = [clip(tmp_path / "videos", f"clip{number}", frames=8 + number) for number in range(3)]
    index = index_of(tmp_path / "index", files)
    statuses: Counter[int] = Counter()
    with served(index, run_job=idle) as client:
        while sum(statuses.values()) < REQUESTS:
            job = client.post("/v1/index/jobs", json={"action": "update"}).json()
            known = {
                "video_id": video_id(files[0]),
                "segment_id": index.gallery.segment_ids[0],
                "job_id": job["job_id"],
            }
            statuses += fuzz(client, known, _EXAMPLES)
        assert client.get("/healthz").json()["segments"] == len(files)
    print(
        f"{sum(statuses.values())} requests: " + ", ".join(f"{n} x {s}" for s, n in sorted(statuses.items()))
    )
