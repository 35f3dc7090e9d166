"""A client that openapi-python-client generates knows every operation, and asks a running service.

Here and not among the tests of every run: the generator allows only older versions of typer and httpx, and
what the tests run with should be the newest. What it reads is tested in ``tests/service/test_openapi.py``.
"""

from __future__ import annotations

import importlib
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.index.library import clip
from tests.service.serving import index_of, video_id
from tests.service.test_fuzz import idle
from tests.service.test_search_routes import png

from vidsift.service.app import create_app
from vidsift.service.security import Access
from vidsift.service.server import Server, listen

TOKEN = "a-token-for-the-generated-client"
# To the generator, answers of other kinds are no files.
FILES = "application/octet-stream"
SETTINGS = {
    "post_hooks": [],
    "content_type_overrides": dict.fromkeys(("image/jpeg", "video/mp4"), FILES),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    return [clip(folder, f"clip{number}", frames=16 + number) for number in range(3)]


@pytest.fixture(scope="module")
def service(
    files: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Address of a running service, and its document."""
    index = index_of(tmp_path_factory.mktemp("generated") / "index", files)
    app = create_app(index, access=Access(token=TOKEN), run_job=idle)
    with listen("127.0.0.1", 0) as sock:
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        yield f"http://127.0.0.1:{sock.getsockname()[1]}", app.openapi()
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def generated(service: tuple[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of the generated package, which can be imported."""
    if find_spec("openapi_python_client") is None:
        pytest.skip("pip install openapi-python-client")
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(json.dumps(service[1]))
    (folder / "settings.json").write_text(json.dumps(SETTINGS))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json"]
    command += ["--output-path", "generated_vidsift", "--meta", "none", "--config", "settings.json"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "will not be generated" not in ran.stdout + ran.stderr
    assert "omitted" not in ran.stdout + ran.stderr
    sys.path.insert(0, str(folder))
    yield "generated_vidsift"
    sys.path.remove(str(folder))


def operation(generated: str, tag: str, name: str) -> Any:
    return importlib.import_module(f"{generated}.api.{tag}.{name}")


def test_it_knows_every_operation(service: tuple[str, dict[str, Any]], generated: str) -> None:
    for methods in service[1]["paths"].values():
        for about in methods.values():
            module = operation(generated, about["tags"][0], about["operationId"])
            assert callable(module.sync_detailed)


def test_it_asks_a_running_service(
    service: tuple[str, dict[str, Any]], generated: str, files: list[Path]
) -> None:
    models, values = (
        importlib.import_module(f"{generated}.models"),
        importlib.import_module(f"{generated}.types"),
    )
    clients = importlib.import_module(f"{generated}.client")
    name = video_id(files[0])
    with clients.AuthenticatedClient(base_url=service[0], token=TOKEN) as client:
        question = models.SearchRequest(query="a red circle", k=2)
        answer = operation(generated, "search", "search").sync(client=client, body=question)
        assert isinstance(answer, models.SearchResponse)
        assert [hit.rank for hit in answer.data] == [1, 2]
        for content, kind in ((png(), "image"), (files[1].read_bytes(), "video")):
            body = values.File(payload=io.BytesIO(content))
            upload = operation(generated, "search", "upload").sync(client=client, body=body)
            assert isinstance(upload, models.UploadResponse)
            assert upload.kind == kind
            like = models.SearchRequest(**{kind: upload.upload_id})
            assert len(operation(generated, "search", "search").sync(client=client, body=like).data) == 3
        video = operation(generated, "library", "get_video").sync(name, client=client)
        assert video.path == str(files[0])
        media = operation(generated, "media", "get_media").sync(name, client=client)
        assert media.payload.read() == files[0].read_bytes()
        picture = operation(generated, "media", "get_thumbnail").sync(name, client=client, at=0.5, width=64)
        assert picture.payload.read().startswith(b"\xff\xd8")
        job = operation(generated, "jobs", "start_job").sync(
            client=client, body=models.JobRequest(action=models.JobRequestAction("remove"), folders=["/v"])
        )
        assert isinstance(job, models.Job)
        wrong = operation(generated, "library", "list_videos").sync(client=client, limit=0)
        assert isinstance(wrong, models.Problem)
        assert (wrong.type_, wrong.errors[0].parameter) == ("/problems#no-answer", "limit")
    with clients.Client(base_url=service[0]) as stranger:
        refused = operation(generated, "state", "get_health").sync(client=stranger)
        assert (refused.status, refused.type_) == (401, "/problems#token-needed")
