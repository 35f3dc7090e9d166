"""Jobs that change the index: one runs, the others wait, and each can be paused, resumed and cancelled.

Those that a service did not finish are gone on with when the next one starts.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.service.job_process import JobControls, JobRunner, JobSpec
from vidsift.service.problems import ProblemError, error_message
from vidsift.service.schemas_library import (
    MAX_LISTED,
    FileProblem,
    Job,
    JobProgress,
    JobReport,
    JobRequest,
    State,
)
from vidsift.service.unfinished_jobs import UnfinishedJob, UnfinishedJobs

if TYPE_CHECKING:
    from vidsift.service.limits import ServiceLimits
    from vidsift.service.schemas_library import Action

__all__ = ["Jobs"]

_LOG = logging.getLogger(__name__)
_POLL_SECONDS, _END_SECONDS = 0.1, 5.0
_MOST_DEATHS = 3  # of services while a job ran: it may be what kills them


@dataclass(eq=False)
class _Entry:
    """A job as it stands."""

    spec: JobSpec
    job_id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "queued"
    progress: dict[str, Any] = field(default_factory=dict)
    report: JobReport | None = None
    error: str | None = None
    began: float | None = None
    ended: float | None = None
    reading_since: float | None = None
    paused_since: float | None = None
    changes: int = 0
    controls: JobControls | None = None
    deaths: int = 0
    goes_on: bool = False
    remembered: bool = True

    @property
    def final(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    @property
    def is_wanted(self) -> bool:
        """Whether a service that starts again should go on with it: not once a person has cancelled it."""
        cancelled = self.controls is not None and self.controls.stop.is_set()
        return self.remembered and not self.final and not cancelled

    def to_unfinished(self) -> UnfinishedJob:
        """What is remembered of it: if the service dies while it runs, that has been counted."""
        spec, counts = self.spec, self.controls is not None and not self.goes_on
        return UnfinishedJob(
            job_id=self.job_id,
            action=spec.action,
            folders=list(spec.folders),
            all_folders=spec.all_folders,
            deaths=self.deaths + counts,
        )

    def to_job(self, *, brief: bool = False) -> Job:
        """The job as it stands; ``brief`` leaves out the lists of files, not their lengths."""
        end = time.monotonic() if self.ended is None else self.ended
        seconds = 0.0 if self.began is None else end - self.began
        report = self.report
        if brief and report is not None:
            report = report.model_copy(update={"failed": [], "partial": [], "missing": []})
        return Job(
            job_id=self.job_id,
            action=self.spec.action,
            folders=list(self.spec.folders),
            state=self.state,
            progress=JobProgress(
                **self.progress, seconds=seconds, reading_seconds=self._reading_seconds(end)
            ),
            report=report,
            error=self.error,
        )

    def steer(self, state: State) -> None:
        """Begin or end a pause, which takes no part in the time of reading."""
        now = time.monotonic()
        if state == "paused":
            self.paused_since = now
        elif self.paused_since is not None:
            if self.reading_since is not None:
                self.reading_since += now - max(self.paused_since, self.reading_since)
            self.paused_since = None
        self.state = state

    def take(self, progress: Mapping[str, Any]) -> None:
        """Remember how far it is."""
        names = JobProgress.model_fields.keys() - {"seconds", "reading_seconds"}  # those are counted here
        self.progress = {name: value for name, value in progress.items() if name in names}
        if self.reading_since is None and self.progress.get("step") == "reading":
            self.reading_since = time.monotonic()

    def _reading_seconds(self, end: float) -> float:
        if self.reading_since is None:
            return 0.0
        return max(0.0, min(end, self.paused_since or end) - self.reading_since)


class Jobs:
    """The jobs of a service.

    Args:
        index: folder of the index.
        run_job: does what a job asks for.
        limits: how many may wait, and are listed after their end.
        model: for an index that is not there yet.
        device: where to encode.
        on_end: called when a job has ended.
    """

    def __init__(
        self,
        index: Path,
        run_job: JobRunner,
        limits: ServiceLimits,
        *,
        model: str | None = None,
        device: str = "auto",
        on_end: Callable[[str], None] = lambda _state: None,
    ) -> None:
        """Remember; the thread that works starts with the first job."""
        self._index = index
        self._run_job = run_job
        self._limits = limits
        self._model = model
        self._device = device
        self._on_end = on_end
        self._entries: dict[str, _Entry] = {}
        self._queue: deque[_Entry] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._unfinished = UnfinishedJobs(index)
        self._started = False

    def start(self) -> None:
        """Go on with what an earlier service did not finish: it was killed, or stopped."""
        with self._changed:
            left = self._unfinished.read()
            for job in left:
                spec = self._spec(job.action, tuple(job.folders), all_folders=job.all_folders)
                known = [entry.spec for entry in self._entries.values() if not entry.final]
                if spec in known or job.job_id in self._entries:
                    continue  # whoever started the service began with it anew
                entry = _Entry(spec, job_id=job.job_id, deaths=job.deaths)
                self._entries[entry.job_id] = entry
                if job.deaths < _MOST_DEATHS:
                    self._put(entry)
                    continue
                entry.error = (
                    f"{job.deaths} services ended while this ran; what was finished is in the index: look in "
                    "the log of the service, then start it again"
                )
                _LOG.warning("%s of %s: %s", job.action, ", ".join(job.folders), entry.error)
                self._end(entry, "failed")
            if left:
                _LOG.info("jobs that an earlier service did not finish: %d", len(left))
            self._started = True
            self._remember()

    def add(self, request: JobRequest, folders: tuple[str, ...], *, remembered: bool = True) -> Job:
        """Put a job into the queue.

        Args:
            request: what it does.
            folders: full paths, those of the request or all known ones.
            remembered: the next service goes on with it where this one does not finish it.

        Raises:
            ProblemError: 429, too many wait already; 503, the service stops.
        """
        spec = self._spec(request.action, folders, all_folders=not request.folders)
        entry = _Entry(spec, remembered=remembered)
        with self._changed:
            if self._closing:
                raise ProblemError(503, "the service is stopping; ask again when it is back")
            if len(self._queue) >= self._limits.jobs_waiting:
                raise ProblemError(
                    429,
                    f"{len(self._queue)} jobs wait already, which is the limit; cancel one, or wait",
                    {"retry-after": "60"},
                )
            self._entries[entry.job_id] = entry
            self._put(entry)
            self._drop_oldest()
            self._remember()
            return entry.to_job()

    def _spec(self, action: Action, folders: tuple[str, ...], *, all_folders: bool) -> JobSpec:
        return JobSpec(action, folders, self._index, self._model, self._device, all_folders=all_folders)

    def _put(self, entry: _Entry) -> None:
        """Let a job wait for its turn."""
        self._queue.append(entry)
        if self._thread is None:  # most services never run a job
            self._thread = threading.Thread(target=self._work, name="vidsift-jobs", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _remember(self) -> None:
        """Keep what has not ended, or was ended by the service's own end."""
        if not self._started:
            return  # what stands there has not been read
        left = [entry for entry in self._entries.values() if entry.goes_on or entry.is_wanted]
        self._unfinished.write([entry.to_unfinished() for entry in left])

    def all(self) -> list[Job]:
        """Return the jobs, newest first."""
        with self._changed:
            return [entry.to_job(brief=True) for entry in reversed(self._entries.values())]

    def counts(self) -> Mapping[str, int]:
        """Return how many are not final, by state."""
        with self._changed:
            states = [entry.state for entry in self._entries.values()]
        return {state: states.count(state) for state in ("queued", "running", "paused")}

    def look(self, job_id: str, *, brief: bool = False) -> tuple[Job, int, bool]:
        """Return a job, a number that changes with it, and whether it has ended.

        Args:
            job_id: of the job.
            brief: without the lists of files.

        Raises:
            ProblemError: 404, there is no such job.
        """
        with self._changed:
            entry = self._entry(job_id)
            return entry.to_job(brief=brief), entry.changes, entry.final

    def pause(self, job_id: str) -> Job:
        """Let a running job wait.

        Raises:
            ProblemError: 404, there is none; 409, it does not run.
        """
        return self._steer(job_id, "running", "paused", "only a running job can be paused")

    def resume(self, job_id: str) -> Job:
        """Let a paused job go on; raises as :meth:`pause`."""
        return self._steer(job_id, "paused", "running", "only a paused job can be resumed")

    def cancel(self, job_id: str) -> Job:
        """Take a job out of the queue, or have it commit what is finished and end.

        Raises:
            ProblemError: 404, there is none; 409, it has ended.
        """
        with self._changed:
            entry = self._entry(job_id)
            if entry.final:
                raise ProblemError(409, f"the job is {entry.state} already; there is nothing to cancel")
            if entry.controls is None:  # it waits: no thread knows of it yet
                self._queue.remove(entry)
                self._end(entry, "cancelled")
            else:
                entry.controls.stop.set()
                entry.controls.pause.clear()  # a job that waits in its pause would not see the stop
                self._remember()
            return entry.to_job()

    def kill(self) -> None:
        """Cancel what waits, and end what runs as it is."""
        with self._changed:
            self._begin_closing()
            self._queue.clear()
            for entry in self._entries.values():
                if entry.controls is not None:
                    entry.controls.stop.set()
                    entry.controls.kill.set()
            self._changed.notify_all()

    def close(self) -> None:
        """Cancel what waits; let what runs commit what is finished, for so long as the limits give it.

        All of it is gone on with when a service starts again.
        """
        with self._changed:
            self._begin_closing()
            for entry in self._queue:
                self._end(entry, "cancelled")
            self._queue.clear()
            running = [entry.controls for entry in self._entries.values() if entry.controls is not None]
            for controls in running:
                controls.stop.set()
                controls.pause.clear()
            self._changed.notify_all()
        if self._thread is not None:
            deadline = time.monotonic() + self._limits.stop_seconds
            while self._thread.is_alive() and time.monotonic() < deadline:
                if any(controls.kill.is_set() for controls in running):
                    break  # a second Ctrl-C: nobody waits any longer
                self._thread.join(_POLL_SECONDS)
            for controls in running:
                controls.kill.set()
            self._thread.join(_END_SECONDS)
        with self._changed:
            self._unfinished.close()

    def _begin_closing(self) -> None:
        if not self._closing:
            self._closing = True
            for entry in self._entries.values():
                entry.goes_on = entry.is_wanted
            self._remember()

    def _entry(self, job_id: str) -> _Entry:
        entry = self._entries.get(job_id)
        if entry is None:
            raise ProblemError(
                404,
                f"there is no job with job_id {job_id!r}, or it ended long ago; GET /v1/index/jobs lists all",
            )
        return entry

    def _steer(self, job_id: str, before: State, after: State, rule: str) -> Job:
        with self._changed:
            entry = self._entry(job_id)
            if entry.state != before or entry.controls is None or entry.controls.stop.is_set():
                raise ProblemError(409, f"the job is {entry.state}; {rule}")
            (entry.controls.pause.set if after == "paused" else entry.controls.pause.clear)()
            entry.steer(after)
            entry.changes += 1
            return entry.to_job()

    def _end(self, entry: _Entry, state: State) -> None:
        entry.state, entry.controls, entry.ended = state, None, time.monotonic()
        entry.goes_on &= state == "cancelled"
        entry.changes += 1
        self._remember()

    def _drop_oldest(self) -> None:
        ended = [entry.job_id for entry in self._entries.values() if entry.final]
        for job_id in ended[: max(0, len(ended) - self._limits.jobs_listed)]:
            del self._entries[job_id]

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait()
                if not self._queue:
                    return
                entry = self._queue.popleft()
                entry.controls = JobControls(partial(self._set_progress, entry))
                entry.state, entry.began = "running", time.monotonic()
                entry.changes += 1
                controls = entry.controls
                self._remember()
            self._run(entry, controls)

    def _run(self, entry: _Entry, controls: JobControls) -> None:
        state: State
        try:
            entry.report = _report(self._run_job(entry.spec, controls))
            state = "cancelled" if entry.report.stopped else "done"
        except (ValueError, OSError, ImportError) as error:
            entry.error = error_message(error)
            # Work that is stopped may say so by an error.
            state = "cancelled" if controls.stop.is_set() else "failed"
        except Exception:
            _LOG.exception("a job failed")
            entry.error, state = "unexpected; the log of the service says where; please report it", "failed"
        with self._changed:
            self._end(entry, state)
        # Outside of the lock: what is called may ask for the jobs.
        self._on_end(state)

    def _set_progress(self, entry: _Entry, progress: Mapping[str, Any]) -> None:
        with self._changed:
            entry.take(progress)
            entry.changes += 1


def _report(values: Mapping[str, Any]) -> JobReport:
    """The report of a job from its fields; of long lists the beginning."""
    fields = {name: value for name, value in values.items() if name in JobReport.model_fields}
    for name in ("failed", "partial"):
        files = fields.get(name, [])
        fields[f"{name}_count"] = len(files)
        fields[name] = [FileProblem(path=file["path"], reason=file["reason"]) for file in files[:MAX_LISTED]]
    missing = fields.get("missing", [])
    fields |= {"missing": missing[:MAX_LISTED], "missing_count": len(missing)}
    return JobReport(**fields)
