"""What a full or failing disk means for the person whose disk it is, in one line.

Libraries report a full disk each in its own way (an errno, a sentence, a place in their own source); who runs
this program can use only the first.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidsift.errors import NotSavedError, VidsiftError

__all__ = ["disk_errno", "is_disk_full", "plain_words", "refuse_unwritable", "saving"]

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
# ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL
_WINDOWS_NO_ROOM = frozenset({39, 112})
_NO_ROOM_WORDS = re.compile(
    r"no space left on device|not enough space on the disk|dis[ck] is full|dis[ck] full"
    r"|dis[ck] quota exceeded|\(os error (?:28|112|122)\)",
    re.IGNORECASE,
)
_FULL = "the disk is full (No space left on device)"
_LONGEST = 200

# "lance error: LanceError(IO): ", "[enforce fail at inline_container.cc:672] . ", "RuntimeError: "
_PREFIX = re.compile(r"^(?:(?:lance error|[A-Za-z]*Error(?:\(\w+\))?): *|\[[^\]]*\.\w{1,4}:\d+\][ .]*)+")
# ", /root/.cargo/registry/src/x/lance-file-13.0.0/src/writer.rs:258:9", " at C:\src\file.cpp:12"
_PLACE = re.compile(
    r"(?:,? *\b(?:at|in))?[,;]? *\(?(?:[A-Za-z]:)?[\w./\\@+~-]*\w"
    r"\.(?:rs|cc|cpp|cxx|c|h|hpp|cu|go|pyx?):\d+(?::\d+)?\)?"
)
_SYSTEM_NUMBER = re.compile(r" *(?:\(os error \d+\)|\[(?:Errno|WinError) \d+\])")

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# What only a disk can be the cause of; others (a path that is no folder) say more by themselves.
_DISK = _NO_ROOM | _FORBIDDEN | {errno.EFBIG, errno.EIO}
# Libraries in Rust give the number in their words alone: safetensors, tokenizers, Lance. On Windows it is
# that of the system. The second form is that of safetensors before 0.6.
_RUST = re.compile(r"\(os error (\d+)\)|\bOs \{ code: (\d+)")
# ERROR_ACCESS_DENIED, ERROR_WRITE_PROTECT, ERROR_FILE_TOO_LARGE
_WINDOWS = {5: errno.EACCES, 19: errno.EROFS, 223: errno.EFBIG}
# torch.save and numpy.save, where the error of the file below did not come through.
_CUT_SHORT = re.compile(
    r"PytorchStreamWriter failed|inline_container\.cc.*unexpected pos|iostream error"
    r"|\d+ requested and \d+ written"
)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that it comes from, is that of a disk or a quota that is full."""
    return any(map(_says_full, _chain(error)))


def plain_words(error: BaseException) -> str:
    """What an error says, in one line, without where in another program's source it was noticed.

    Args:
        error: of any library.

    Example:
        >>> plain_words(RuntimeError("lance error: LanceError(IO): not there, /root/.cargo/io.rs:25:9"))
        'not there'
        >>> plain_words(OSError(28, "No space left on device"))
        'the disk is full (No space left on device)'
    """
    if is_disk_full(error):
        return _FULL
    lines = str(error).strip().splitlines()
    text = _PLACE.sub("", _PREFIX.sub("", lines[0])) if lines else ""
    return _SYSTEM_NUMBER.sub("", text).strip(" ,;:.")[:_LONGEST] or type(error).__name__


def disk_errno(error: BaseException) -> int | None:
    """Return the number (``errno``) of the failure of a disk that an error comes from, if it does.

    Looks through what the error was raised from and during, for the number in words, and for what
    ``torch.save`` and ``numpy.save`` make of it, which is a full disk as a rule (``errno.ENOSPC``).
    """
    passed: list[BaseException] = []
    cause: BaseException | None = error
    cut_short = False
    # Unlike is_disk_full also by context: a library that wraps an error in its own often drops the cause.
    while cause is not None and cause not in passed:
        passed.append(cause)
        if is_disk_full(cause):
            return errno.ENOSPC
        if isinstance(cause, OSError) and cause.errno in _DISK:
            return cause.errno
        text = str(cause)
        if rust := _RUST.search(text):
            number = int(rust[1] or rust[2])
            if sys.platform == "win32":
                number = _WINDOWS.get(number, 0)
            if number in _DISK:
                return number
        cut_short = cut_short or _CUT_SHORT.search(text) is not None
        cause = cause.__cause__ or cause.__context__
    return errno.ENOSPC if cut_short else None


def refuse_unwritable(place: Path) -> None:
    """Refuse a place for a result before the work that it is the result of.

    Args:
        place: a file or folder to be; it, and the folders above it, need not be there.

    Raises:
        NotSavedError: nothing can be written there: no folder, or not for this user.
    """
    above = next(folder for folder in place.absolute().parents if folder.exists())
    try:
        if not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{above} is no folder")
        # Tried and not asked: rights, read-only disks and what is no disk at all.
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise NotSavedError(
            f"nothing can be written to {place}: {error.strerror or error}; name another place"
        ) from error


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
        number = disk_errno(error)
        if number is None:
            raise
        reason = plain_words(OSError(number, os.strerror(number)))
        raise NotSavedError(
            f"{what} could not be written to {place}: {reason}; {_remedy(number)}, and {after}"
        ) from error


def _says_full(error: BaseException) -> bool:
    number, windows = getattr(error, "errno", None), getattr(error, "winerror", None)
    if isinstance(number, int) or windows is not None:
        return number in _NO_ROOM or windows in _WINDOWS_NO_ROOM
    # Words of ours name files, which may be called anything, or say already what to do.
    is_ours = isinstance(error, VidsiftError) or type(error) is ValueError
    return not is_ours and _NO_ROOM_WORDS.search(str(error)) is not None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it was raised from; no circle holds it up."""
    passed: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in passed:
        passed.add(id(cause))
        yield cause
        cause = cause.__cause__


def _remedy(number: int) -> str:
    if number in _NO_ROOM:
        return "make room there or name a folder on another disk"
    if number in _FORBIDDEN:
        return "allow this user to write there or name another folder"
    if number == errno.EFBIG:
        return "lift the limit on the size of files (ulimit -f) or name a folder on another disk"
    return "look after the disk or name a folder on another one"
