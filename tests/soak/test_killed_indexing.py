"""An indexer that is killed again and again: nothing is lost, nothing is there twice."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from tests.index.library import library, rows
from tests.methods import tiny
from tests.soak.lives import assert_nobody_left, count, kill, start

from vidsift.index.build import build_index
from vidsift.index.check import check_index
from vidsift.index.storage import Store

KILLS = count("KILLS", 200)
VIDEOS = count("VIDEOS", 40)
_AT_STARTUP = 0.15

# Commits every second video, and says when work begins: torch takes its seconds to arrive.
DRIVER = """
import sys
from vidsift.index import build
build._COMMIT_VIDEOS = 2
work = build._Run.work
def telling(self, *arguments):
    print("working", flush=True)
    work(self, *arguments)
build._Run.work = telling
from vidsift.cli.main import main
main(sys.argv[1:])
"""


def _check_what_is_there(index: Path, videos: Path) -> None:
    """Every row is right and there once; rows of videos whose path was not yet written may be left over."""
    if not (index / "index.json").exists():
        return
    files = Store.open(index).read_files()
    assert {Path(path).parent for path in files} <= {videos}
    assert all(record.reason is None for record in files.values())
    wrong = check_index(index, contents=False).problems
    assert not wrong, "\n".join(map(str, wrong))


def test_kills_at_random_moments_cost_only_what_was_in_flight(tmp_path: Path) -> None:
    rng = random.Random(count("SEED", 0))
    videos, index, log = tmp_path / "videos", tmp_path / "index", tmp_path / "errors.txt"
    library(videos, VIDEOS)
    tiny.model().save(tmp_path / "model")
    began = time.monotonic()
    build_index([videos], tmp_path / "undisturbed", tmp_path / "model", workers=2)
    whole_seconds = time.monotonic() - began
    expected = rows(tmp_path / "undisturbed")
    expected_files = Store.open(tmp_path / "undisturbed").read_files()
    assert len(expected) == VIDEOS

    kills = finished = 0
    while kills < KILLS or not finished:
        arguments = ["index", str(videos), "--model", str(tmp_path / "model"), "--index", str(index)]
        process = start(["-c", DRIVER, *arguments, "--workers", "2"], log)
        assert process.stdout is not None
        if kills >= KILLS:
            delay = float("inf")
        elif rng.random() < _AT_STARTUP:
            delay = rng.uniform(0, 2)
        else:
            process.stdout.readline()
            delay = rng.uniform(0, whole_seconds)
        until = time.monotonic() + delay
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        if kill(process):
            kills += 1
            assert_nobody_left(process)
            _check_what_is_there(index, videos)
            continue
        assert process.returncode == 0, log.read_text("utf-8")[-2000:]
        assert rows(index) == expected
        assert Store.open(index).read_files() == expected_files
        assert check_index(index).problems == []
        finished += 1
        if kills < KILLS:
            shutil.rmtree(index)
    assert "Traceback" not in log.read_text("utf-8")
    print(f"{kills} kills, {finished} indexes finished in between and at the end")
