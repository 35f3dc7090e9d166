"""Errors as those who ask a service read them."""

from __future__ import annotations

import ast
import errno
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.exceptions import RequestValidationError

import vidsift
from vidsift.cli.main import _VERBS
from vidsift.errors import IndexFolderError, IndexWriteError, QueryError
from vidsift.index.writing import explained_writing
from vidsift.service.problems import (
    _bad_question,
    _bad_request,
    error_message,
    problem_response,
    service_problem,
    without_commands,
)
from vidsift.workers.process import not_started

FULL_DISK = RuntimeError(
    "lance error: LanceError(IO): No space left on device (os error 28), /src/writer.rs:258:9"
)


def test_a_full_disk_is_the_service_s_own() -> None:
    """Tags, jobs and answers say it in a message; uploads and clips by a problem."""
    with pytest.raises(IndexWriteError) as raised, explained_writing(Path("/index")):
        raise FULL_DISK
    message = error_message(raised.value)
    assert message == (
        "the disk of the service is full; what was there before is whole: make room and ask again"
    )
    problem = service_problem(raised.value)
    assert problem is not None
    assert problem.status_code == 503


def test_what_another_library_says_stays_in_the_log() -> None:
    error = IndexFolderError("the index /i is damaged: what; delete it")
    assert error_message(error) == str(error)
    error.__cause__ = RuntimeError("/secret/file.rs:25")
    assert error_message(error) == (
        "the index /i is damaged; the log of the service says how, and whoever runs it can repair it"
    )
    io_error = OSError(errno.EIO, os.strerror(errno.EIO), "/secret")
    assert error_message(io_error).endswith("look at the disk and the folder of the index, then ask again")
    assert "secret" not in error_message(io_error)
    assert service_problem(io_error) is None


def test_a_process_that_cannot_be_started_is_the_service_s_own() -> None:
    problem = service_problem(not_started("crashed (exit status 3)"))
    assert problem is not None
    assert problem.status_code == 503
    assert problem.detail.startswith("a process could not be started: it crashed (exit status 3);")
    assert service_problem(OSError("the volume could not be started")) is None


SOURCE = Path(vidsift.__file__).parent
OPTION = re.compile(r"(?<!\S)--[a-z]")


def texts(rooms: Iterable[str]) -> set[str]:
    """Every text in the sources of some rooms, f-strings with a stand-in for what they hold; not "
    "docstrings."""
    found_texts = set()
    for room in rooms:
        for path in [*SOURCE.glob(f"{room}.py"), *(SOURCE / room).rglob("*.py")]:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            about = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in about:
                    found_texts.add(node.value)
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
                    found_texts.add("".join(map(str, parts)))
    return found_texts


def test_nothing_that_others_say_speaks_of_the_command_line_over_http() -> None:
    rooms = ("types", "errors", "files", "workers", "video", "encoders", "methods", "index", "search")
    speaking = {text for text in texts(rooms) if OPTION.search(text)}
    assert len(speaking) > 10
    for text in speaking:
        said = without_commands(text)
        assert said
        assert not OPTION.search(said), text
        assert json.loads(bytes(problem_response(503, text).body))["detail"] == said


def test_the_service_itself_does_not_speak_of_the_command_line() -> None:
    # At its start it does: then a terminal is there.
    start = {text for text in texts(["service"]) if re.search("^--|with --port", text)}
    speaking = {text for text in texts(["service"]) if OPTION.search(text) or "vidsift serve" in text} - start
    assert not {text for text in speaking if "--new-token" not in text and "running there" not in text}


def test_what_is_left_out_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    text = "there is no index at /v; make one with: vidsift index FOLDER --index /v"
    assert without_commands(text) == (
        'there is no index at /v; update the index with POST /v1/index/jobs {"action": "update"}'
    )
    assert text in caplog.text


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_of_the_command_line_is_left_out(verb: str) -> None:
    assert "vidsift" not in without_commands(f"it is away; look for it with: vidsift {verb} FOLDER")


def test_prose_that_names_vidsift_stays() -> None:
    text = "the index was made by a newer vidsift than this one"
    assert without_commands(text) == text


def test_fields_are_pointed_at() -> None:
    error = RequestValidationError(
        [
            {"loc": ("body", "filter", "tags", 1), "msg": "too short", "type": "x", "input": ""},
            {"loc": ("query", "limit"), "msg": "too large", "type": "x", "input": 900},
            {"loc": ("body",), "msg": "Field required", "type": "missing", "input": None},
        ]
    )
    body = json.loads(bytes(_bad_request(cast("Any", None), error).body))
    assert body["type"] == "/problems#no-answer"
    assert body["errors"] == [
        {"detail": "filter.tags.1: too short; it is ''", "pointer": "#/filter/tags/1"},
        {"detail": "limit: too large; it is 900", "parameter": "limit"},
        {"detail": "the body: Field required", "pointer": "#"},
    ]
    wrong = json.loads(bytes(_bad_question(cast("Any", None), QueryError("skip is -1", field="skip")).body))
    assert wrong["errors"] == [{"detail": "skip is -1", "pointer": "#/page"}]
    assert "errors" not in json.loads(bytes(_bad_question(cast("Any", None), QueryError("no")).body))
