"""What a failing disk means, told from what each library that writes makes of it."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.files.full_disk import full_disk
from tests.methods import tiny

from vidsift.errors import NotSavedError
from vidsift.files.saving import disk_failure, saving


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
        with pytest.raises(type(error)) as found, saving("x", Path("y")):
            raise error
        assert found.value is error
        assert disk_failure(error) is None


def test_the_innermost_reason_is_said_once() -> None:
    with (
        pytest.raises(NotSavedError, match=r"^inner could not be written"),
        saving("outer", Path("y")),
        saving("inner", Path("z")),
    ):
        raise OSError(errno.ENOSPC, "full")
