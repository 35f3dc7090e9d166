from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi.testclient import TestClient
from tests.index.library import clip, filled
from tests.methods import tiny
from tests.service.serving import HERE, index_of, problem, served, video_id

from vidsift.index.storage import Store
from vidsift.search.searcher import Index
from vidsift.service.app import create_app
from vidsift.service.security import Access

TOKEN = "correct horse battery staple".replace(" ", "-")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    model = tiny.model()
    return Index(filled(tmp_path_factory.mktemp("security") / "index", model, [3] * 2), model)


@pytest.fixture(scope="module")
def client(index: Index) -> Iterator[TestClient]:
    with served(index) as opened:
        yield opened


@pytest.fixture
def guarded(index: Index) -> Iterator[TestClient]:
    with served(index, access=Access.listening_on("0.0.0.0", token=TOKEN, names=["videos.home"])) as opened:
        yield opened


def test_every_answer_binds_the_browser_to_this_place(client: TestClient) -> None:
    policy = (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    answers = [
        client.get("/healthz"),
        client.get("/docs"),
        client.get("/nowhere"),
        client.post("/v1/search", json={}),
        client.get("/healthz", headers={"host": "evil.example"}),
        client.options("/v1/search"),
    ]
    for answer in answers:
        assert answer.headers["content-security-policy"] == policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:8765", "127.0.0.1"])
def test_the_service_knows_its_names(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8765",
        "",
        "192.168.0.7",
        "::1",
        "[::1",
        "a@localhost",
    ],
)
def test_a_name_that_was_pointed_here_is_refused(client: TestClient, host: str) -> None:
    answer = client.post("/v1/search", json={"query": "circle"}, headers={"host": host})
    assert "have the name allowed by whoever runs it" in problem(answer, 421)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://localhost:8765"},
        {"origin": "null"},
        {"origin": "http://[broken"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_pages_of_other_sites_may_not_ask(client: TestClient, headers: dict[str, str]) -> None:
    for answer in (
        client.post("/v1/search", json={"query": "circle"}, headers=headers),
        client.post("/v1/index/jobs", json={"action": "add", "folders": ["/"]}, headers=headers),
        client.get("/v1/videos", headers=headers),
    ):
        assert "a page of another site" in problem(answer, 403)


def test_its_own_page_may_ask_and_links_lead_to_it(client: TestClient) -> None:
    headers = {"origin": HERE, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
    assert client.post("/v1/search", json={"query": "circle"}, headers=headers).status_code == 200
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/docs", headers=link).status_code == 200
    problem(client.get("/docs", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}), 403)


def test_a_body_of_a_form_is_no_question(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = client.post("/v1/search", content=b'{"query": "circle"}', headers={"content-type": kind})
        problem(answer, 422)


def test_beyond_this_machine_everything_needs_the_token(guarded: TestClient) -> None:
    for method, path in [
        ("GET", "/"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/page/main.js"),
        ("GET", "/v1/videos"),
        ("POST", "/v1/search"),
        ("POST", "/v1/index/jobs"),
        ("GET", "/nowhere"),
    ]:
        answer = guarded.request(method, path)
        assert "Authorization: Bearer" in problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer x",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
        "Bearer \xff",
    ],
)
def test_a_wrong_token_is_refused(guarded: TestClient, value: str) -> None:
    problem(guarded.get("/healthz", headers={b"authorization": value.encode("latin-1")}), 401)


def test_the_token_opens(guarded: TestClient) -> None:
    given = {"authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/healthz", headers=given).status_code == 200
    for host in ("192.168.0.7:8765", "videos.home", "[fe80::1]:8765"):
        assert guarded.get("/healthz", headers=given | {"host": host}).status_code == 200
    problem(guarded.get("/healthz", headers=given | {"host": "evil.example"}), 421)


def test_the_printed_address_lets_a_browser_in(guarded: TestClient) -> None:
    problem(guarded.get("/?token=wrong"), 401)
    problem(guarded.get(f"/healthz?token={TOKEN}"), 401)  # only the page's own address takes it
    answer = guarded.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert guarded.get("/healthz").status_code == 200
    # The page opens with what was asked, and without the token.
    for given, rest in [
        (f"q=a+red%20circle&token={TOKEN}", "/?q=a+red%20circle"),
        (f"token={TOKEN}&q=%E2%98%83&under=//v", "/?q=%E2%98%83&under=//v"),
        (f"%74oken=x&q=&token={TOKEN}", "/?q="),
    ]:
        answer = guarded.get(f"/?{given}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, rest)
    assert guarded.head(f"/?token={TOKEN}", follow_redirects=False).status_code == 303
    guarded.cookies.clear()
    problem(guarded.get("/healthz"), 401)
    name = Access(token=TOKEN).cookie
    for wrong in (f"{name}=x", f"{name}=", f"other={TOKEN}", "=;;,", f'{name}="'):
        problem(guarded.get("/healthz", headers={"cookie": wrong}), 401)


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []

    def compare(first: Any, second: Any) -> bool:
        compared.append((first, second))
        return bool(first == second)

    monkeypatch.setattr("vidsift.service.security.secrets.compare_digest", compare)
    access = Access(token=TOKEN)
    assert access.admits(TOKEN)
    assert not access.admits("x")
    assert not access.admits(None)
    assert compared == [(TOKEN.encode(), TOKEN.encode()), (b"x", TOKEN.encode())]


def test_who_listens_where_needs_what() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        assert Access.listening_on(host).token is None
        assert Access.listening_on(host, token=TOKEN).token == TOKEN
        # A proxy that calls it by another name is reached from elsewhere.
        assert Access.listening_on(host, names=["videos.home"]).token
        assert Access.listening_on(host, names=["videos.home"], token=TOKEN).token == TOKEN
    for wrong in (
        "short",
        "x" * 21,
        "with space" * 3,
        "semi;colon" * 3,
        "",
        "ünïcödé-token" * 3,
        "x" * 22 + "\n",
    ):
        with pytest.raises(ValueError, match="it needs at least 22, of letters"):
            Access.listening_on("127.0.0.1", token=wrong)
        with pytest.raises(ValueError, match="--new-token makes one"):
            Access(token=wrong)
    assert Access(token="x" * 22).admits("x" * 22)
    fresh = {Access.listening_on(host).token for host in ("0.0.0.0", "::", "192.168.0.7", "example.org")}
    assert len(fresh) == 4
    assert all(token is not None and len(token) >= 43 for token in fresh)
    assert "token" not in repr(Access(token=secrets.token_hex())).replace("any_address", "")


def test_names_are_never_run(tmp_path: Path) -> None:
    """What people wrote comes back as data: JSON, with a type that no browser runs, or percent-encoded."""
    hostile = "<script>alert(1)<\u2215script>\"'><img src=x onerror=alert(1)>"
    file = clip(tmp_path / "videos", hostile)
    index = index_of(tmp_path / "index", [file])
    Store.open(tmp_path / "index").set_tags(video_id(file), [hostile])
    with served(index) as opened:
        answers = [
            opened.get("/v1/videos"),
            opened.get(f"/v1/videos/{video_id(file)}"),
            opened.post("/v1/search", json={"query": "circle", "filter": {"tags": [hostile]}}),
            opened.get("/v1/index"),
        ]
        for answer in answers:
            assert hostile in json.dumps(answer.json(), ensure_ascii=False).replace('\\"', '"')
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["x-content-type-options"] == "nosniff"
        for path in ("media", "thumbnail"):
            answer = opened.get(f"/v1/videos/{video_id(file)}/{path}")
            assert answer.status_code == 200
            assert not any("<" in value or "\"'" in value for value in answer.headers.values())
        for answer in (opened.get("/docs"), opened.get("/metrics"), opened.get(f"/{hostile}")):
            assert "<script>alert" not in answer.text or answer.headers["content-type"].endswith("json")


def test_a_body_that_does_not_come_is_given_up(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsift.service.limits._BODY_SECONDS", 0.2)
    monkeypatch.setattr("vidsift.service.transfer._CHUNK_SECONDS", 0.2)
    app = create_app(index)

    async def never_all(path: str, kind: bytes) -> list[Any]:
        sent: list[Any] = []
        parts = iter([{"type": "http.request", "body": b"{", "more_body": True}])

        async def receive() -> Any:
            part = next(parts, None)
            if part is None:
                await anyio.sleep(60)
            return part

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1"), (b"content-type", kind), (b"content-length", b"9")]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
        }
        scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers}
        app.state.service.live_index.catch_up()
        await app(scope, receive, send)
        return sent

    for path, kind in (("/v1/search", b"application/json"), ("/v1/uploads", b"image/png")):
        began, body = anyio.run(never_all, path, kind)[:2]
        assert began["status"] == 408, body
        assert json.loads(body["body"])["detail"].endswith("send it again")
    app.state.service.close()


def from_address(client: TestClient, address: str, token: str | None) -> Any:
    """What a client at another address is answered."""

    async def moved(scope: Any, receive: Any, send: Any) -> None:
        await client.app(scope | {"client": (address, 1)}, receive, send)

    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    with TestClient(moved, base_url=HERE) as mover:
        return mover.get("/healthz", headers=headers)


def test_who_guesses_has_to_wait_and_keeps_nobody_out(index: Index) -> None:
    app = create_app(index, access=Access(any_address=True, token=TOKEN))
    with TestClient(app, base_url=HERE) as client:
        wrong = [from_address(client, "10.0.0.1", f"guess-{number}") for number in range(12)]
        assert [answer.status_code for answer in wrong] == [401] * 10 + [429] * 2
        assert "too many wrong tokens came from 10.0.0.1; try again in " in problem(wrong[-1], 429)
        assert 1 <= int(wrong[-1].headers["retry-after"]) <= 5
        # Not even the right one is looked at, so that a guess cannot be told from another ...
        assert from_address(client, "10.0.0.1", TOKEN).status_code == 429
        # ... while who brings none is answered as ever, and everybody else as well.
        assert from_address(client, "10.0.0.1", None).status_code == 401
        assert from_address(client, "10.0.0.2", TOKEN).status_code == 200
        # Somebody of the house who types badly does not put the others out.
        for _ in range(12):
            assert from_address(client, "10.0.0.2", "guess").status_code == 401
        assert from_address(client, "10.0.0.2", TOKEN).status_code == 200
