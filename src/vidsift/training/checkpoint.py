"""Checkpoints: all that the next step depends on, written so that a crash leaves the last one whole."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["Checkpoint", "CheckpointError", "load_checkpoint", "save_checkpoint", "set_random_states"]

_FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or that belongs to another run."""


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on as if nothing had happened.

    Attributes:
        step: steps done; also the place in the stream of batches, which is a function of the step.
        weights: the method's.
        optimiser: AdamW's state.
        random: states of the random generators.
        best: best validation so far, ``{"step": ..., "value": ...}``.
        seconds: training time so far.
    """

    step: int
    weights: dict[str, Any]
    optimiser: dict[str, Any]
    random: dict[str, Any]
    best: dict[str, float]
    seconds: float


def save_checkpoint(
    path: Path,
    method: nn.Module,
    optimiser: torch.optim.Optimizer,
    *,
    step: int,
    best: dict[str, float],
    seconds: float,
) -> None:
    """Write a checkpoint; whoever reads the path finds the old one or the new one, never a part of one."""
    content = {
        "format": _FORMAT,
        "step": step,
        "weights": method.state_dict(),
        "optimiser": optimiser.state_dict(),
        "random": _random_states(),
        "best": best,
        "seconds": seconds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}; start the run without --resume") from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != _FORMAT:
        raise CheckpointError(
            f"{path} has format {found!r}, this version reads {_FORMAT}; start the run anew"
        )
    return Checkpoint(**{name: value for name, value in content.items() if name != "format"})


def _random_states() -> dict[str, Any]:
    version, internal, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": [version, list(internal), gauss],
        "numpy": [
            str(kind),
            torch.from_numpy(np.asarray(keys, np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Put the random generators where a checkpoint left them."""
    torch.set_rng_state(states["torch"])
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    if "cuda" in states and torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
