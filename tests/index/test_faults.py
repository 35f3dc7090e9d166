"""Disks that fill up, files that change under the reader, two indexers at once.

Whatever happens, the next undisturbed run ends with the same rows as if nothing had ever happened.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.forked import vidsift
from tests.index.forked import Forked
from tests.index.library import clip, library, rows
from tests.index.strange import PREPROCESSING, MeddlingPreprocessing
from tests.methods import tiny

from vidsift.errors import IndexFolderError, IndexWriteError
from vidsift.index import build
from vidsift.index.build import Report, build_index
from vidsift.index.check import check_index
from vidsift.index.storage import Store
from vidsift.index.tables import Table
from vidsift.search.questions import one_thread

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def _as_the_forked() -> Iterator[None]:
    """Compute on one thread, as the forked runs do: how a sum is split shows in its last bits."""
    with one_thread():
        yield


@pytest.fixture(scope="module")
def home(_as_the_forked: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``videos``, ``model``, and ``undisturbed``, the index of both."""
    place = tmp_path_factory.mktemp("home")
    library(place / "videos", 6)
    tiny.model().save(place / "model")
    build_index([place / "videos"], place / "undisturbed", place / "model", workers=1)
    return place


def _assert_as_undisturbed(index: Path, home: Path) -> None:
    assert rows(index) == rows(home / "undisturbed")
    assert Store.open(index).read_files() == Store.open(home / "undisturbed").read_files()
    report = check_index(index)
    assert (report.problems, report.loose) == ([], 0)


def _assert_whole_so_far(index: Path) -> None:
    """What is there is right, whenever somebody looks; only rows without a path may be left over."""
    if (index / "index.json").exists():
        assert check_index(index, contents=False).problems == []


@pytest.mark.parametrize("failing_write", range(4))
def test_a_disk_that_is_full_at_any_commit(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_write: int
) -> None:
    """The n-th write of the store fails: segments or files, whichever comes then."""
    monkeypatch.setattr(build, "_COMMIT_VIDEOS", 2)
    calls = [0]

    def failing(write: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            calls[0] += 1
            if calls[0] == failing_write + 1:
                raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)")
            return write(*arguments, **named)

        return counted

    with monkeypatch.context() as patch:
        for name in ("add", "upsert"):
            patch.setattr(Table, name, failing(getattr(Table, name)))
        with pytest.raises(IndexWriteError, match="No space left on device"):
            build_index([home / "videos"], tmp_path / "index", home / "model", workers=1)
    _assert_whole_so_far(tmp_path / "index")
    assert len(Store.open(tmp_path / "index").read_files()) == failing_write // 2 * 2
    build_index([home / "videos"], tmp_path / "index", home / "model", workers=1)
    _assert_as_undisturbed(tmp_path / "index", home)


def test_a_disk_that_really_takes_no_more(home: Path, tmp_path: Path) -> None:
    """The system refuses the bytes, wherever in the store they are written."""
    limited = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))\n"
    )
    arguments = ["index", str(home / "videos"), "--model", str(home / "model"), "--workers", "1"]
    ended = vidsift(*arguments, "--index", str(tmp_path / "index"), before=limited)
    assert ended.wait() == 2, ended.errors
    line = ended.errors.strip().splitlines()[-1]
    assert "could not be written" in line
    assert "File too large" in line
    _assert_whole_so_far(tmp_path / "index")
    build_index([home / "videos"], tmp_path / "index", home / "model", workers=1)
    _assert_as_undisturbed(tmp_path / "index", home)


@pytest.mark.parametrize("meddle", ["change", "remove"])
def test_a_file_that_changes_or_vanishes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meddle: str
) -> None:
    library(tmp_path / "videos", 2)
    victim = clip(tmp_path / "videos", "clip0b", frames=36)
    monkeypatch.setenv("VICTIM", str(victim))
    monkeypatch.setenv("MEDDLE", meddle)
    model = tiny.model()
    model.preprocessing = MeddlingPreprocessing(**asdict(PREPROCESSING))
    first = build_index([tmp_path / "videos"], tmp_path / "index", model, workers=1)
    assert first.added == 2
    (failed,) = first.failed
    assert failed.path == str(victim)
    reason = {"change": "changed while it was being read; index again", "remove": "there is no such file"}
    assert failed.reason == reason[meddle]
    assert len(rows(tmp_path / "index")) == 2

    monkeypatch.setenv("VICTIM", str(tmp_path / "nobody"))
    second = build_index([tmp_path / "videos"], tmp_path / "index", model, workers=1)
    assert (second.added, second.removed) == ((1, 0) if meddle == "change" else (0, 1))
    build_index([tmp_path / "videos"], tmp_path / "undisturbed", model, workers=1)
    assert rows(tmp_path / "index") == rows(tmp_path / "undisturbed")
    files = Store.open(tmp_path / "index").read_files()
    assert files == Store.open(tmp_path / "undisturbed").read_files()


def test_two_indexers_at_once_store_nothing_twice(home: Path, tmp_path: Path) -> None:
    first, second = Forked(home, tmp_path / "index"), Forked(home, tmp_path / "index")
    first.start()
    second.start()
    ends = {first.wait(), second.wait()}
    # The second is refused while the first writes, or finds everything done.
    assert 0 in ends
    assert ends <= {0, 2}
    _assert_as_undisturbed(tmp_path / "index", home)


def test_a_read_only_folder_is_refused_and_can_be_checked(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    shutil.copytree(home / "undisturbed", index)
    places = [index, *index.rglob("*")]
    for path in places:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:  # whom the system refuses nothing
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != index or mode != os.W_OK)
    before = {path: path.stat().st_mtime_ns for path in places}
    with pytest.raises(IndexFolderError, match="may not be written by this user"):
        build_index([home / "videos"], index, home / "model", workers=1)
    with pytest.raises(IndexFolderError, match="may not be written by this user"):
        Store.open(index).set_tags(str(rows(index)[0]["video_id"]), ["a"])
    with pytest.raises(IndexFolderError, match="may not be written by this user"):
        check_index(index, repair=True)
    assert check_index(index).problems == []
    assert {path: path.stat().st_mtime_ns for path in (index, *index.rglob("*"))} == before
    for path in places:
        path.chmod(0o755)


def _pausing(home: Path, index: Path) -> tuple[Report, list[int]]:
    """Pause after the second video; return how many rows others saw in the pause."""
    seen: list[int] = []
    done = [0]

    def count(progress: Any) -> None:
        done[0] = progress.videos_done

    def pause() -> bool:
        if done[0] < 2 or len(seen) >= 3:
            return False
        seen.append(len(rows(index)) if (index / "index.json").exists() else 0)
        return True

    report = build_index(
        [home / "videos"], index, home / "model", workers=1, on_progress=count, should_pause=pause
    )
    return report, seen


def test_a_pause_commits_what_is_finished_and_goes_on(home: Path, tmp_path: Path) -> None:
    report, seen = _pausing(home, tmp_path / "index")
    assert seen[0] == 0
    assert seen[-1] >= 2
    assert (report.added, report.stopped) == (6, False)
    _assert_as_undisturbed(tmp_path / "index", home)
