"""The work of an index job, in a process of its own: the service stays quick and outlives it."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from vidsift.service.error_messages import words_for

if TYPE_CHECKING:
    from vidsift.index.build import Progress
    from vidsift.index.decode_worker import SegmentLength
    from vidsift.methods.model import Model

__all__ = ["Action", "Controls", "Task", "Work", "run_apart", "run_here"]

Action: TypeAlias = Literal["add", "update", "remove", "retry"]

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.1
_TELL_SECONDS = 0.2


@dataclass(frozen=True)
class Task:
    """What a job does.

    Attributes:
        action: "add", "update", "retry" or "remove".
        folders: full paths.
        index: folder of the index.
        model: for an index that is not there yet; the default one when None.
        device: where to encode.
        every: look at all that the index was ever asked to hold; the folders are those of it that are there.
    """

    action: Action
    folders: tuple[str, ...]
    index: Path
    model: str | None = None
    device: str = "auto"
    every: bool = False


@dataclass(frozen=True, eq=False)
class Controls:
    """How a job is steered while it runs.

    Attributes:
        tell: takes how far it is, as the fields of a progress.
        stop: once set, the job keeps what is finished and ends.
        pause: while set, the job waits.
        kill: once set, its process is ended as it is.
    """

    tell: Callable[[Mapping[str, int]], None]
    stop: threading.Event = field(default_factory=threading.Event)
    pause: threading.Event = field(default_factory=threading.Event)
    kill: threading.Event = field(default_factory=threading.Event)


Work: TypeAlias = Callable[[Task, Controls], dict[str, Any]]
"""Does a task and returns its report as a dictionary; raises ValueError or OSError with words for people."""


def run_here(task: Task, controls: Controls, model: Model | None = None) -> dict[str, Any]:
    """Do a task in this process.

    Args:
        task: what to do.
        controls: steer it.
        model: loaded, for an index that was made with a model from memory.

    Returns:
        What was done, as :class:`~vidsift.index.build.Report` has it.
    """
    from vidsift.files.paths import path_key
    from vidsift.index.build import build_index, update_index
    from vidsift.index.maintenance import remove_paths
    from vidsift.index.manifest import MANIFEST
    from vidsift.index.storage import Store

    if task.action == "remove":
        return {"removed": remove_paths(task.index, task.folders)}
    store = Store.open(task.index) if (task.index / MANIFEST).exists() else None
    told = 0.0

    def tell(progress: Progress) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _TELL_SECONDS or progress.videos_done == progress.videos_total:
            told = now
            controls.tell(asdict(progress))

    options: dict[str, Any] = {
        "retry": task.action == "retry",
        "device": task.device,
        "on_progress": tell,
        "should_stop": controls.stop.is_set,
        "should_pause": controls.pause.is_set,
    }
    if task.every:
        return asdict(update_index(task.index, model, **options))
    if store is None:
        return asdict(build_index(task.folders, task.index, model or task.model, **options))
    length = cast("SegmentLength", store.manifest.segment)
    # A folder that is known keeps the patterns that it was asked for with.
    known = {path_key(one.path): one for one in store.indexed_folders()}
    places = [known.get(path_key(path), path) for path in task.folders]
    return asdict(build_index(places, task.index, model, segment=length, **options))


def run_apart(task: Task, controls: Controls) -> dict[str, Any]:
    """Do a task in a process of its own, which ends when this one does.

    Raises:
        ValueError: it could not be done; the message says why.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    # No daemon: it starts processes that decode.
    process = context.Process(target=_child, args=(theirs, task), name="vidsift-index")
    process.start()
    theirs.close()
    try:
        return _follow(ours, controls)
    except (EOFError, OSError) as error:
        process.join(5)
        raise ValueError(
            f"the process that indexed ended by itself (exit status {process.exitcode}); what it had "
            "finished is kept: start the job again"
        ) from error
    finally:
        ours.close()
        process.join(0 if controls.kill.is_set() else 5)
        if process.is_alive():
            process.kill()
            process.join()


def _follow(connection: Connection, controls: Controls) -> dict[str, Any]:
    """Pass wishes on and progress back, until the work ends."""
    said = (False, False)
    while not controls.kill.is_set():
        wish = (controls.stop.is_set(), controls.pause.is_set())
        if wish != said:
            connection.send(wish)
            said = wish
        if not connection.poll(_LOOK_SECONDS):
            continue
        kind, value = connection.recv()
        if kind == "progress":
            controls.tell(value)
        elif kind == "report":
            report: dict[str, Any] = value
            return report
        else:
            raise ValueError(value)
    raise ValueError("the service stopped and did not wait any longer; what was finished is kept")


def _child(connection: Connection, task: Task) -> None:
    """Do the task, and report to the other end."""
    # Ctrl-C reaches the whole group; the service decides what is finished first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(AttributeError, OSError):
        os.nice(5)  # who searches waits for no indexing

    def tell(progress: Mapping[str, int]) -> None:
        with contextlib.suppress(OSError):
            connection.send(("progress", dict(progress)))

    controls = Controls(tell)
    threading.Thread(target=_listen, args=(connection, controls), daemon=True).start()
    answer: tuple[str, Any]
    try:
        answer = ("report", run_here(task, controls))
    except (ValueError, OSError, ImportError) as error:
        answer = ("error", words_for(error))
    except Exception:
        _LOG.exception("a job failed")
        answer = ("error", "unexpected; the log of the service says where; please report it")
    with contextlib.suppress(OSError):
        connection.send(answer)


def _listen(connection: Connection, controls: Controls) -> None:
    """Take wishes; who has gone wants nothing more to be done."""
    try:
        while True:
            stop, pause = connection.recv()
            (controls.pause.set if pause else controls.pause.clear)()
            if stop:
                controls.stop.set()
    except (EOFError, OSError):
        controls.pause.clear()
        controls.stop.set()
