"""One process at a time writes to the folder of a run or of a grid."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vidsift.errors import FolderBusyError, LockHeldError
from vidsift.files.locks import hold_lock

__all__ = ["LOCK", "locked_folder"]

LOCK = "running.lock"

# What file systems answer that know no locks, as some of clusters do.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
_log = logging.getLogger(__name__)


@contextmanager
def locked_folder(folder: Path, kind: type[FolderBusyError] = FolderBusyError) -> Iterator[None]:
    """Hold the folder of a run or of a grid: two that write there would write over each other.

    The hold ends with the process, however it ends; the lock's file stays. Where the file system knows no
    locks, a warning says so.

    Args:
        folder: made where absent.
        kind: of the error.

    Raises:
        FolderBusyError: another process holds it.
        NotADirectoryError: a file stands there, or above.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(
            f"{folder} cannot be made a folder: it, or what it stands in, is a file; name another one with "
            "--output"
        ) from error
    # The lock may be had or not, but the block runs once either way.
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(folder / LOCK))
        except LockHeldError as taken:
            by = "another process" if taken.process is None else f"process {taken.process}"
            raise kind(
                f"{by} trains or runs a grid in {folder}; wait until it has finished, stop it, or name "
                "another folder with --output"
            ) from taken
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _log.warning("the disk of %s knows no locks: let no other process train there", folder)
        yield
