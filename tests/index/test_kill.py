"""An indexing process that dies at the worst moments, and one that is asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.index.library import library, rows
from tests.methods import tiny

from vidsift.index.build import build_index
from vidsift.index.storage import Store

ROOT = Path(__file__).parents[2]

# Runs the verb itself; dies, or asks itself to stop, at the moment that the first argument names.
DRIVER = """
import os, signal, sys
from vidsift.index import build
from vidsift.index.storage import Store

moment, videos, model, folder = sys.argv[1:]
build._COMMIT_VIDEOS = 1
settle, commit_files, calls = build._Run._settle, Store.commit, [0]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def counted(self, *arguments):
    calls[0] += 1
    if moment == "reading" and calls[0] == 2:
        die()
    if moment == "ctrl-c" and calls[0] == 2:
        os.killpg(0, signal.SIGINT)
    return settle(self, *arguments)

def between(self, segments, files):
    if moment == "between tables" and segments is not None:
        self.segments.add(segments)
        die()
    commit_files(self, segments, files)
    if moment == "after a commit" and files:
        die()

build._Run._settle, Store.commit = counted, between
from vidsift.cli.main import main
main(["index", videos, "--model", model, "--index", folder, "--workers", "1"])
"""


def _run(tmp_path: Path, moment: str) -> subprocess.CompletedProcess[str]:
    places = [str(tmp_path / name) for name in ("videos", "model", "index")]
    return subprocess.run(
        [sys.executable, "-c", DRIVER, moment, *places],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
    )


def test_dying_at_any_moment_costs_only_what_was_in_flight(tmp_path: Path) -> None:
    library(tmp_path / "videos", 4)
    tiny.model().save(tmp_path / "model")
    for moment in ("reading", "between tables", "after a commit"):
        assert _run(tmp_path, moment).returncode == -signal.SIGKILL, moment
        Store.open(tmp_path / "index").read_files()
    kept = len(Store.open(tmp_path / "index").read_files())
    last = _run(tmp_path, "never")
    assert last.returncode == 0, last.stderr
    assert kept >= 2
    assert f"unchanged {kept}" in last.stdout

    build_index([tmp_path / "videos"], tmp_path / "undisturbed", tmp_path / "model", workers=1)
    assert rows(tmp_path / "index") == rows(tmp_path / "undisturbed")
    assert Store.open(tmp_path / "index").read_files() == Store.open(tmp_path / "undisturbed").read_files()


def test_ctrl_c_keeps_what_is_finished_and_says_so(tmp_path: Path) -> None:
    library(tmp_path / "videos", 4)
    tiny.model().save(tmp_path / "model")
    stopped = _run(tmp_path, "ctrl-c")
    assert stopped.returncode == 130, stopped.stderr
    assert "Stopping: keeping what is finished" in stopped.stderr
    assert "Stopped early" in stopped.stdout
    assert "Run the same command again to go on." in stopped.stdout
    assert len(rows(tmp_path / "index")) == 2
