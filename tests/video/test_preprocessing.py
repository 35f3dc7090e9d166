"""How a model looks at a stretch of video."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from vidsift.types import Span
from vidsift.video.preprocessing import SAMPLING, Preprocessing

GREY = (0.5, 0.5, 0.5)


def test_each_policy_gives_at_most_so_many_seconds_of_the_span() -> None:
    span = Span(3.0, 33.0)
    for name in SAMPLING:
        times = Preprocessing(12, name, 224, GREY, GREY).wanted_times(span)  # type: ignore[arg-type]
        assert len(times) == 12
        assert times.min() >= 3.0
        assert times.max() < 33.0


def test_what_is_saved_is_what_is_read() -> None:
    preprocessing = Preprocessing(12, "head", 224, GREY, (0.1, 0.2, 0.3))
    saved = json.loads(json.dumps(preprocessing.to_dict()))
    assert saved == preprocessing.to_dict()
    assert Preprocessing.from_dict(saved) == preprocessing


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 0}, "at least 1"),
        ({"sampling": "random"}, "expected one of uniform, one_fps_linspace, head"),
        ({"mean": (0.5,)}, "three numbers"),
        ({"fps": 3}, "expected frames, sampling, size_px, mean and std"),
    ],
)
def test_values_that_no_video_can_be_read_with_are_refused(changes: dict[str, Any], message: str) -> None:
    values = Preprocessing(12, "uniform", 224, GREY, GREY).to_dict() | changes
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_dict(values)


def test_decoding_processes_stay_without_torch() -> None:
    code = "import sys, vidsift.video.preprocessing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
