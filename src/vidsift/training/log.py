"""The log of a run: lines for the console, one JSON object a line in a file, and whoever tracks runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import torch

from vidsift.data.loading import Batch
from vidsift.files.disk_errors import saving
from vidsift.training.finite import StepNumbers
from vidsift.training.saved_tensors import peak_bytes
from vidsift.training.trackers import Tracker, flat_numbers

__all__ = ["RunLog"]

_CPU = torch.device("cpu")
# A share of the time, above which who trains should know.
_WAITS_LONG = 0.1


class RunLog:
    """What a run says while it trains, and how long it took.

    Args:
        path: the file of JSON lines; lines are added to what it holds.
        say: takes the lines for the console.
        steps: of the whole run, for the time that is left.
        device: whose memory is logged.
    """

    def __init__(
        self, path: Path, say: Callable[[str], None], *, steps: int, device: torch.device = _CPU
    ) -> None:
        """See the class."""
        self.path, self.say, self.steps, self.device = path, say, steps, device
        self.trackers: list[Tracker] = []
        """Get the numbers of every line; closed with the log."""
        self.seconds = 0.0
        """Seconds of training so far, those before a resume included; validation is none."""
        self.unreadable: set[str] = set()
        """Paths of videos that could not be read, or not whole."""
        self._file: TextIO | None = None
        self._mark_seconds, self._marked_step = time.perf_counter(), 0
        self._videos, self._waited_seconds = 0, 0.0

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the file open."""
        with self.path.open("a", encoding="utf-8") as file:
            self._file = file
            try:
                yield
            finally:
                self._file = None
                for tracker in self.trackers:
                    tracker.close()
                self.trackers = []

    def write(self, values: Mapping[str, Any]) -> None:
        """Add a line to the file.

        Raises:
            NotSavedError: the disk takes no more.
        """
        assert self._file is not None, "the log is written to while it is open"
        with saving("the log", self.path):
            self._file.write(json.dumps(values) + "\n")
            self._file.flush()
        numbers = dict(flat_numbers(values))
        step = int(numbers.pop("step", 0))
        for tracker in self.trackers if numbers else ():
            tracker.log(numbers, step)

    def start_clock(self, step: int) -> None:
        """Count the time from here on as training, which has made ``step`` steps."""
        self._mark_seconds, self._marked_step = time.perf_counter(), step
        self._videos, self._waited_seconds = 0, 0.0

    def stop_clock(self) -> None:
        """Count no time from here on."""
        self.seconds += time.perf_counter() - self._mark_seconds

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as waiting for data."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._waited_seconds += time.perf_counter() - begin

    def count(self, videos: int) -> None:
        """Count a step of so many videos."""
        self._videos += videos

    def line(self, step: int, losses: Mapping[str, float], *, rate: float, scale: float) -> None:
        """Log the steps since the clock was started or the last line.

        Args:
            step: steps made so far.
            losses: means over the steps; ``"loss"`` is the one that is minimised. The norm of the gradients
                may be among them.
            rate: largest learning rate of the last step.
            scale: of the loss.
        """
        self.stop_clock()
        since_seconds = time.perf_counter() - self._mark_seconds
        steps = max(1, step - self._marked_step)
        step_seconds, waited_seconds = since_seconds / steps, self._waited_seconds / steps
        videos_per_second = self._videos / since_seconds
        waited_share = waited_seconds / step_seconds
        waits = f"  {waited_share:.0%} waiting for data" if waited_share > _WAITS_LONG else ""
        self.say(
            f"step {step}/{self.steps}  loss {losses['loss']:.4f}  {videos_per_second:.0f} clips/s  "
            f"rate {rate:.1e}{waits}  {_minutes(step_seconds * (self.steps - step))} left"
        )
        self.write(
            {
                "step": step,
                **losses,
                "rate": rate,
                "scale": scale,
                "clips_per_second": round(videos_per_second, 1),
                "step_seconds": round(step_seconds, 4),
                "data_seconds": round(waited_seconds, 4),
                "memory_mb": round(peak_bytes(self.device) / 2**20),
                "seconds": round(self.seconds, 2),
            }
        )
        self.start_clock(step)

    def note_epoch(self, step: int, about: str) -> None:
        """Say what an epoch of the run is; the file holds it from the first step on."""
        if about:
            self.say(about)
            if step == 0:
                self.write({"step": step, "epoch": about})

    def note_not_finite(self, error: Exception, numbers: StepNumbers) -> None:
        """Write which videos, and with which captions, were in the batch that ended the run."""
        batch = {"videos": list(numbers.videos), "captions": list(numbers.captions)}
        self.write({"step": numbers.step, "not_finite": str(error), **batch})

    def note_unreadable(self, batch: Batch, step: int) -> None:
        """Say which videos of a batch could not be read, each once, and which took their places."""
        for path, reason in (*batch.failed, *batch.partial):
            if path not in self.unreadable:
                self.unreadable.add(path)
                self.say(f"cannot read all of {path}: {reason}")
                self.write({"step": step, "unreadable": path, "reason": reason})
        if batch.replacements:
            bad = ", ".join(path for path, _ in batch.failed)
            self.say(
                f"step {step}: fewer than 2 videos of its batch can be read; for those that cannot ({bad}) "
                f"it takes others: {', '.join(batch.replacements)}"
            )
            self.write({"step": step, "replacements": batch.replacements})


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
