from __future__ import annotations

import multiprocessing
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.index.library import clip, library
from tests.index.strange import (
    READING,
    DeadlyReading,
    HangingReading,
    HungryReading,
    die,
    work_and_linger,
    work_slowly,
)
from tests.video.making import png_bomb

from vidsift.index import pool as pools
from vidsift.index.decode_worker import Done, Facts, Failed, Message, ReadSettings, Segment
from vidsift.index.pool import DecodePool
from vidsift.video.preprocessing import VideoReading
from vidsift.workers.sandbox import Limits


def _read(
    settings: ReadSettings, paths: list[str], workers: int, limits: Limits | None = None
) -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = {path: [] for path in paths}
    with DecodePool(settings, workers, limits) as pool:
        for item in pool.read(paths):
            if item is not None:
                found[item[0]].append(item[1])
    return found


def test_each_file_is_read_once_and_in_order(tmp_path: Path) -> None:
    paths = [str(path) for path in sorted(library(tmp_path, 4).iterdir())]
    found = _read(ReadSettings(READING, "auto", frozenset()), paths, 2)
    for messages in found.values():
        assert [type(one) for one in messages] == [Facts, Segment, Done]
    assert not multiprocessing.active_children()


def test_a_file_that_kills_its_reader_fails_alone(tmp_path: Path) -> None:
    library(tmp_path, 3)
    deadly = str(clip(tmp_path, "clip1b", frames=36))
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    settings = ReadSettings(DeadlyReading(**asdict(READING)), "auto", frozenset())
    found = _read(settings, paths, 1)
    last = found.pop(deadly)[-1]
    assert isinstance(last, Failed)
    assert last.reason == "the decoder crashed (signal 9)"
    assert last.size_bytes == Path(deadly).stat().st_size
    assert all(isinstance(messages[-1], Done) for messages in found.values())


@pytest.mark.parametrize(
    ("reading", "limits", "reason"),
    [
        (HangingReading, Limits(), "the decoder made no progress for 2 s"),
        (
            HungryReading,
            Limits(memory_limit_bytes=300 << 20),
            "the decoder needs more than 300 MiB of memory",
        ),
    ],
)
def test_a_file_beyond_the_limits_fails_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reading: type[VideoReading],
    limits: Limits,
    reason: str,
) -> None:
    library(tmp_path, 2)
    harmful = str(clip(tmp_path, "clip0b", frames=36))
    usual = DecodePool._patience_with
    # The others have all the time that a slow machine needs.
    monkeypatch.setattr(
        DecodePool,
        "_patience_with",
        lambda pool, worker: 2.0 if worker.started and worker.path == harmful else usual(pool, worker),
    )
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    found = _read(ReadSettings(reading(**asdict(READING)), "auto", frozenset()), paths, 1, limits)
    last = found.pop(harmful)[-1]
    status = Path(harmful).stat()
    assert last == Failed(reason, status.st_size, status.st_mtime_ns)
    assert all(isinstance(messages[-1], Done) for messages in found.values())
    assert not multiprocessing.active_children()


def test_a_slow_file_with_progress_is_not_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_work", work_slowly)
    settings = ReadSettings(READING, "auto", frozenset())
    assert _read(settings, ["slow"], 1, Limits(time_limit_seconds=3.0)) == {"slow": [Done(1, 2, None)]}


def test_a_worker_that_hangs_in_ending_costs_the_next_file_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_work", work_and_linger)
    monkeypatch.setattr("vidsift.workers.sandbox._END_SECONDS", 0.2)
    found = _read(ReadSettings(READING, "auto", frozenset()), ["bad", "good", "better"], 1)
    assert found == {
        "bad": [Failed("the decoder closed its pipe and did not end", 0, 0)],
        "good": [Done(1, 2, None)],
        "better": [Done(1, 2, None)],
    }
    assert not multiprocessing.active_children()


def test_a_picture_that_inflates_beyond_the_limit_fails_alone(tmp_path: Path) -> None:
    whole = str(clip(tmp_path, "whole"))
    bomb = str(png_bomb(tmp_path, "bomb", 4500))
    limits = Limits(memory_limit_bytes=100 << 20)
    found = _read(ReadSettings(READING, "auto", frozenset()), [bomb, whole], 1, limits)
    last = found[bomb][-1]
    assert isinstance(last, Failed)
    assert "memory" in last.reason
    assert isinstance(found[whole][-1], Done)


@pytest.mark.parametrize("already_gone", [True, False])
def test_a_worker_that_cannot_start_blames_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, already_gone: bool
) -> None:
    begin = multiprocessing.context.SpawnProcess.start

    def begin_and_wait(process: multiprocessing.context.SpawnProcess) -> None:
        begin(process)
        process.join()

    if already_gone:
        monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", begin_and_wait)
    monkeypatch.setattr(pools, "_work", die)
    paths = [str(path) for path in sorted(library(tmp_path, 2).iterdir())]
    with pytest.raises(OSError, match=r"could not be started: it crashed \(exit status 3\)"):
        _read(ReadSettings(READING, "auto", frozenset()), paths, 1)
    assert not multiprocessing.active_children()


def test_leaving_early_leaves_no_process_behind(tmp_path: Path) -> None:
    paths = [str(path) for path in sorted(library(tmp_path, 3).iterdir())]
    with DecodePool(ReadSettings(READING, "auto", frozenset()), 1) as pool:
        next(item for item in pool.read(paths) if item is not None)
    assert not multiprocessing.active_children()


def test_no_files_are_no_work() -> None:
    assert _read(ReadSettings(READING, "auto", frozenset()), [], 1) == {}


def test_no_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="workers is 0"):
        DecodePool(ReadSettings(READING, "auto", frozenset()), 0)
