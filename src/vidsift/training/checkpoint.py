"""Checkpoints: all that the next step depends on; two are kept, so that one bad file ends no run."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidsift.encoders.state_dict import non_finite
from vidsift.errors import CheckpointError
from vidsift.files.disk_errors import saving
from vidsift.files.whole import whole_file

__all__ = [
    "Checkpoint",
    "Checkpoints",
    "load_checkpoint",
    "set_random_states",
]

_FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on as if nothing had happened.

    Attributes:
        step: steps done; also the place in the stream of batches, which is a function of the step.
        weights: the method's; with LoRA those that learn.
        optimiser: AdamW's state.
        random: states of the random generators.
        best: best validation so far, ``{"step": ..., "value": ...}``.
        seconds: training time so far.
        processes: how many trained it.
        base: digest of the weights that LoRA left as they were, which are not in here; "" for none.
    """

    step: int
    weights: dict[str, Any]
    optimiser: dict[str, Any]
    random: dict[str, Any]
    best: dict[str, float]
    seconds: float
    processes: int = 1
    base: str = ""


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: the file is missing, damaged, of another format, or holds NaN or infinity.
    """
    try:
        # Tensors and plain values only: what unpickles may run anything.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}; start the run without --resume") from error
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {reason}") from error
    version = content.get("format") if isinstance(content, dict) else None
    if version != _FORMAT:
        raise CheckpointError(
            f"{path} has format {version!r}, this version reads {_FORMAT}; start the run anew"
        )
    missing = [
        field.name for field in fields(Checkpoint) if field.default is MISSING and field.name not in content
    ]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}; start the run anew")
    checkpoint = Checkpoint(**{name: value for name, value in content.items() if name != "format"})
    if bad := non_finite(_numbers(checkpoint.weights, checkpoint.optimiser)):
        raise CheckpointError(
            f"{path} holds NaN or infinite values ({len(bad)} tensors, the first is {bad[0]}), expected "
            "finite numbers; its training had diverged"
        )
    return checkpoint


def _numbers(weights: dict[str, Any], optimiser: dict[str, Any]) -> dict[str, Tensor]:
    """All tensors of a checkpoint that have to be finite."""
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    for number, state in optimiser["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{name} of parameter {number}"] = value
    return tensors


class Checkpoints:
    """The last two checkpoints of a run, in a folder that one process at a time writes to.

    Args:
        folder: made with the first checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        """See the class."""
        self.last, self.before = folder / "last.pt", folder / "before.pt"
        self.step: int | None = None
        """Step of the last good one, where this process wrote or read it."""
        # Only a good last one may become the one before.
        self._last_is_good = False

    @property
    def there(self) -> bool:
        """Whether there is a file to go on from, good or not."""
        return self.last.is_file() or self.before.is_file()

    def forget(self) -> None:
        """Remove both, for a run that starts anew."""
        for path in (self.last, self.before):
            path.unlink(missing_ok=True)

    @staticmethod
    def require_finite(method: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Refuse what no checkpoint may hold.

        Raises:
            CheckpointError: weights, or the optimiser's state, are NaN or infinite.
        """
        numbers = _numbers(method.state_dict(), optimiser.state_dict())
        if bad := non_finite(numbers):
            raise CheckpointError(
                f"{len(bad)} of {len(numbers)} weights and states of the optimiser hold NaN or infinite "
                f"values (the first is {bad[0]})"
            )

    def save(
        self,
        method: nn.Module,
        optimiser: torch.optim.Optimizer,
        *,
        step: int,
        best: dict[str, float],
        seconds: float,
        processes: int = 1,
        left_out: Collection[str] = (),
        base: str = "",
    ) -> None:
        """Write a checkpoint; the last good one becomes the one before.

        Whoever reads finds the old ones or the new one, never a part of one.
        A last one that is no good is replaced, so that the good one before it stays.

        Args:
            method: with the weights.
            optimiser: with its state.
            step: steps done.
            best: best validation so far.
            seconds: training time so far.
            processes: how many train.
            left_out: names of weights that are not written, since they do not learn.
            base: digest of those.

        Raises:
            CheckpointError: weights or the optimiser's state are NaN or infinite; nothing is written.
            NotSavedError: the disk takes no more; what was there stays.
        """
        self.require_finite(method, optimiser)
        content = {
            "format": _FORMAT,
            "step": step,
            "weights": {name: value for name, value in method.state_dict().items() if name not in left_out},
            "optimiser": optimiser.state_dict(),
            "random": _random_states(),
            "best": best,
            "seconds": seconds,
            "processes": processes,
            "base": base,
        }
        # Saved twice, a step must not push out the good one before it.
        previous = self.before if self._last_is_good and self.step != step else None
        with saving(f"the checkpoint of step {step}", self.last.parent):
            self.last.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self.last, previous=previous) as temporary, temporary.open("wb") as file:
                torch.save(content, file)
        self.step, self._last_is_good = step, True

    def load(self, say: Callable[[str], None]) -> Checkpoint:
        """Return the last good checkpoint.

        Args:
            say: takes a line where the last one is no good.

        Raises:
            CheckpointError: none is good; it says what is wrong with each.
        """
        faults: list[str] = []
        for path in (self.last, self.before):
            if not path.is_file():
                continue
            try:
                checkpoint = load_checkpoint(path)
            except CheckpointError as error:
                faults.append(str(error))
                continue
            if faults:
                say(f"{faults[0]}; going on from the one before, {path}")
            # After falling back, the damaged last one is to be replaced, not kept as the one before.
            self.step, self._last_is_good = checkpoint.step, path == self.last
            return checkpoint
        raise CheckpointError(
            f"{'; '.join(faults) or f'there is no checkpoint {self.last}'}. Start the run anew with "
            "--no-resume, or name another --output; where training diverged, with a lower "
            "optimiser.learning_rate"
        )


def _random_states() -> dict[str, Any]:
    version, internal, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    # NumPy's array as a tensor: with weights_only, torch.load refuses arrays.
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
    # With another number of GPUs there is nothing to put the states into: that run draws anew.
    if "cuda" in states and torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
