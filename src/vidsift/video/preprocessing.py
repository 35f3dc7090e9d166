"""What of a stretch of video a model looks at: which seconds, how many, how large, on which scale.

Beside the decoders and not beside the models: the processes that decode use it, and they import no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vidsift.types import Span
from vidsift.video import sampling

__all__ = ["SAMPLING", "Preprocessing", "Sampling", "jittered_times"]

Sampling = Literal["uniform", "one_fps_linspace", "head"]

SAMPLING: dict[str, Callable[[Span, int], NDArray[np.float64]]] = {
    "uniform": sampling.uniform,
    "one_fps_linspace": sampling.one_fps_linspace,
    "head": sampling.head,
}
"""Name -> policy; each gives at most so many seconds of a span, see :mod:`vidsift.video.sampling`."""


def jittered_times(
    policy: Sampling, span: Span, frames: int, jitter: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """See :meth:`Preprocessing.training_times`."""
    if policy == "uniform":
        return sampling.random_per_segment(span, frames, rng, jitter)
    return sampling.random_within_seconds(SAMPLING[policy](span, frames), span, rng, jitter)


@dataclass(frozen=True)
class Preprocessing:
    """What of a stretch of video a model looks at; stored as ``reading`` in ``config.json``.

    Attributes:
        frames: most frames of a stretch, e.g. 12.
        sampling: which seconds: "uniform", "one_fps_linspace" or "head".
        size_px: side of the square pictures.
        mean: mean of each colour that is taken off (red, green, blue), on the scale 0 to 1.
        std: standard deviation of each colour that is divided by.
    """

    frames: int
    sampling: Sampling
    size_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Refuse values that no video can be looked at with."""
        if self.frames < 1:
            raise ValueError(f"frames is {self.frames}; a stretch of video needs at least 1")
        if self.sampling not in SAMPLING:
            known = ", ".join(get_args(Sampling))
            raise ValueError(f"sampling is {self.sampling!r}, expected one of {known}")
        for name in ("mean", "std"):
            if len(getattr(self, name)) != 3:
                raise ValueError(f"{name} is {getattr(self, name)}; expected three numbers: red, green, blue")
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise ValueError(
                f"mean is {self.mean} and std {self.std}; expected finite numbers, and std above 0"
            )

    def wanted_times(self, span: Span) -> NDArray[np.float64]:
        """Which seconds of a stretch to look at: ascending, at most ``frames`` of them.

        Example:
            >>> preprocessing = Preprocessing(3, "uniform", 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
            >>> preprocessing.wanted_times(Span(0.0, 12.0))
            array([ 2.,  6., 10.])
        """
        return SAMPLING[self.sampling](span, self.frames)

    def training_times(self, span: Span, jitter: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """Which seconds of a stretch training looks at: as many as :meth:`wanted_times` gives.

        Args:
            span: the stretch.
            jitter: how far a picture may move in what it stands for, 0 (not at all) to 1 (anywhere in it):
                its part of the stretch for "uniform", the second that it begins for the others.
            rng: where the randomness comes from.
        """
        return jittered_times(self.sampling, span, self.frames, jitter, rng)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``config.json`` holds."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Build from what ``config.json`` holds.

        Raises:
            ValueError: if a value is missing, unknown or refused.
        """
        arguments: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        try:
            return cls(**arguments)
        except TypeError as error:
            raise ValueError(
                f"reading holds {', '.join(values) or 'nothing'}; expected frames, sampling, size_px, mean "
                "and std"
            ) from error
