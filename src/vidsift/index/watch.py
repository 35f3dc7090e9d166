"""Keep an index up to date while its folders change."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from vidsift.errors import IndexFolderError
from vidsift.files.paths import absolute, under
from vidsift.index.build import IndexingOptions, Report, build_index
from vidsift.index.compatibility import open_with_model
from vidsift.index.decode_worker import SegmentLength
from vidsift.index.folders import IndexedFolder
from vidsift.index.manifest import MANIFEST, index_folder
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
    segment: SegmentLength = "auto",
    **options: Unpack[IndexingOptions],
) -> None:
    """Index folders, and again whenever something in them has changed and then rested for a moment.

    What is still being written when a minute is over is read in the next run.

    Args:
        folders: what to watch; those of the index when none is named.
        index: see :func:`~vidsift.index.build.build_index`.
        model: likewise; it is loaded once.
        stopped: once set, the run in hand is finished and the watching ends.
        on_report: called after every run.
        on_trouble: called with why a run could not begin, such as another process that writes; it is tried
            again.
        poll: look again and again instead of asking the system, for network drives.
        quiet_seconds: for how long nothing may change before a run begins.
        segment: of a new index, see :func:`~vidsift.index.build.build_index`.
        options: how runs work; without ``should_stop``, which is ``stopped``.

    Raises:
        ImportError: the extra ``watch`` is not installed.
        IndexFolderError: as :func:`~vidsift.index.build.build_index`, or nothing was named to watch.
    """
    try:
        from watchfiles import watch
    except ImportError as missing:
        raise ImportError("watching needs the extra 'watch': pip install 'vidsift[watch]'") from missing

    folder = index_folder(index)
    places = [IndexedFolder(absolute(path)) for path in folders] or _existing_folders(folder)
    if (folder / MANIFEST).exists():
        segment = Store.open(folder).manifest.segment
    _, loaded = open_with_model(folder, model, segment, options.get("device", "auto"))
    options["should_stop"] = stopped.is_set
    runs = _Runs(places, folder, loaded, segment, options, on_report, on_trouble)
    runs.follow(
        watch(
            *(place.path for place in places),
            watch_filter=runs.concerns,
            stop_event=stopped,
            rust_timeout=round(quiet_seconds * 1000),
            yield_on_timeout=True,  # an empty set then says that nothing changed for so long
            force_polling=poll,
            raise_interrupt=False,
        )
    )


class _Runs:
    """Indexes the same folders again and again, and says each trouble once until it has passed."""

    def __init__(  # noqa: PLR0917 - what a watch is made of
        self,
        places: Sequence[IndexedFolder],
        index: Path,
        model: Model,
        segment: SegmentLength,
        options: IndexingOptions,
        on_report: Callable[[Report], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._places = places
        self._index = index
        self._model = model
        self._segment = segment
        self._options = options
        self._on_report = on_report
        self._on_trouble = on_trouble
        self._last_trouble = ""

    def concerns(self, _change: object, path: str) -> bool:
        """Whether a change is one of a video that may be, and not of the index itself."""
        return not under(path, absolute(self._index)) and not _hidden(path, self._places)

    def follow(self, changes_by_pause: Iterable[Collection[object]]) -> None:
        """Run whenever changes have come to rest, or do not for a minute.

        Args:
            changes_by_pause: what changed until nothing did for a moment; empty where nothing had.
        """
        # The first run begins when the system watches already: what changes meanwhile is not missed.
        pending, since = True, -float("inf")
        for changes in changes_by_pause:
            if changes and not pending:
                pending, since = True, time.monotonic()
            rested = not changes or time.monotonic() - since > _LONGEST_WAIT_SECONDS
            if pending and rested and not self._options["should_stop"]():
                pending, since = not self.run(), time.monotonic()

    def run(self) -> bool:
        """Index what is there; whether that could be done."""
        there = [place for place in self._places if os.path.exists(place.path)]  # noqa: PTH110 - never raises
        away = [place.path for place in self._places if place not in there]
        if away:
            self._say(f"{', '.join(away)}: not there now; what is known of it stays")
        if not there:
            return False
        try:
            report = build_index(there, self._index, self._model, segment=self._segment, **self._options)
        except (IndexFolderError, OSError) as error:
            self._say(str(error))
            return False
        if not away:
            self._last_trouble = ""
        self._on_report(report)
        return True

    def _say(self, trouble: str) -> None:
        if trouble != self._last_trouble:
            self._last_trouble = trouble
            self._on_trouble(trouble)


def _existing_folders(index: Path) -> list[IndexedFolder]:
    folders = Store.open(index).indexed_folders()
    there = [folder for folder in folders if Path(folder.path).exists()]
    if not there:
        raise IndexFolderError(
            f"none of the folders of the index {index} exists now; name one: vidsift index watch FOLDER"
        )
    return there


def _hidden(path: str, places: Iterable[IndexedFolder]) -> bool:
    """Whether a path below a place is hidden, such as what a browser writes while it downloads."""
    below = next((os.path.relpath(path, place.path) for place in places if under(path, place.path)), path)
    return any(part.startswith(".") and part not in (".", "..") for part in Path(below).parts)
