"""What an index job does, in a process of its own: the service stays quick, and outlives it."""

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
from typing import TYPE_CHECKING, Any, TypeAlias

from vidsift.service.problems import error_message
from vidsift.service.schemas_library import Action

if TYPE_CHECKING:
    from vidsift.index.build import Progress
    from vidsift.methods.model import Model

__all__ = ["JobControls", "JobRunner", "JobSpec", "run_in_process", "run_job"]

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.1
_PROGRESS_SECONDS = 0.2
_END_SECONDS = 5.0
_NICE = 5  # of the process that indexes


@dataclass(frozen=True)
class JobSpec:
    """What a job does.

    Attributes:
        action: "add", "update", "retry" or "remove".
        folders: full paths.
        index: folder of the index.
        model: for an index that is not there yet; the default model when None.
        device: where to encode.
        all_folders: look at every folder that the index was ever asked to hold; ``folders`` are those of them
            that are there.
    """

    action: Action
    folders: tuple[str, ...]
    index: Path
    model: str | None = None
    device: str = "auto"
    all_folders: bool = False


@dataclass(frozen=True, eq=False)
class JobControls:
    """How a job is steered while it runs.

    Attributes:
        on_progress: called with the fields of :class:`~vidsift.index.build.Progress`, and the ``step`` of
            :class:`~vidsift.service.schemas_library.JobProgress`.
        stop: once set, the job commits what is finished and ends.
        pause: while set, the job waits.
        kill: once set, its process is ended as it is.
    """

    on_progress: Callable[[Mapping[str, Any]], None]
    stop: threading.Event = field(default_factory=threading.Event)
    pause: threading.Event = field(default_factory=threading.Event)
    kill: threading.Event = field(default_factory=threading.Event)


JobRunner: TypeAlias = Callable[[JobSpec, JobControls], dict[str, Any]]
"""Does a job and returns its report as a dictionary; raises ValueError or OSError with words for people."""


def run_job(spec: JobSpec, controls: JobControls, model: Model | None = None) -> dict[str, Any]:
    """Do a job in this process.

    Args:
        spec: what to do.
        controls: steer it.
        model: loaded, for an index that was made with a model from memory.

    Returns:
        What was done, with the fields of :class:`~vidsift.index.build.Report`.
    """
    from vidsift.files.paths import path_key
    from vidsift.index.build import build_index, update_index
    from vidsift.index.maintenance import remove_paths
    from vidsift.index.manifest import MANIFEST
    from vidsift.index.storage import Store

    if spec.action == "remove":
        return {"removed": remove_paths(spec.index, spec.folders)}
    # An index that is there says how long its segments are; a new one takes the default.
    store = Store.open(spec.index) if (spec.index / MANIFEST).exists() else None
    options: dict[str, Any] = {
        "retry": spec.action == "retry",
        "device": spec.device,
        "on_model": lambda _model: controls.on_progress({"step": "looking"}),
        "on_progress": _throttled(controls.on_progress),
        "should_stop": controls.stop.is_set,
        "should_pause": controls.pause.is_set,
    }
    if spec.all_folders:
        return asdict(update_index(spec.index, model, **options))
    if store is None:
        return asdict(build_index(spec.folders, spec.index, model or spec.model, **options))
    # A folder that is known is looked at with the patterns that it was indexed with.
    known = {path_key(folder.path): folder for folder in store.indexed_folders()}
    folders = [known.get(path_key(path), path) for path in spec.folders]
    return asdict(build_index(folders, spec.index, model, segment=store.manifest.segment, **options))


def _throttled(on_progress: Callable[[Mapping[str, Any]], None]) -> Callable[[Progress], None]:
    """Pass progress on a few times a second, and at the end."""
    last = 0.0

    def pass_on(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_SECONDS or progress.videos_done == progress.videos_total:
            last = now
            on_progress(asdict(progress) | {"step": "reading"})

    return pass_on


def run_in_process(spec: JobSpec, controls: JobControls) -> dict[str, Any]:
    """Do a job in a process of its own, which ends when this one does.

    Raises:
        ValueError: it could not be done; the message says why.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    # Not a daemon: those may not start processes, and this one starts some that decode.
    process = context.Process(target=_process_main, args=(theirs, spec), name="vidsift-index")
    process.start()
    # While this end of theirs is open, reading ours would not notice that the process has ended.
    theirs.close()
    try:
        return _follow(ours, controls)
    except (EOFError, OSError) as error:
        process.join(_END_SECONDS)
        raise ValueError(
            f"the process that indexed ended by itself (exit status {process.exitcode}); what it had "
            "finished is in the index: start the job again"
        ) from error
    finally:
        ours.close()  # by which the process notices that it has to end
        process.join(0 if controls.kill.is_set() else _END_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def _follow(connection: Connection, controls: JobControls) -> dict[str, Any]:
    """Pass stop and pause on and progress back, until the work ends."""
    sent = (False, False)
    while not controls.kill.is_set():
        state = (controls.stop.is_set(), controls.pause.is_set())
        if state != sent:
            connection.send(state)
            sent = state
        if not connection.poll(_POLL_SECONDS):
            continue
        kind, value = connection.recv()
        if kind == "progress":
            controls.on_progress(value)
        elif kind == "report":
            report: dict[str, Any] = value
            return report
        else:
            raise ValueError(value)
    raise ValueError(
        "the service was stopped before the job had ended; what was finished is in the index: "
        "start the job again"
    )


def _process_main(connection: Connection, spec: JobSpec) -> None:
    """Do the job, and send what came of it."""
    # Ctrl-C reaches every process of a terminal; the service decides what is finished first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(AttributeError, OSError):  # Windows has no os.nice
        os.nice(_NICE)  # searches go before indexing

    def send_progress(progress: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):
            connection.send(("progress", dict(progress)))

    controls = JobControls(send_progress)
    threading.Thread(target=_receive_controls, args=(connection, controls), daemon=True).start()
    answer: tuple[str, Any]
    try:
        answer = ("report", run_job(spec, controls))
    except (ValueError, OSError, ImportError) as error:
        answer = ("error", error_message(error))
    except Exception:
        _LOG.exception("a job failed")
        answer = ("error", "unexpected; the log of the service says where; please report it")
    with contextlib.suppress(OSError):
        connection.send(answer)


def _receive_controls(connection: Connection, controls: JobControls) -> None:
    """Take stop and pause from the service; once it has gone, stop."""
    try:
        while True:
            stop, pause = connection.recv()
            (controls.pause.set if pause else controls.pause.clear)()
            if stop:
                controls.stop.set()
    except (EOFError, OSError):
        controls.pause.clear()  # what is paused would never see that it has to stop
        controls.stop.set()
