"""What a full or failing disk means, from what libraries make of it; the texts are those that were met."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.files.full_disk import full_disk
from tests.methods import tiny

from vidsift.cli import main as program
from vidsift.errors import IndexWriteError, NotSavedError, VideoReadError
from vidsift.files.disk_errors import disk_errno, is_disk_full, plain_words, refuse_unwritable, saving
from vidsift.index.tables import value_or_reason
from vidsift.index.writing import explained_writing

CARGO = (
    "/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/lance-file-13.0.0/src/writer/structural.rs"
)
FULL = "the disk is full (No space left on device)"


def lance(text: str) -> RuntimeError:
    return RuntimeError(f"lance error: LanceError(IO): {text}, {CARGO}:258:9")


FULL_DISKS: list[BaseException] = [
    lance("No space left on device (os error 28)"),
    lance("There is not enough space on the disk. (os error 112)"),
    lance("Disk quota exceeded (os error 122)"),
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/videos/a.mp4"),
    OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    type("SafetensorError", (Exception,), {"__module__": "safetensors"})(
        "Error while serializing: I/O error: No space left on device (os error 28)"
    ),
    type("OperationalError", (Exception,), {"__module__": "sqlite3"})("database or disk is full"),
]


def fail(error: BaseException) -> None:
    raise ValueError("could not be done") from error


@pytest.mark.parametrize("error", FULL_DISKS, ids=str)
def test_a_full_disk_is_known_whoever_meets_it(error: BaseException) -> None:
    assert is_disk_full(error)
    assert plain_words(error) == FULL
    with pytest.raises(IndexWriteError) as caught, explained_writing(Path("/videos/index")):
        fail(error)
    assert is_disk_full(caught.value)  # through what it was raised from
    assert FULL in str(caught.value)
    assert "make room" in str(caught.value)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            f"lance error: LanceError(IO): External: it is gone, {CARGO}:258:9",
            "External: it is gone",
        ),
        (
            "LanceError(Schema): no column x, C:\\Users\\ci\\.cargo\\src\\lance-1.0\\schema.rs:12:5",
            "no column x",
        ),
        (
            "[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534",
            "unexpected pos 576 vs 534",
        ),
        ("not a table\nTraceback:\n  more", "not a table"),
        ("Permission denied (os error 13)", "Permission denied"),
        ("[Errno 13] Permission denied: '/videos/index'", "Permission denied: '/videos/index'"),
        ("/videos/a.mp4: is damaged at 10:23", "/videos/a.mp4: is damaged at 10:23"),
        ("/videos/take.rs/clip:3 is gone", "/videos/take.rs/clip:3 is gone"),
        ("", "RuntimeError"),
    ],
)
def test_places_in_another_programs_source_are_left_out(said: str, words: str) -> None:
    assert plain_words(RuntimeError(said)) == words
    assert not is_disk_full(RuntimeError(said))


def test_names_of_files_are_no_full_disk() -> None:
    assert not is_disk_full(VideoReadError("/videos/disk is full.mp4", "is damaged"))
    assert not is_disk_full(ValueError("disk is full.mp4 is no model; name another"))
    assert not is_disk_full(FileNotFoundError(errno.ENOENT, "No such file", "/videos/disk is full.mp4"))


def test_what_damage_says_has_no_place_either() -> None:
    def read() -> None:
        raise lance("Object at location data/1.lance not found")

    assert value_or_reason(read) == "Object at location data/1.lance not found"


@pytest.mark.parametrize("error", FULL_DISKS, ids=str)
def test_the_command_line_never_calls_a_full_disk_its_fault(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(program, "app", lambda *_: fails)
    assert program._answer(lambda: program._run([])) == 2
    line = capsys.readouterr().err.strip()
    filename = getattr(error, "filename", None)
    named = f": {filename}" if filename else ""
    assert line == f"vidsift: {FULL}{named}; make room and run the same command again"


def _torch_file(folder: Path) -> None:
    with (folder / "a").open("wb") as file:
        torch.save({"a": torch.zeros(9999)}, file)


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda folder: (folder / "a").write_text("a" * 9999, encoding="utf-8"),
    "torch, file": _torch_file,
    "torch, path": lambda folder: torch.save({"a": torch.zeros(9999)}, folder / "a"),
    "safetensors": lambda folder: save_file({"a": torch.zeros(9999)}, folder / "a"),
    "tokenizers": lambda folder: tiny.tokenizer().save(folder),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line_whatever_meets_it(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(NotSavedError, match=rf"^the thing could not be written to {tmp_path}: .*, and do so$"),
        full_disk(100),
        saving("the thing", tmp_path, "do so"),
    ):
        WRITERS[name](tmp_path)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full (No space left on device); make room there"),
        (errno.EROFS, "Read-only file system; allow this user to write"),
        (errno.EFBIG, "lift the limit"),
        (errno.EIO, "look after the disk"),
    ],
)
def test_the_remedy_fits_the_failure(number: int, words: str) -> None:
    with pytest.raises(NotSavedError, match=re.escape(words)), saving("x", Path("y")):
        raise OSError(number, "it failed")


def test_what_is_no_failure_of_a_disk_stays_what_it_is() -> None:
    for error in (
        ValueError("no"),
        FileNotFoundError(errno.ENOENT, "no"),
        RuntimeError("no"),
        KeyError("no"),
    ):
        with pytest.raises(type(error)) as caught, saving("x", Path("y")):
            raise error
        assert caught.value is error
        assert disk_errno(error) is None


def test_what_numpy_could_not_write_is_a_full_disk(tmp_path: Path) -> None:
    file = tmp_path / "pixels.npy"
    said = r"pictures could not be written to .*; make room there"
    with pytest.raises(NotSavedError, match=said), full_disk(5000), saving("pictures", file):
        np.save(file, np.zeros(10_000))


def test_a_place_for_a_result_is_tried_before_the_work(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path / "new" / "folder" / "report.json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(NotSavedError, match=r"nothing can be written to .*file is no folder; name another"):
        refuse_unwritable(tmp_path / "file" / "report.json")


def test_the_innermost_reason_is_said_once() -> None:
    with (
        pytest.raises(NotSavedError, match=r"^inner could not be written"),
        saving("outer", Path("y")),
        saving("inner", Path("z")),
    ):
        raise OSError(errno.ENOSPC, "full")
