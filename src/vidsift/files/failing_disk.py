"""What an error of another program means for the person whose disk it is.

Whoever writes files meets such errors. Libraries report a full disk each in its own way (an errno, a
sentence, a place in their own source); who runs this program can use only the first.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from vidsift.errors import VidsiftError

__all__ = ["NO_ROOM", "full_disk", "plain_words"]

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a system says where a disk is full."""

_WINDOWS_NO_ROOM = frozenset({39, 112})
_SAID_OF_NO_ROOM = re.compile(
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


def full_disk(error: BaseException) -> bool:
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
    if full_disk(error):
        return _FULL
    lines = str(error).strip().splitlines()
    text = _PLACE.sub("", _PREFIX.sub("", lines[0])) if lines else ""
    return _SYSTEM_NUMBER.sub("", text).strip(" ,;:.")[:_LONGEST] or type(error).__name__


def _says_full(error: BaseException) -> bool:
    number, windows = getattr(error, "errno", None), getattr(error, "winerror", None)
    if isinstance(number, int) or windows is not None:
        return number in NO_ROOM or windows in _WINDOWS_NO_ROOM
    # Words of ours name files, which may be called anything, or say already what to do.
    ours = isinstance(error, VidsiftError) or type(error) is ValueError
    return not ours and _SAID_OF_NO_ROOM.search(str(error)) is not None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it was raised from; no circle holds it up."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__
