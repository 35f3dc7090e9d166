"""What the parts of a service share: one object, made by the application and handed to each of them."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vidsift.service.caches import BytesCache, Kept
from vidsift.service.files import Checked
from vidsift.service.limits import Slots

if TYPE_CHECKING:
    from vidsift.service.decoding import Decoders
    from vidsift.service.engine import Engine
    from vidsift.service.jobs import Jobs
    from vidsift.service.limits import Limits
    from vidsift.service.live_index import LiveIndex, Snapshot
    from vidsift.service.metrics import Metrics
    from vidsift.types import Frames

__all__ = ["Service", "Upload"]

_START_SECONDS = 10.0
"""Who asks before the index has been read waits so long at the door, and is then told to come back."""


@dataclass(frozen=True, eq=False)
class Upload:
    """What is kept of an uploaded file: what the model looks at, never the file.

    Attributes:
        kind: "image" or "video".
        frames: cropped pictures with their times.
    """

    kind: str
    frames: Frames


@dataclass(eq=False)
class Service:
    """Everything that answers are made from.

    Attributes:
        live: the index, whatever is added to it.
        engine: asks the model.
        measuring: measures what questions are calibrated by, while the engine answers others.
        jobs: that change the index.
        decoders: processes for thumbnails.
        readers: the process for uploads.
        cutter: the process that cuts clips.
        metrics: counts what is done.
        limits: how much one may ask for.
        read_only: tags and jobs are refused.
        stopping: set when the service begins to stop; streams end by it.
    """

    live: LiveIndex
    engine: Engine
    measuring: Engine
    jobs: Jobs
    decoders: Decoders
    readers: Decoders
    cutter: Decoders
    metrics: Metrics
    limits: Limits
    read_only: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Make what is kept in memory, and the folder for files that live for one request."""
        limits = self.limits
        self.checked = Checked()
        self.thumbnails = BytesCache(limits.thumbnails_bytes)
        self.uploads: Kept[Upload] = Kept(limits.uploads_kept, limits.upload_seconds)
        self.upload_slots = Slots(limits.uploads_at_once, "uploads")
        self.thumbnail_slots = Slots(limits.thumbnails_waiting, "thumbnails")
        self.clip_slots = Slots(limits.clips_at_once, "clips")
        self.stream_slots = Slots(limits.streams, "progress streams")
        self._folder = tempfile.TemporaryDirectory(prefix="vidsift-serve-", ignore_cleanup_errors=True)

    def start(self) -> None:
        """Begin to watch the index."""
        self.live.start(_START_SECONDS)

    def snapshot(self) -> Snapshot:
        """The index at its newest version; raises as :attr:`LiveIndex.current`."""
        return self.live.current

    def close(self) -> None:
        """Finish what runs, and leave nothing behind."""
        self.stopping.set()
        self.jobs.close()
        self.live.close()
        self.engine.close()
        self.measuring.close()
        for one in (self.decoders, self.readers, self.cutter):
            one.close(self.limits.stop_seconds)
        self._folder.cleanup()

    def kill(self) -> None:
        """End what runs as it is: what a job has finished is kept, all else is lost."""
        self.stopping.set()
        self.jobs.kill()
        for one in (self.decoders, self.readers, self.cutter):
            one.kill()

    def temporary(self, suffix: str) -> Path:
        """Return the path of a new empty file; whoever asks removes it."""
        with tempfile.NamedTemporaryFile(dir=self._folder.name, suffix=suffix, delete=False) as file:
            return Path(file.name)
