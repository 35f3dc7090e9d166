"""Applications around small indexes of real files, and what their answers have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from tests.index.library import manifest_of
from tests.methods import tiny

from vidsift.index.decode_worker import Done, Facts, ReadSettings, Segment, content_id, read_video
from vidsift.index.encode import Encoder
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search.searcher import Index
from vidsift.service.app import create_app
from vidsift.service.problems import KINDS

HERE = "http://127.0.0.1:8765"


def index_of(folder: Path, files: Sequence[Path], model: Model | None = None) -> Index:
    """An index of real files, read in this process."""
    model = model or tiny.model()
    store = Store.create(folder, manifest_of(model))
    add(store, model, files)
    return Index(Store.open(folder), model)


def add(store: Store, model: Model, files: Sequence[Path]) -> None:
    """Read files into an index in one commit, without other processes."""
    encoder = Encoder(model, store.manifest.sets)
    settings = ReadSettings(encoder.preprocessing, "auto", frozenset())
    records = []
    for path in map(str, files):
        for message in read_video(path, settings):
            if isinstance(message, Facts):
                encoder.begin(path, message)
            elif isinstance(message, Segment):
                encoder.add(path, message)
            else:
                assert isinstance(message, Done), message
                video_id = encoder.end(path, keep=True)
                record = FileRecord(path, message.size_bytes, message.modified_ns, video_id)
                records.append(record)
    encoder.flush()
    table, _ = encoder.take_finished(store.video_ids())
    store.commit(table, records)


def ask(client: TestClient, query: Any = "a red circle", **question: Any) -> dict[str, Any]:
    """What a search over HTTP answers."""
    answer = client.post("/v1/search", json={"query": query, **question})
    assert answer.status_code == 200, answer.text
    answer_body: dict[str, Any] = answer.json()
    return answer_body


def video_id(path: Path) -> str:
    """Identity of a file."""
    return content_id(path)


@contextmanager
def served(index: Index | Path, **options: Any) -> Iterator[TestClient]:
    """A client of an application that runs; it asks as the service's own page does."""
    app = create_app(index, **options)
    with TestClient(app, base_url=HERE, raise_server_exceptions=False) as client:
        yield client


def problem(answer: Any, status: int) -> str:
    """Check that an answer is a problem of this status and nothing more, and return what it says."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) - {"errors"} == {"type", "title", "status", "detail"}
    kind = KINDS[status]
    assert (body["type"], body["title"]) == (f"/problems#{kind.name}", kind.title)
    assert body["status"] == status
    for wrong in body.get("errors", []):
        assert set(wrong) in ({"detail", "pointer"}, {"detail", "parameter"})
    assert not re.search(r"(?<!\S)--[a-z]", answer.text), "an option of the command line"
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    return str(body["detail"])
