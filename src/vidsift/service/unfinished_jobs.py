"""Jobs that have not ended, kept beside the index: a service that was killed goes on with them."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from vidsift.errors import LockHeldError
from vidsift.files.locks import hold_lock
from vidsift.index.manifest import JOBS, JOBS_LOCK
from vidsift.index.writing import write_json
from vidsift.service.schemas_library import Action

__all__ = ["UnfinishedJob", "UnfinishedJobs"]

_LOG = logging.getLogger(__name__)


class UnfinishedJob(BaseModel):
    """A job to go on with.

    Attributes:
        job_id: by which it was known.
        action: what it does.
        folders: full paths.
        all_folders: it looks at every folder that the index was ever asked to hold.
        starts: how often a service began with it, or had it waiting.
    """

    job_id: str
    action: Action
    folders: list[str]
    all_folders: bool
    starts: int


_LIST = TypeAdapter(list[UnfinishedJob])


class UnfinishedJobs:
    """The file of an index that remembers them; one service at a time has it.

    Another service on the same index remembers nothing, and goes on with nothing: its jobs run all the same.

    Args:
        folder: of the index, which need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        """Take nothing yet."""
        self._folder = folder
        self._stack = ExitStack()
        self._holds: bool | None = None

    def read(self) -> list[UnfinishedJob]:
        """Return what an earlier service left; nothing where another one has the file, or it is damaged."""
        if not (self._folder / JOBS).is_file() or not self._held():
            return []
        try:
            return _LIST.validate_python(json.loads((self._folder / JOBS).read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError) as error:
            _LOG.warning("the jobs that were not finished cannot be read, and are dropped: %s", error)
            return []

    def write(self, jobs: Sequence[UnfinishedJob]) -> None:
        """Remember these and no others; a disk that takes nothing is no reason to stop a job."""
        file = self._folder / JOBS
        if not jobs and not file.is_file():
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._held():
                write_json(file, [job.model_dump() for job in jobs])
        except OSError as error:
            _LOG.warning("jobs are not remembered for the case that the service is killed: %s", error)

    def close(self) -> None:
        """Let another service have the file."""
        self._stack.close()
        self._holds = None

    def _held(self) -> bool:
        if self._holds is None:
            try:
                self._stack.enter_context(hold_lock(self._folder / JOBS_LOCK))
                self._holds = True
            except (LockHeldError, OSError):
                self._holds = False
        return self._holds
