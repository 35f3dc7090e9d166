from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.index.library import clip, library
from tests.methods import tiny

from vidsift.errors import IndexFolderError
from vidsift.index.build import Report
from vidsift.index.storage import Store
from vidsift.index.watch import watch_index


def _until(done: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.02)


@contextmanager
def watching(places: list[Path], index: Path, *, poll: bool) -> Iterator[tuple[list[Report], list[str]]]:
    """Watch in a thread; gives the reports and the troubles that were told."""
    stopped = threading.Event()
    reports: list[Report] = []
    troubles: list[str] = []

    def work() -> None:
        watch_index(
            places,
            index,
            tiny.model(),
            stopped=stopped,
            on_report=reports.append,
            on_trouble=troubles.append,
            poll=poll,
            quiet_seconds=0.1,
            workers=1,
        )

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield reports, troubles
    finally:
        stopped.set()
        thread.join(timeout=30)
    assert not thread.is_alive()


@pytest.mark.parametrize("poll", [False, True])
def test_what_comes_and_goes_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poll: bool) -> None:
    watchfiles = pytest.importorskip("watchfiles")
    looks: list[int] = []
    watch = watchfiles.watch

    def counted(*places: Any, **options: Any) -> Iterator[Any]:
        for changes in watch(*places, **options):
            looks.append(len(changes))
            yield changes

    monkeypatch.setattr(watchfiles, "watch", counted)
    videos, index = library(tmp_path / "videos", 1), tmp_path / "videos" / "index"
    with watching([videos], index, poll=poll) as (reports, troubles):
        _until(lambda: len(reports) == 1)
        assert reports[0].added == 1
        # What the run wrote has had its time to be noticed.
        before = len(looks)
        _until(lambda: len(looks) >= before + 8)
        assert looks[before:] == [0] * len(looks[before:]), "the index itself was taken for a change"
        assert len(reports) == 1
        clip(videos / "deep", "new", frames=20)
        _until(lambda: sum(report.added for report in reports) == 2)
        (videos / "clip0.mp4").unlink()
        _until(lambda: any(report.removed for report in reports))
        with Store.open(index).writing():
            clip(videos, "newer", frames=25)
            _until(lambda: bool(troubles))
        assert "another process is writing" in troubles[0]
        _until(lambda: sum(report.added for report in reports) == 3)
        assert len(troubles) == 1
    assert {Path(path).name for path in Store.open(index).read_files()} == {"new.mp4", "newer.mp4"}


def test_a_folder_that_goes_away_does_not_end_the_watch_of_others(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    videos, away = library(tmp_path / "videos", 1), tmp_path / "away"
    away.mkdir()
    with watching([videos, away], tmp_path / "index", poll=True) as (reports, troubles):
        _until(lambda: len(reports) == 1)
        away.rmdir()
        clip(videos, "new", frames=20)
        _until(lambda: sum(report.added for report in reports) == 2)
    assert troubles == [f"{away}: not there now; what is known of it stays"]


def test_what_the_index_remembers_is_watched_unless_something_is_named(tmp_path: Path) -> None:
    with pytest.raises(IndexFolderError, match="there is no index"):
        watch_index(index=tmp_path / "index", stopped=threading.Event(), on_report=lambda _: None)


def test_a_missing_library_is_an_error_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "watchfiles":
            raise ImportError("No module named 'watchfiles'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'vidsift\[watch\]'"):
        watch_index([tmp_path], tmp_path / "index", stopped=threading.Event(), on_report=lambda _: None)
