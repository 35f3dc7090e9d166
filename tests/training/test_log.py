"""The log of a run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from vidsift.data.loading import Batch
from vidsift.training.log import RunLog


def batch(failed: tuple[tuple[str, str], ...]) -> Batch:
    pixels = np.zeros((2, 1, 4, 4, 3), np.uint8)
    return Batch(pixels, np.ones((2, 1), bool), np.zeros((2, 1)), ["a", "b"], np.arange(2), failed)


def test_a_line_tells_what_a_step_took_and_how_long_it_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    said: list[str] = []
    log = RunLog(tmp_path / "metrics.jsonl", said.append, steps=10)
    with log.opened():
        log.start_clock(2)
        for _ in range(2):
            with log.waiting():
                now[0] += 1.0
            now[0] += 3.0
            log.count(6)
        log.line(4, {"loss": 0.5, "gradient_norm": 2.5}, rate=0.1, scale=20.0)
    line = json.loads((tmp_path / "metrics.jsonl").read_text("utf-8"))
    assert line.pop("memory_mb") > 50  # of this process
    assert line == {
        "step": 4,
        "loss": 0.5,
        "gradient_norm": 2.5,
        "rate": 0.1,
        "scale": 20.0,
        "clips_per_second": 1.5,
        "step_seconds": 4.0,
        "data_seconds": 1.0,
        "seconds": 8.0,
    }
    assert said == ["step 4/10  loss 0.5000  2 clips/s  rate 1.0e-01  25% waiting for data  24 s left"]


def test_a_video_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    said: list[str] = []
    log = RunLog(tmp_path / "metrics.jsonl", said.append, steps=10)
    with log.opened():
        for step in (0, 1):
            log.note_unreadable(batch((("a.mp4", "no frames"),)), step)
    assert log.unreadable == {"a.mp4"}
    assert said == ["cannot read all of a.mp4: no frames"]
    lines = (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 0, "unreadable": "a.mp4", "reason": "no frames"}]
