"""A disk that takes no more is one line for the person whose disk it is, whichever library met it."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidsift.errors import NotSavedError
from vidsift.files.failing_disk import NO_ROOM, full_disk, plain_words

__all__ = ["disk_failure", "saving"]

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# What only a disk can be the cause of; others (a path that is no folder) say more by themselves.
_DISK = NO_ROOM | _FORBIDDEN | {errno.EFBIG, errno.EIO}
# Libraries in Rust give the number in their words alone: safetensors, tokenizers, Lance. On Windows it is
# that of the system. The second form is that of safetensors before 0.6.
_RUST = re.compile(r"\(os error (\d+)\)|\bOs \{ code: (\d+)")
_WINDOWS = {5: errno.EACCES, 19: errno.EROFS, 223: errno.EFBIG}
# torch.save, where the error of the file below did not come through.
_TORCH = re.compile(r"PytorchStreamWriter failed|inline_container\.cc.*unexpected pos|iostream error")


def disk_failure(error: BaseException) -> int | None:
    """Return the number (``errno``) of the failure of a disk that an error comes from, if it does.

    Looks through what the error was raised from and during, for the number in words, and for what
    ``torch.save`` makes of it, which is a full disk as a rule (``errno.ENOSPC``).
    """
    seen: list[BaseException] = []
    one: BaseException | None = error
    torch_failed = False
    while one is not None and one not in seen:
        seen.append(one)
        if full_disk(one):
            return errno.ENOSPC
        if isinstance(one, OSError) and one.errno in _DISK:
            return one.errno
        text = str(one)
        if found := _RUST.search(text):
            said = int(found[1] or found[2])
            number = _WINDOWS.get(said, 0) if sys.platform == "win32" else said
            if number in _DISK:
                return number
        torch_failed = torch_failed or _TORCH.search(text) is not None
        one = one.__cause__ or one.__context__
    return errno.ENOSPC if torch_failed else None


@contextmanager
def saving(what: str, place: Path, after: str = "run the same command again") -> Iterator[None]:
    """Say in plain words what a failing disk means for what is written inside.

    Args:
        what: is written, for the message: "the checkpoint of step 200".
        place: the file or folder that is written.
        after: what to do once the disk takes more.

    Raises:
        NotSavedError: the disk is full, failing, or may not be written to.
    """
    try:
        yield
    except NotSavedError:
        raise
    except Exception as error:  # Rust's and torch's own kinds too
        number = disk_failure(error)
        if number is None:
            raise
        reason = plain_words(OSError(number, os.strerror(number)))
        raise NotSavedError(
            f"{what} could not be written to {place}: {reason}; {_remedy(number)}, and {after}"
        ) from error


def _remedy(number: int) -> str:
    if number in NO_ROOM:
        return "make room there or name a folder on another disk"
    if number in _FORBIDDEN:
        return "allow this user to write there or name another folder"
    if number == errno.EFBIG:
        return "lift the limit on the size of files (ulimit -f) or name a folder on another disk"
    return "look after the disk or name a folder on another one"
