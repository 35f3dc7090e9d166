"""The index while it is served: it may grow, shrink or be made anew; a question sees one version of it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from vidsift.errors import IndexFolderError
from vidsift.index.library import Library, Video
from vidsift.index.versions import VersionWatcher
from vidsift.search.reader import ask_again
from vidsift.search.searcher import Index
from vidsift.service.problems import ProblemError

__all__ = ["LiveIndex", "Snapshot"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_REST = 3.0
"""After it has read a new version the thread rests so many times as long: an index that grows all the time
takes a quarter of a processor."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """An index at one version; who holds it sees no later change.

    Attributes:
        index: open; None where nothing has been indexed yet.
        library: what lies in it.
        versions: what changes whenever the index does; the first part when it is made anew.
    """

    index: Index | None = None
    library: Library = field(default_factory=Library)
    versions: tuple[object, ...] = ()

    @cached_property
    def suggestions(self) -> list[str]:
        """Questions that it answers well; who asks first waits until they are found."""
        return [] if self.index is None else self.index.suggestions()

    def opened(self) -> Index:
        """Return the index.

        Raises:
            ProblemError: 409, nothing has been indexed yet.
        """
        if self.index is None:
            raise ProblemError(409, "nothing has been indexed yet; add a folder of videos first")
        return self.index

    def video(self, video_id: str) -> Video:
        """Look a video up.

        Raises:
            ProblemError: 404, the index has none of that identity.
        """
        video = self.library.videos.get(video_id)
        if video is None:
            raise ProblemError(
                404,
                f"no video of the index has the video_id {video_id!r}; GET /v1/videos lists those it has",
            )
        return video

    def video_of_segment(self, segment_id: str) -> Video:
        """Look up the video of a segment.

        Raises:
            ProblemError: 404, the index has no segment of that identity.
        """
        video = self.library.owners.get(segment_id)
        if video is None:
            raise ProblemError(
                404,
                f"no segment of the index has the segment_id {segment_id!r}; search again for those it has",
            )
        return video


class LiveIndex:
    """Keeps the newest version of an index at hand, read in the background.

    Args:
        folder: of the index, which need not exist yet.
        index: the same, open already.
        device: where to encode and score.
        poll_seconds: between two looks at whether it has changed; a look costs milliseconds.
    """

    def __init__(
        self,
        folder: Path,
        index: Index | None = None,
        *,
        device: str = "auto",
        poll_seconds: float = 1.0,
    ) -> None:
        """See the class; nothing is read yet."""
        self.folder = folder
        self._opened = index
        self._device = device
        self._poll_seconds = poll_seconds
        self._snapshot: Snapshot | None = None
        self._reading = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._watcher = VersionWatcher(folder)
        self._logged = ""
        self._error: Exception | None = None
        self._looked = threading.Condition()

    @property
    def current(self) -> Snapshot:
        """The newest version that has been read; nobody waits for the reading of one.

        Raises:
            ProblemError: 503, the first one is still being read.
            IndexFolderError: the index or its model cannot be read, and never could.
        """
        snapshot, error = self._snapshot, self._error  # the thread that reads may change both meanwhile
        if snapshot is not None:
            return snapshot
        if error is not None:
            # Another object each time: a traceback grows with every raise.
            raise IndexFolderError(str(error)) from error.__cause__
        raise ProblemError(503, "the index is being read; ask again in a moment", {"retry-after": "2"})

    def run(self, function: Callable[[Snapshot], T], first: Snapshot | None = None) -> T:
        """Call a function with a version, and where that was cleaned up meanwhile, with the one in its place.

        Args:
            function: reads what it needs from the version that it is given.
            first: the version to begin with; the newest that has been read when None.

        Raises:
            ProblemError, IndexFolderError: as :attr:`current`, or as the function raises them.
        """
        version = first or self.current

        def refresh() -> None:
            nonlocal version
            self.catch_up()
            version = self.current

        return ask_again(lambda: function(version), refresh)

    def start(self, patience_seconds: float = 0.0) -> None:
        """Begin to read and to watch.

        Args:
            patience_seconds: to wait at most until the first version has been read.
        """
        self._thread = threading.Thread(target=self._watch, name="vidsift-watch", daemon=True)
        self._thread.start()
        with self._looked:
            self._looked.wait_for(lambda: self._snapshot or self._error, patience_seconds)

    def wait_for_change(self, before: Snapshot, seconds: float) -> Snapshot:
        """Return a newer version than one, or that one if none comes in time."""
        self.look_now()
        with self._looked:
            self._looked.wait_for(lambda: self._snapshot is not before, seconds)
        return self.current

    def close(self) -> None:
        """Watch no more."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def look_now(self) -> None:
        """Look at once whether there is a new version; it is read in the background."""
        self._wake.set()

    def catch_up(self) -> None:
        """Read a new version if there is one, and return when it is the current one.

        Raises:
            IndexFolderError: it cannot be read; the current one stays.
        """
        # A second caller waits here, and then finds the version read.
        with self._reading:
            before = self._snapshot
            versions = self._watcher.versions()
            if before is not None and versions == before.versions:
                return
            if not versions:
                self._snapshot = Snapshot()
                return
            self._snapshot = self._read(before, versions)

    def _read(self, before: Snapshot | None, versions: tuple[object, ...]) -> Snapshot:
        if before is None and self._opened is not None:
            # It may have been opened a while ago.
            index = self._opened.reopened()
        elif before is not None and before.index is not None and before.versions[0] == versions[0]:
            # Of the same making, so of the same model, which stays loaded.
            index = before.index.reopened()
        else:
            index = Index.open(self.folder, device=self._device)
        # Who holds a version sees no later change: see run() for what becomes of one that is cleaned up.
        index.auto_refresh = False
        # Both are read when they are first used: that is to be here, and not in somebody's search.
        len(index.gallery)
        _ = index.calibration
        return Snapshot(index, Library.read(index.store), versions)

    def _watch(self) -> None:
        _lower_priority()
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                self.catch_up()
                self._logged, self._error = "", None
            except Exception as error:  # whatever it is: the next version may be well again
                self._error = error
                if str(error) != self._logged:  # not once a second
                    self._logged = str(error)
                    _LOG.warning("the index %s cannot be read now", self.folder, exc_info=error)
            with self._looked:  # also after an error: start() waits for either
                self._looked.notify_all()
            self._wake.wait(max(self._poll_seconds, _REST * (time.monotonic() - began)))
            self._wake.clear()


def _lower_priority() -> None:
    """Let questions go before this thread, where a system gives each thread its own priority."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
