"""What the routes of a service share: one object, made by the application, with its caches and places.

A route gets it as a parameter of type :data:`CurrentService`.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

import fastapi
from fastapi import Depends, Request

from vidsift.index.decode_worker import content_id
from vidsift.service.limits import Slots

if TYPE_CHECKING:
    from vidsift.service.engine import Engine
    from vidsift.service.jobs import Jobs
    from vidsift.service.limits import ServiceLimits
    from vidsift.service.live_index import LiveIndex, Snapshot
    from vidsift.service.monitoring import Metrics
    from vidsift.types import Frames
    from vidsift.workers.async_sandbox import AsyncSandbox

__all__ = ["BytesCache", "ContentIdCache", "CurrentService", "ExpiringStore", "Service", "Upload", "VideoId"]

T = TypeVar("T")

_CONTENT_IDS = 4096
_START_SECONDS = 10.0
"""How long the first requests wait for the index to be read, before they are asked to come back."""


class BytesCache:
    """Byte strings, the most recently used ones, up to a total size.

    Args:
        capacity_bytes: of all of them together.
    """

    def __init__(self, capacity_bytes: int) -> None:
        """Start empty."""
        self._capacity_bytes = capacity_bytes
        self._size_bytes = 0
        self._items: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        """Return what was put under a key; None where it is not, or not any more."""
        with self._lock:
            value = self._items.get(key)
            if value is not None:
                self._items.move_to_end(key)
            return value

    def put(self, key: Hashable, value: bytes) -> None:
        """Add a byte string, and drop the least recently used ones for it."""
        with self._lock:
            before = self._items.pop(key, None)
            self._size_bytes += len(value) - (0 if before is None else len(before))
            self._items[key] = value
            while self._size_bytes > self._capacity_bytes:
                self._size_bytes -= len(self._items.popitem(last=False)[1])


class ExpiringStore(Generic[T]):
    """Values under keys that nobody can guess, each for so long after its last use.

    Args:
        capacity: how many values; one more drops the least recently used one.
        seconds: after its last use a value is dropped.
    """

    def __init__(self, capacity: int, seconds: float) -> None:
        """Start empty."""
        self._capacity = capacity
        self.seconds = seconds
        self._items: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, value: T) -> str:
        """Add a value; return its key."""
        key = secrets.token_hex(16)
        with self._lock:
            self._drop_expired()
            while len(self._items) >= self._capacity:
                self._items.popitem(last=False)
            self._items[key] = (time.monotonic(), value)
        return key

    def get(self, key: str) -> T | None:
        """Return the value, whose time begins anew; None where it is not, or not any more."""
        with self._lock:
            self._drop_expired()
            if key not in self._items:
                return None
            value = self._items[key][1]
            self._items[key] = (time.monotonic(), value)
            self._items.move_to_end(key)
            return value

    def _drop_expired(self) -> None:
        # Every use moves an item to the end: the first has been idle for longest.
        expired_before = time.monotonic() - self.seconds
        while self._items and next(iter(self._items.values()))[0] < expired_before:
            self._items.popitem(last=False)


class ContentIdCache:
    """Identities of the content of files; a file that has not changed is not read again."""

    def __init__(self) -> None:
        """Begin with none."""
        self._ids: OrderedDict[tuple[int, ...], str] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, descriptor: int) -> str:
        """Identity of the content of an open file, as the index makes it."""
        status = os.fstat(descriptor)
        # st_ctime_ns moves with every write; st_mtime_ns alone could be set back.
        key = (status.st_dev, status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size)
        with self._lock:
            identity = self._ids.get(key)
        if identity is None:
            identity = content_id(os.dup(descriptor))
            with self._lock:
                self._ids[key] = identity
                while len(self._ids) > _CONTENT_IDS:
                    self._ids.popitem(last=False)
        return identity


@dataclass(frozen=True, eq=False)
class Upload:
    """What stays of an uploaded file: what the model looks at, never the file.

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
        live_index: the index, whatever is added to it.
        engine: asks the model.
        calibration_engine: measures what confidences of sentences in order are calibrated by, which takes
            seconds, while the engine answers others.
        jobs: that change the index.
        thumbnail_decoders: processes for pictures of indexed videos.
        upload_decoder: the process for uploads.
        clip_cutter: the process that cuts clips.
        metrics: counts what is done.
        limits: how much one may ask for.
        read_only: tags, jobs, and what people save are refused.
        folder_chooser: the folders of the machine may be listed.
        stopping: set when the service begins to stop; streams end by it.
    """

    live_index: LiveIndex
    engine: Engine
    calibration_engine: Engine
    jobs: Jobs
    thumbnail_decoders: AsyncSandbox
    upload_decoder: AsyncSandbox
    clip_cutter: AsyncSandbox
    metrics: Metrics
    limits: ServiceLimits
    read_only: bool = False
    folder_chooser: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Make what is held in memory, and the folder for files that live for one request."""
        limits = self.limits
        self.content_ids = ContentIdCache()
        self.thumbnails = BytesCache(limits.thumbnails_bytes)
        self.uploads: ExpiringStore[Upload] = ExpiringStore(limits.uploads_held, limits.upload_seconds)
        self.upload_slots = Slots(limits.uploads_at_once, "uploads")
        self.thumbnail_slots = Slots(limits.thumbnails_waiting, "thumbnails")
        self.clip_slots = Slots(limits.clips_at_once, "clips")
        self.stream_slots = Slots(limits.streams, "progress streams")
        self._folder = tempfile.TemporaryDirectory(prefix="vidsift-serve-", ignore_cleanup_errors=True)

    def start(self) -> None:
        """Begin to watch the index."""
        self.live_index.start(_START_SECONDS)
        if not self.read_only:
            self.jobs.start()

    def snapshot(self) -> Snapshot:
        """The index at its newest version; raises as :attr:`LiveIndex.current`."""
        return self.live_index.current

    def close(self) -> None:
        """Finish what runs, and leave nothing behind."""
        self.stopping.set()
        # Jobs first: they take longest, and the rest can answer until they have ended.
        self.jobs.close()
        self.live_index.close()
        self.engine.close()
        self.calibration_engine.close()
        for decoders in self._decoders:
            decoders.close(self.limits.stop_seconds)
        self._folder.cleanup()

    def kill(self) -> None:
        """End what runs as it is: what a job has finished is in the index, all else is lost."""
        self.stopping.set()
        self.jobs.kill()
        for decoders in self._decoders:
            decoders.kill()

    def temporary_file(self, suffix: str) -> Path:
        """Return the path of a new empty file; the caller removes it."""
        # Closed again at once: other processes write it, which Windows allows for closed files only.
        with tempfile.NamedTemporaryFile(dir=self._folder.name, suffix=suffix, delete=False) as file:
            return Path(file.name)

    @property
    def _decoders(self) -> tuple[AsyncSandbox, ...]:
        return self.thumbnail_decoders, self.upload_decoder, self.clip_cutter


async def _service_of(request: Request) -> Service:
    # A plain function would be called in a thread, one more for every request.
    service: Service = request.app.state.service
    return service


VideoId = Annotated[
    str,
    fastapi.Path(
        pattern="^[0-9a-f]{32}$", description="Identity of the file's content: the video_id of a hit."
    ),
]
"""Type of a route's parameter for the video that its path names."""

CurrentService = Annotated[Service, Depends(_service_of)]
"""Type of a route's parameter for the service that answers."""
