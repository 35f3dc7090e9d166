"""The numbers of a run, handed on to TensorBoard, Weights & Biases or trackio."""

from __future__ import annotations

import json
import numbers
import uuid
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

from vidsift.files.whole import write_text_whole

__all__ = ["Tracker", "TrackerName", "flat_numbers", "open_trackers"]

TrackerName = Literal["tensorboard", "wandb", "trackio"]
PROJECT = "vidsift"
_IDENTITY = "trackers.json"


class Tracker(Protocol):
    """Takes the numbers of a run."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take the numbers of a step."""
        ...

    def close(self) -> None:
        """Take no more."""
        ...


class _TensorBoard:
    """Writes event files into the folder ``tensorboard`` of the run."""

    def __init__(self, folder: Path, step: int) -> None:
        writing = _imported("torch.utils.tensorboard", "tensorboard")
        # Steps that are going to be made again after a resume are taken out.
        self._writer = writing.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _HostedRun:
    """A run of wandb or trackio, which have the same three calls."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


def open_trackers(
    names: Sequence[TrackerName], folder: Path, *, name: str, settings: Mapping[str, Any], step: int
) -> list[Tracker]:
    """Open the trackers that a recipe names.

    Where a service keeps its data, and who one is there, are its own settings: ``wandb login`` or
    ``WANDB_MODE=offline``, ``TRACKIO_DIR``.

    Args:
        names: of the trackers.
        folder: of the run, in which it is said which run of a service it is.
        name: of the run.
        settings: of the run, shown beside its numbers.
        step: steps made so far; 0 begins a new run there, else the same one goes on.

    Raises:
        ImportError: one is not installed; says what to install.
    """
    trackers: list[Tracker] = []
    identity = _identity(folder, fresh=step == 0) if {*names} - {"tensorboard"} else ""
    for kind in names:
        if kind == "tensorboard":
            trackers.append(_TensorBoard(folder, step))
            continue
        service = _imported(kind, kind)
        common: dict[str, Any] = {"project": PROJECT, "config": dict(settings), "resume": "allow"}
        if kind == "wandb":
            common |= {"name": name, "id": identity, "dir": str(folder)}
        else:
            # Runs of trackio are known by their names.
            common |= {"name": f"{name}-{identity}"}
        trackers.append(_HostedRun(service.init(**common)))
    return trackers


def flat_numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of nested dictionaries, keys joined by ``/``; all else is passed over."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat_numbers(value, f"{prefix}{key}/")
        elif isinstance(value, numbers.Real) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)


def _imported(module: str, package: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as missing:
        raise ImportError(
            f"trackers names {package}, which is not installed: pip install {package}, or leave it out of "
            "trackers"
        ) from missing


def _identity(folder: Path, *, fresh: bool) -> str:
    """What services know the run by: drawn when it begins, and the same when it goes on."""
    path = folder / _IDENTITY
    if fresh or not path.is_file():
        write_text_whole(path, json.dumps({"id": uuid.uuid4().hex[:12]}) + "\n")
    return str(json.loads(path.read_text(encoding="utf-8"))["id"])
