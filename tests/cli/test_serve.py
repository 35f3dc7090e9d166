from __future__ import annotations

import json
import re
import signal
import socket
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from tests.forked import vidsift
from tests.index.library import filled, lance_table
from tests.methods import tiny

from vidsift.cli.main import main
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index of made-up videos that knows where its model is."""
    model = tiny.model()
    model.save(tmp_path / "model")
    made = filled(tmp_path / "made", model, [5] * 6)
    named = Store.create(tmp_path / "index", replace(made.manifest, model=str(tmp_path / "model")))
    named.commit(
        lance_table(made.folder).to_arrow(),
        [FileRecord(**vars(read_file)) for read_file in made.read_files().values()],
    )
    return tmp_path / "index"


def serve(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *arguments])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("missing", ["uvicorn", "fastapi", "prometheus_client"])
def test_a_missing_extra_is_named(
    missing: str, index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(
        sys.modules, "vidsift.service.app", raising=False
    )  # as where nothing has been imported
    assert serve("--index", str(index)) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == "vidsift: the service needs the extra 'serve': pip install 'vidsift[serve]'"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> list[FastAPI]:
    """Serve nothing: remember what would have been served."""
    served: list[FastAPI] = []
    monkeypatch.setattr("vidsift.service.server.serve", lambda app, _sock: served.append(app))
    return served


@pytest.fixture
def port() -> str:
    """One that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_where_nothing_is_indexed_yet_the_page_can_begin(
    tmp_path: Path, port: str, stub: list[FastAPI], capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve("--index", str(tmp_path / "none"), "--port", port) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith(f"There is no index at {tmp_path / 'none'} yet: open the page")
    assert printed.out.startswith(f"Listening on http://127.0.0.1:{port} ")
    assert len(stub) == 1
    assert not (tmp_path / "none").exists()


def test_beyond_this_machine_the_address_has_a_token(
    index: Path, port: str, stub: list[FastAPI], capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = set()
    for _ in range(2):
        assert serve("--index", str(index), "--host", "0.0.0.0", "--port", port) == 0
        match = re.match(rf"Listening on http://[^/]+:{port}/\?token=(\S{{43}}) ", capsys.readouterr().out)
        assert match
        tokens.add(match[1])
    assert len(tokens) == 2


def test_a_token_comes_from_a_file_or_a_variable(
    index: Path,
    tmp_path: Path,
    port: str,
    stub: list[FastAPI],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert serve("--new-token") == 0
    printed = capsys.readouterr().out
    assert re.fullmatch(r"[\w-]{43}\n", printed)
    assert not stub
    file = tmp_path / "token"
    file.write_text(printed)
    assert serve("--index", str(index), "--token-file", str(file), "--port", port) == 0
    assert f"http://127.0.0.1:{port}/?token={printed.strip()} " in capsys.readouterr().out
    monkeypatch.setenv("VIDSIFT_TOKEN", "x" * 22)
    assert serve("--index", str(index), "--port", port) == 0
    assert f"http://127.0.0.1:{port}/?token={'x' * 22} " in capsys.readouterr().out
    monkeypatch.setenv("VIDSIFT_TOKEN", "x" * 21)
    assert serve("--index", str(index), "--port", port) == 2
    assert "the token has 21 characters; it needs at least 22" in capsys.readouterr().err
    assert serve("--index", str(index), "--token-file", str(tmp_path / "none"), "--port", port) == 2
    assert f"vidsift serve --new-token > {tmp_path / 'none'} makes it" in capsys.readouterr().err
    # Everybody on the machine could read it there.
    assert serve("--index", str(index), "--token", "x" * 22, "--port", port) == 2
    assert "--token is not taken any more" in capsys.readouterr().err


def test_a_port_that_is_taken_is_one_line(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert serve("--index", str(index), "--port", str(taken.getsockname()[1])) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "is it being served already? Choose another with --port" in printed.err.splitlines()[-1]
    assert serve("--index", str(index), "--host", "no.such.host.invalid") == 2
    assert "is no address of this machine" in capsys.readouterr().err.splitlines()[-1]


def test_a_model_that_is_gone_is_told_before_anybody_asks(
    index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (index.parent / "model").rename(index.parent / "moved")
    assert serve("--index", str(index)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "cannot be loaded" in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_an_impossible_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve("--port", port) == 2
    assert "--port" in capsys.readouterr().err


def test_the_service_answers_until_ctrl_c(index: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = vidsift("serve", "--index", str(index), "--port", str(port))
    try:
        started.wait_until(lambda: started.said.endswith("\n"))
        match = re.match(r"Listening on (http://127\.0\.0\.1:\d+) ", started.said)
        assert match, started.said
        question = urllib.request.Request(
            f"{match[1]}/v1/search",
            json.dumps({"query": "a red circle", "k": 2}).encode(),
            {"content-type": "application/json"},
        )
        answer = _patiently(question)
        assert [hit["rank"] for hit in answer["data"]] == [1, 2]
    finally:
        started.send(signal.SIGINT)
        status = started.wait()
    assert "Reading 6 segments with" in started.errors
    assert "Traceback" not in started.errors
    assert status == 0  # the ordinary way to end a service


def _patiently(question: urllib.request.Request) -> dict[str, list[dict[str, object]]]:
    """Ask again until the server listens, which it does a moment after it said so."""
    for attempt in range(200):
        try:
            with urllib.request.urlopen(question, timeout=60) as answer:
                result: dict[str, list[dict[str, object]]] = json.load(answer)
                return result
        except OSError:
            if attempt == 199:
                raise
            time.sleep(0.1)
    raise AssertionError


def test_what_is_wrong_with_the_arguments_is_said_before_the_index_is_read(
    index: Path, tmp_path: Path, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("short\n")
    assert serve("--index", str(index), "--token-file", str(tmp_path / "token"), "--port", port) == 2
    printed = capsys.readouterr().err
    assert "the token has 5 characters" in printed
    assert "Reading" not in printed
    (tmp_path / "file").touch()
    assert serve("--index", str(tmp_path / "file"), "--port", port) == 2
    assert "which is a file; give the folder of an index" in capsys.readouterr().err
