"""Jobs that have not ended, kept beside the index: a service that was killed goes on with them."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter

from vidsift.errors import LockHeldError
from vidsift.files.locks import hold_lock
from vidsift.index.manifest import JOBS, JOBS_LOCK, MANIFEST
from vidsift.index.storage import holds_nothing_else
from vidsift.index.writing import put_aside, write_json
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
        deaths: how many services died while it ran; one that is stopped in order does not count.
    """

    job_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    action: Action
    folders: Annotated[list[str], Field(max_length=100)]
    all_folders: bool
    deaths: Annotated[int, Field(ge=0)]


_LIST = TypeAdapter(Annotated[list[UnfinishedJob], Field(max_length=1000)])


class UnfinishedJobs:
    """The file of an index that remembers them; one service at a time has it.

    Another service on the same index remembers nothing, and goes on with nothing: its jobs run all the same.

    Args:
        folder: of the index, which need not be there yet; nothing is written where something else lies.
    """

    def __init__(self, folder: Path) -> None:
        """Take nothing yet."""
        self._folder = folder
        self._stack = ExitStack()
        self._holds: bool | None = None
        self._others: list[UnfinishedJob] = []

    def read(self) -> list[UnfinishedJob]:
        """Take the file where there is an index, and return what an earlier service left."""
        # A disk that may not be written has nobody's unfinished work.
        with suppress(OSError):
            if (self._folder / MANIFEST).is_file() or (self._folder / JOBS).is_file():
                self._hold()
        jobs, self._others = self._others, []
        return jobs

    def write(self, jobs: Sequence[UnfinishedJob]) -> None:
        """Remember these and no others; a disk that takes nothing is no reason to stop a job."""
        try:
            if jobs:
                self._hold()
            if self._holds:
                # What a service left that had the file before this one took it waits for the next.
                write_json(self._folder / JOBS, [job.model_dump() for job in (*self._others, *jobs)])
        except OSError as error:
            _LOG.warning("jobs are not remembered for the case that the service is killed: %s", error)

    def close(self) -> None:
        """Let another service have the file; this one writes nothing more."""
        self._stack.close()
        self._holds = False

    def _hold(self) -> None:
        """Take the file, with what is in it, once; the folder is made where it is absent."""
        if self._holds is not None:
            return
        self._holds = False
        is_other = self._folder.is_dir() and not (self._folder / MANIFEST).is_file()
        if is_other and not holds_nothing_else(self._folder):
            return  # no index, and none of ours to write into
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._stack.enter_context(hold_lock(self._folder / JOBS_LOCK))
        except LockHeldError:
            return
        self._holds = True
        file = self._folder / JOBS
        try:
            if file.is_file():
                self._others = _LIST.validate_python(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError) as error:
            aside = put_aside(file)
            _LOG.warning("the jobs that were not finished cannot be read, and lie in %s: %s", aside, error)
