"""Keep an index up to date while its folders change."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.errors import IndexFolderError
from vidsift.files.paths import absolute, under
from vidsift.index.build import Report, build_index
from vidsift.index.folders import Folder
from vidsift.index.manifest import MANIFEST, default_folder
from vidsift.index.opening import open_index
from vidsift.index.storage import Store

if TYPE_CHECKING:
    from vidsift.methods.model import Model

__all__ = ["watch_index"]

_QUIET_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 60.0


def watch_index(
    folders: Iterable[str | Path] = (),
    index: str | Path | None = None,
    model: str | Path | Model | None = None,
    *,
    stopped: threading.Event,
    on_report: Callable[[Report], None],
    on_trouble: Callable[[str], None] = lambda _: None,
    poll: bool = False,
    quiet_seconds: float = _QUIET_SECONDS,
    **options: Any,
) -> None:
    """Index folders, and again whenever something in them has changed and then rested for a moment.

    What is still being written when a minute is over is read in the next run.

    Args:
        folders: what to watch; what the index remembers when none is named.
        index: see :func:`~vidsift.index.build.build_index`.
        model: likewise; it is loaded once.
        stopped: once set, the run in hand is finished and the watching ends.
        on_report: told of every run.
        on_trouble: told why a run could not begin, such as another process that writes; it is tried again.
        poll: look again and again instead of asking the system, for network drives.
        quiet_seconds: for how long nothing may change before a run begins.
        options: further ones of :func:`~vidsift.index.build.build_index`.

    Raises:
        ImportError: the extra ``watch`` is not installed.
        IndexFolderError: as :func:`~vidsift.index.build.build_index`, or nothing was named to watch.
    """
    try:
        from watchfiles import watch
    except ImportError as missing:
        raise ImportError("watching needs the extra 'watch': pip install 'vidsift[watch]'") from missing

    folder = default_folder() if index is None else Path(index).expanduser()
    places = [Folder(absolute(one)) for one in folders] or _remembered(folder)
    segment = options.pop("segment", "auto")
    if (folder / MANIFEST).exists():
        segment = Store.open(folder).manifest.segment
    device = options.pop("device", "auto")
    _, loaded = open_index(folder, model, segment, device)

    told = ""

    def trouble(words: str) -> None:
        nonlocal told
        if words != told:
            told = words
            on_trouble(words)

    def run() -> bool:
        nonlocal told
        there = [one for one in places if os.path.exists(one.path)]  # noqa: PTH110 - never raises
        away = [one.path for one in places if one not in there]
        if away:
            trouble(f"{', '.join(away)}: not there now; what is known of it stays")
        if not there:
            return False
        try:
            report = build_index(
                there, folder, loaded, segment=segment, should_stop=stopped.is_set, **options
            )
        except (IndexFolderError, OSError) as error:
            trouble(str(error))
            return False
        told = told if away else ""
        on_report(report)
        return True

    inside = absolute(folder)
    # The first run begins when the system watches already: what changes meanwhile is not missed.
    pending, since = True, -float("inf")
    for changes in watch(
        *(one.path for one in places),
        watch_filter=lambda _change, path: not under(path, inside) and not _hidden(path, places),
        stop_event=stopped,
        rust_timeout=round(quiet_seconds * 1000),
        yield_on_timeout=True,
        force_polling=poll,
        raise_interrupt=False,
    ):
        if changes and not pending:
            pending, since = True, time.monotonic()
        rested = not changes or time.monotonic() - since > _LONGEST_WAIT_SECONDS
        if pending and rested and not stopped.is_set():
            pending, since = not run(), time.monotonic()


def _remembered(folder: Path) -> list[Folder]:
    places = Store.open(folder).indexed_folders()
    there = [one for one in places if Path(one.path).exists()]
    if not there:
        raise IndexFolderError(
            f"the index {folder} remembers no folder that is there; name one: vidsift index watch FOLDER"
        )
    return there


def _hidden(path: str, places: Iterable[Folder]) -> bool:
    """Whether a path below a place is hidden, such as what a browser writes while it downloads."""
    below = next((os.path.relpath(path, one.path) for one in places if under(path, one.path)), path)
    return any(part.startswith(".") and part not in (".", "..") for part in Path(below).parts)
