"""Errors as those who ask a service read them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vidsift.errors import IndexFolderError, IndexWriteError
from vidsift.index.writing import explained_writing
from vidsift.service.problems import error_message, service_problem
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
        "the index /i is damaged; the log of the service says how: run vidsift index check --repair"
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
