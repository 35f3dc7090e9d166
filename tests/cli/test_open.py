"""``vidsift open``: one command from a folder to the page, and again."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.forked import vidsift
from tests.index.library import clip
from tests.methods import tiny

from vidsift.cli.main import main
from vidsift.cli.open import _listening
from vidsift.index.build import build_index
from vidsift.service.job_process import run_job


def answer_of(url: str, until: Any) -> Any:
    """Ask until the answer is as wanted; the service listens a moment after it says so."""
    for _ in range(3000):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                value = json.load(answer)
        except OSError:
            value = None
        if value is not None and until(value):
            return value
        time.sleep(0.1)
    raise AssertionError(value)


@pytest.mark.skipif(os.name == "nt", reason="a browser that is a script needs a shell")
def test_a_folder_is_read_searched_on_the_page_and_gone_on_with(tmp_path: Path) -> None:
    clip(tmp_path / "videos", "a")
    (tmp_path / "videos" / "notes.mp4").write_text("hello")
    tiny.model().save(tmp_path / "model")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "visited"}\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    command = ["open", str(tmp_path / "videos"), "--index", str(tmp_path / "index")]
    # The work here, not in a process of its own (tests/service/test_job_process.py), which imports all anew.
    before = (
        f"os.environ['BROWSER'] = {f'{browser} %s'!r}\n"
        "from vidsift.service import app, job_process\n"
        "app.run_in_process = job_process.run_job"
    )
    started = vidsift(*command, "--model", str(tmp_path / "model"), before=before)
    try:
        started.wait_until(lambda: "Ctrl-C ends all" in started.said)
        address = started.said.split("The page is at ")[1].split(";")[0]
        jobs = answer_of(f"{address}/v1/index/jobs", lambda jobs: jobs["data"][0]["state"] == "done")
        (job,) = jobs["data"]
        assert (job["report"]["added"], job["report"]["failed_count"]) == (1, 1)
        assert job["progress"]["step"] == "reading"
        assert answer_of(f"{address}/healthz", lambda health: health["segments"])["segments"] == 1
        started.wait_until(lambda: "The page stays open" in started.errors)
        assert (tmp_path / "visited").read_text("utf-8").strip() == address
    finally:
        started.send(signal.SIGINT)
        status = started.wait()
    assert status == 0
    assert started.said.startswith(f"Reading {tmp_path / 'videos'}\n")
    assert "added 1  unchanged 0" in started.said
    assert "notes.mp4: is not a video" in started.said
    assert "Run the same command again" not in started.said
    assert "Traceback" not in started.errors


def test_a_second_time_only_what_is_new_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip(tmp_path / "videos", "a")
    tiny.model().save(tmp_path / "model")
    build_index([tmp_path / "videos"], tmp_path / "index", str(tmp_path / "model"), workers=1)
    clip(tmp_path / "videos", "b")
    monkeypatch.setattr("vidsift.service.app.run_in_process", run_job)
    printed = ""

    def until_read(_app: Any, _sock: Any) -> None:
        nonlocal printed
        last = time.monotonic() + 300
        while "The page stays open" not in printed:
            assert time.monotonic() < last, printed
            time.sleep(0.05)
            printed += "".join(capsys.readouterr())

    monkeypatch.setattr("vidsift.service.server.serve", until_read)
    # Without a model to name: the index knows it.
    with pytest.raises(SystemExit) as ended:
        main(["open", str(tmp_path / "videos"), "--index", str(tmp_path / "index"), "--no-browser"])
    assert ended.value.code == 0
    assert "added 1  unchanged 1" in printed


def test_what_is_wrong_is_one_line_before_anything_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        ([str(tmp_path / "nowhere")], "nowhere is not there; give a folder of videos, or a video file"),
        ([str(tmp_path), "--port", "0"], "--port"),
        ([], "FOLDER"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["open", *arguments])
        assert ended.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert words in printed.err


def test_a_port_that_is_taken_is_another_free_one_unless_it_was_named() -> None:
    with _listening(None) as first, _listening(None) as second:
        taken, other = first.getsockname()[1], second.getsockname()[1]
        assert taken != other
        with pytest.raises(OSError, match="is it being served already"):
            _listening(other)
        assert isinstance(second, socket.socket)
