"""Files that harm the process that reads them fail alone."""

from __future__ import annotations

import multiprocessing
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.index.library import clip, library
from tests.index.strange import PREPROCESSING, DeadlyPreprocessing, HangingPreprocessing, HungryPreprocessing
from tests.video.making import png_bomb

from vidsift.index.decode_worker import (
    Done,
    Facts,
    Failed,
    Message,
    ReadSettings,
    Segment,
    decode_pool,
)
from vidsift.video.preprocessing import Preprocessing
from vidsift.workers.pool import ProcessPool
from vidsift.workers.process import ProcessLimits


def _read(
    settings: ReadSettings, paths: list[str], workers: int, limits: ProcessLimits | None = None
) -> dict[str, list[Message]]:
    results: dict[str, list[Message]] = {path: [] for path in paths}
    with decode_pool(settings, workers, limits) as pool:
        for item in pool.run(paths):
            if item is not None:
                results[item[0]].append(item[1])
    return results


def test_each_file_is_read_once_and_in_order(tmp_path: Path) -> None:
    paths = [str(path) for path in sorted(library(tmp_path, 4).iterdir())]
    results = _read(ReadSettings(PREPROCESSING, "auto", frozenset()), paths, 2)
    for messages in results.values():
        assert [type(message) for message in messages] == [Facts, Segment, Done]
    assert not multiprocessing.active_children()


def test_a_file_that_kills_its_reader_fails_alone(tmp_path: Path) -> None:
    library(tmp_path, 3)
    deadly = str(clip(tmp_path, "clip1b", frames=36))
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    settings = ReadSettings(DeadlyPreprocessing(**asdict(PREPROCESSING)), "auto", frozenset())
    results = _read(settings, paths, 1)
    last = results.pop(deadly)[-1]
    assert isinstance(last, Failed)
    assert last.reason == "the decoder crashed (signal 9)"
    assert last.size_bytes == Path(deadly).stat().st_size
    assert all(isinstance(messages[-1], Done) for messages in results.values())


@pytest.mark.parametrize(
    ("preprocessing", "limits", "reason"),
    [
        (HangingPreprocessing, ProcessLimits(), "the decoder made no progress for 2 s"),
        (
            HungryPreprocessing,
            ProcessLimits(memory_limit_bytes=300 << 20),
            "the decoder needs more than 300 MiB of memory",
        ),
    ],
)
def test_a_file_beyond_the_limits_fails_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    preprocessing: type[Preprocessing],
    limits: ProcessLimits,
    reason: str,
) -> None:
    library(tmp_path, 2)
    harmful = str(clip(tmp_path, "clip0b", frames=36))
    usual = ProcessPool._allowed_silence
    # The others have all the time that a slow machine needs.
    monkeypatch.setattr(
        ProcessPool,
        "_allowed_silence",
        lambda pool, worker: 2.0 if worker.started and worker.task == harmful else usual(pool, worker),
    )
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    results = _read(
        ReadSettings(preprocessing(**asdict(PREPROCESSING)), "auto", frozenset()), paths, 1, limits
    )
    last = results.pop(harmful)[-1]
    status = Path(harmful).stat()
    assert last == Failed(reason, status.st_size, status.st_mtime_ns)
    assert all(isinstance(messages[-1], Done) for messages in results.values())
    assert not multiprocessing.active_children()


def test_a_picture_that_inflates_beyond_the_limit_fails_alone(tmp_path: Path) -> None:
    whole = str(clip(tmp_path, "whole"))
    bomb = str(png_bomb(tmp_path, "bomb", 4500))
    limits = ProcessLimits(memory_limit_bytes=100 << 20)
    results = _read(ReadSettings(PREPROCESSING, "auto", frozenset()), [bomb, whole], 1, limits)
    last = results[bomb][-1]
    assert isinstance(last, Failed)
    assert "memory" in last.reason
    assert isinstance(results[whole][-1], Done)
