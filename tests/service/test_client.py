from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.index.library import clip
from tests.service.serving import index_of, video_id
from tests.service.test_jobs import Worked
from tests.service.test_live_index import until
from tests.service.test_search_routes import png

from vidsift.errors import ServiceError
from vidsift.search.searcher import Index
from vidsift.service.app import create_app
from vidsift.service.client import Client, _parsed
from vidsift.service.limits import ServiceLimits
from vidsift.service.schemas import Filter, Health
from vidsift.service.schemas_saved import NewMoment, SavedQuestion
from vidsift.service.security import Access
from vidsift.service.server import Server, listen
from vidsift.service.service import Service
from vidsift.video import probe

TOKEN = "a-token-for-all-the-tests"
QUICK = ServiceLimits(poll_seconds=0.05)
RUNNING: list[Service] = []
"""The parts of the services that run, the newest last."""


@pytest.fixture(scope="module")
def work() -> Worked:
    return Worked()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    return [clip(folder, f"clip{number}", frames=16 + number) for number in range(5)]


@contextmanager
def running(
    index: Index, work: Worked, limits: ServiceLimits = QUICK
) -> Iterator[tuple[str, threading.Thread]]:
    """A service on a real socket: its address with the token, and its thread; it ends with the block."""
    app = create_app(index, access=Access(token=TOKEN), run_job=work, limits=limits)
    sock = listen("127.0.0.1", 0)
    server = Server(app)
    RUNNING.append(app.state.service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/?token={TOKEN}", thread
    finally:
        RUNNING.pop()
        server.should_exit = True
        thread.join(50)


@pytest.fixture(scope="module")
def index(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Index:
    return index_of(tmp_path_factory.mktemp("client") / "index", files)


@pytest.fixture(scope="module")
def url(index: Index, work: Worked) -> Iterator[str]:
    with running(index, work) as (address, thread):
        yield address
    assert not thread.is_alive()


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as opened:
        yield opened


def test_it_saves_searches_and_collects_moments(client: Client, files: list[Path], tmp_path: Path) -> None:
    question = SavedQuestion(query="a red circle", filter=Filter(max_duration=9.5), within_days=700)
    saved = client.save_search("circles", question)
    assert (saved.name, saved.question) == ("circles", question)
    assert client.rename_saved_search(saved.search_id, "red ones").name == "red ones"
    assert [search.name for search in client.saved_searches()] == ["red ones"]
    client.delete_saved_search(saved.search_id)
    assert client.saved_searches() == []

    made = client.create_collection("best of")
    name = video_id(files[0])
    full = client.add_moments(made.collection_id, [NewMoment(video_id=name, start=0, end=1, note="first")])
    assert [(moment.video_id, moment.note) for moment in full.moments] == [(name, "first")]
    assert client.collection(made.collection_id) == full
    listed = client.export("csv", full.moments, tmp_path / "best.csv", title=full.name).read_text("utf-8")
    assert str(files[0]) in listed
    assert client.rename_collection(made.collection_id, "cut").name == "cut"
    assert [(about.name, about.size) for about in client.collections()] == [("cut", 1)]
    client.remove_moment(made.collection_id, full.moments[0].moment_id)
    assert client.collection(made.collection_id).moments == []
    client.delete_collection(made.collection_id)
    assert client.collections() == []
    with pytest.raises(ServiceError, match="none of the collections has the identity"):
        client.delete_collection(made.collection_id)


def test_it_asks_everything_that_the_service_answers(
    client: Client, files: list[Path], tmp_path: Path
) -> None:
    assert client.health() == Health(status="ok", segments=5)
    hits = list(client.hits("a red circle", k=2))
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert client.search("a red circle", k=5).data == hits
    best = hits[0]
    account = client.explain("a red circle", best.segment_id)
    assert account.score == best.score
    assert account.leaving_out is None
    without = client.explain("a red circle", best.segment_id, leave_out=True).leaving_out
    assert without is not None
    assert [word.without for word in without.words] == ["red circle", "a circle", "a red"]
    assert client.strip("a red circle", best.video_id).segments[0].score == best.score
    name = video_id(files[0])
    assert [video.path for video in client.videos(limit=2)] == sorted(map(str, files))
    assert client.set_tags(name, ["b", "a"]).tags == ["a", "b"]
    assert client.video(name).tags == ["a", "b"]
    assert client.captions(name) == []
    assert client.thumbnail(name, 0.5, 64).startswith(b"\xff\xd8")
    assert client.download(name, tmp_path / "whole.mp4").read_bytes() == files[0].read_bytes()
    assert probe(client.clip(name, 0.0, 1.0, tmp_path / "clip.mp4")).duration_seconds == pytest.approx(
        1, abs=0.3
    )
    assert client.index().videos == 5
    assert str(files[0].parent) in client.folders(str(files[0].parent.parent)).folders
    (tmp_path / "red.png").write_bytes(png())
    upload = client.upload(tmp_path / "red.png")
    assert len(client.search(image=upload.upload_id).data) == 5
    narrowed = Filter(tags=["a"], modified_after=datetime(2020, 1, 1, tzinfo=UTC))
    assert [hit.video_id for hit in client.search("a red circle", filter=narrowed).data] == [name]
    assert "vidsift_requests_total" in client.metrics()


def test_it_follows_a_job(client: Client, work: Worked) -> None:
    work.go.clear()
    job = client.start_job("remove", ["/v"])
    until(lambda: client.job(job.job_id).state == "running")
    assert client.steer(job.job_id, "pause").state == "paused"
    assert client.steer(job.job_id, "resume").state == "running"
    threading.Timer(0.3, work.go.set).start()
    assert [job_now.state for job_now in client.follow(job.job_id)][-1] == "done"
    assert client.jobs()[0].job_id == job.job_id


def test_problems_are_errors_with_their_words(client: Client, url: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="the query is empty") as caught:
        client.search(" ")
    assert caught.value.status == 422
    with pytest.raises(ServiceError) as caught:
        client.download("0" * 32, tmp_path / "x.mp4")
    assert caught.value.status == 404
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ServiceError) as caught:
        Client(url.partition("?")[0], token="wrong").health()
    assert caught.value.status == 401
    with pytest.raises(ServiceError, match="is `vidsift serve` running there"):
        Client("http://127.0.0.1:1").health()
    with pytest.raises(ValueError, match="expected one like"):
        Client("file:///etc/passwd")


def test_who_follows_a_job_does_not_hold_up_the_end(index: Index) -> None:
    endless = Worked()
    states: list[str] = []
    with running(index, endless) as (address, thread), Client(address) as client:
        job = client.start_job("remove", ["/v"])

        def follow() -> None:
            with contextlib.suppress(ServiceError):  # it broke off
                for job_now in client.follow(job.job_id):
                    states.append(job_now.state)

        following = threading.Thread(target=follow)
        following.start()
        until(lambda: client.job(job.job_id).state == "running")
    assert not thread.is_alive()  # long before the patience of the server is at its end
    following.join(10)
    assert not following.is_alive()
    assert set(states) <= {"queued", "running", "cancelled"}


def port_of(url: str) -> int:
    return int(url.split(":")[2].partition("/")[0])


def test_slow_clients_hold_nobody_up(tmp_path: Path, work: Worked) -> None:
    """Sixty who send or read nothing, twenty of them a file that no buffer takes."""
    large = clip(tmp_path / "videos", "large")
    os.truncate(large, 64 << 20)
    head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    with running(index_of(tmp_path / "index", [large]), work) as (address, _), Client(address) as client:
        (name,) = [video.video_id for video in client.videos()]
        slow = []
        for number in range(60):
            sock = socket.create_connection(("127.0.0.1", port_of(address)))
            if number % 3 == 0:
                sock.sendall(f"GET /v1/videos/{name}/media HTTP/1.1\r\n{head}\r\n".encode())
            elif number % 3 == 1:
                sock.sendall(f"POST /v1/search HTTP/1.1\r\n{head}Content-Length: 99\r\n\r\n".encode())
            else:
                sock.sendall(f"GET /healthz HTTP/1.1\r\n{head}".encode())
            slow.append(sock)
        until(lambda: 'media",status="200"} 20.0' in client.metrics())  # they are being sent
        began = time.monotonic()
        assert len(client.search("a red circle").data) == 1
        assert client.video(name).segments == 1
        assert client.thumbnail(name)
        assert time.monotonic() - began < 20
        for sock in slow:
            sock.close()


def test_a_clip_that_nobody_fetches_leaves_nothing(url: str, files: list[Path], index: Index) -> None:
    body = json.dumps({"video_id": video_id(files[0]), "start": 0, "end": 1}).encode()
    head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    made = set(Path(tempfile.gettempdir()).glob("vidsift-serve-*/*.mp4"))
    for _ in range(10):
        sock = socket.create_connection(("127.0.0.1", port_of(url)))
        request = f"POST /v1/clips HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        sock.sendall(request.encode() + body)
        assert sock.recv(12) == b"HTTP/1.1 200"
        sock.close()
    until(lambda: set(Path(tempfile.gettempdir()).glob("vidsift-serve-*/*.mp4")) <= made)
    with Client(url) as client:  # and every place is free again
        assert client.clip(video_id(files[0]), 0.0, 1.0, index.store.folder.parent / "clip.mp4").exists()


def _request(path: str, body: object = None) -> bytes:
    head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    if body is None:
        return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()
    text = json.dumps(body)
    kind = f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{head}{kind}\r\n{text}".encode()


def test_questions_of_who_has_gone_are_not_answered(index: Index, work: Worked, files: list[Path]) -> None:
    with running(index, work) as (address, _), Client(address) as client:
        hit = client.search("a red circle", k=1).data[0]
        engine, go = RUNNING[-1].engine, threading.Event()
        answered: list[str] = []
        answer = engine._answer
        engine._answer = lambda settings, queries: answered.extend(queries) or answer(settings, queries)  # type: ignore[func-returns-value]
        running_now = engine.run(lambda: go.wait(60))
        until(lambda: not engine._queue)
        requests = [
            _request("/v1/search", {"query": "gone"}),
            _request("/v1/search", {"query": ["circle", "star"]}),
            _request("/v1/strip", {"query": "gone", "video_id": hit.video_id}),
            _request(f"/v1/videos/{hit.video_id}/captions"),
        ]
        socks = []
        for number, text in enumerate(requests):
            sock = socket.create_connection(("127.0.0.1", port_of(address)))
            sock.sendall(text)
            socks.append(sock)
            until(lambda many=number + 1: len(engine._queue) == many)  # type: ignore[misc]
        questions = list(engine._queue)
        for sock in socks:
            sock.close()
        until(lambda: all(question.future.cancelled() for question in questions))
        go.set()
        assert running_now.result(60)
        assert len(client.search("stays").data) == 5
        assert answered == ["stays"]


def test_one_request_too_many_is_a_problem_with_a_remedy(index: Index, work: Worked) -> None:
    limits = ServiceLimits(poll_seconds=0.05, requests=3)
    with running(index, work, limits) as (address, _), Client(address) as client:
        assert client.index().videos == 5
        unfinished = _request("/v1/search", {"query": "circle"})[:-1]
        slow = []
        for _ in range(3):
            sock = socket.create_connection(("127.0.0.1", port_of(address)))
            sock.sendall(unfinished)
            slow.append(sock)

        def refused() -> bool:
            try:
                client.index()
            except ServiceError:
                return True
            return False

        until(refused)
        with pytest.raises(ServiceError) as caught:
            client.index()
        assert caught.value.status == 503
        assert str(caught.value).endswith(
            "3 requests are being answered, which is the limit; close what you do not need, and ask again in "
            "a few seconds"
        )
        assert client.health().segments == 5  # who watches over it does not start it anew
        assert "vidsift_requests_total{" in client.metrics()
        slow[0].sendall(b"}")
        assert slow[0].recv(12) == b"HTTP/1.1 200"
        until(lambda: not refused())
        for sock in slow:
            sock.close()


def test_tokens_are_led_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSIFT_TOKEN", "of-this-machine")
    assert Client()._token == "of-this-machine"
    assert Client("http://videos.example")._token is None
    assert Client("http://videos.example/?a=b&token=x%2Dy")._token == "x-y"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def lead_away() -> None:
            sock, _ = server.accept()
            sock.recv(4096)
            sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
            sock.close()

        thread = threading.Thread(target=lead_away)
        thread.start()
        with pytest.raises(ServiceError) as caught:
            Client(f"http://127.0.0.1:{server.getsockname()[1]}").health()
        thread.join(10)
    assert caught.value.status == 302


def test_an_answer_of_another_version_is_said_to_be_one() -> None:
    with pytest.raises(
        ServiceError, match=r"it is no Health \(segments: Field required\); install the vidsift"
    ):
        _parsed(Health, b'{"status": "ok"}')
    assert _parsed(Health, b'{"status": "ok", "segments": 1, "of_tomorrow": 2}').segments == 1


def test_the_client_needs_nothing_of_the_service() -> None:
    """It is installed without the extra, where somebody asks and nothing is served."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['fastapi', 'starlette', 'uvicorn', 'anyio']));"
        "import vidsift.service.client; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
