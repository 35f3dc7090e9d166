from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi.testclient import TestClient
from tests.service.serving import index_of, served
from tests.video.making import Recipe, make


@dataclass(frozen=True)
class Library:
    """A service of a constant, an uneven and a vanished film."""

    client: TestClient
    ids: dict[str, str]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("exports")
    uneven = sorted([0, *(33 * n + (40 if n % 7 else 0) for n in range(1, 45))])
    films = [
        make(folder, Recipe(frames=50, fps=25), "plain"),
        make(folder, Recipe(frames=45, pts=uneven, fps=30, b_frames=0), "phone"),
        make(folder, Recipe(frames=40, fps=25), "gone"),
    ]
    index = index_of(folder / "index", films)
    films[2].unlink()
    ids = {Path(path).stem: record.video_id or "" for path, record in index.store.read_files().items()}
    with served(index) as client:
        yield Library(client, ids)


def moment(library: Library, name: str, start: float, end: float) -> dict[str, Any]:
    return {"video_id": library.ids[name], "start": start, "end": end, "score": 0.5}


def test_moments_come_as_a_file_with_its_name_and_notes(library: Library) -> None:
    body = {
        "kind": "otio",
        "title": "red & blue?",
        "moments": [moment(library, "plain", 0.4, 1.2), moment(library, "phone", 0.0, 1.0)],
    }
    answer = library.client.post("/v1/exports", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''red%20%26%20blue_.otio"
    first, second = json.loads(answer.text)["tracks"]["children"][0]["children"]
    assert first["source_range"]["start_time"]["value"] == 10
    assert first["source_range"]["duration"]["value"] == 20
    assert second["media_references"]["DEFAULT_MEDIA"]["target_url"].endswith("/phone.mp4")
    notes = unquote(answer.headers["x-export-notes"])
    assert "phone.mp4 has a variable frame rate; it is counted at 30 frames a second" in notes
    assert "files of another rate (1)" in notes


def test_what_cannot_be_read_is_left_out_and_said(library: Library) -> None:
    body = {"kind": "csv", "moments": [moment(library, "gone", 0, 1), moment(library, "plain", 1.0, 2.0)]}
    answer = library.client.post("/v1/exports", json=body)
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["rank"], row["first_frame"], row["last_frame"]) == ("2", "25", "49")
    assert "left out: gone.mp4: the file gone.mp4 is not where it was" in unquote(
        answer.headers["x-export-notes"]
    )
    assert answer.headers["content-disposition"].endswith("vidsift.csv")
    nothing = library.client.post(
        "/v1/exports", json={"kind": "csv", "moments": [moment(library, "gone", 0, 1)]}
    )
    assert nothing.status_code == 409
    assert "no file of these moments can be read now" in nothing.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"kind": "xml"}, 422),
        ({"moments": []}, 422),
        ({"moments": [{"video_id": "none", "start": 0, "end": 1}]}, 404),
        ({"moments": [{"video_id": "none", "start": 1, "end": 1}]}, 422),
        ({"moments": [{"video_id": "none", "start": 0, "end": 1}] * 501}, 422),
        ({"title": "x" * 2001}, 422),
    ],
)
def test_what_makes_no_sense_is_refused(library: Library, changes: dict[str, Any], status: int) -> None:
    body = {"kind": "m3u8", "moments": [moment(library, "plain", 0, 1)]} | changes
    answer = library.client.post("/v1/exports", json=body)
    assert answer.status_code == status
    assert answer.json()["detail"]
