"""``vidsift ablate`` as a person meets it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from tests.forked import FORKING, SLOWLY, vidsift
from tests.training.test_grid import GRID, write

from vidsift.cli.main import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_a_quick_grid_writes_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid_file, report = write(tmp_path), tmp_path / "results" / "tiny.md"
    options = ("--quick", "-o", str(tmp_path / "out"), "--report", str(report), "--processes", "1")
    assert run("ablate", str(grid_file), *options, "--note", "On a test machine.") == 0
    printed = capsys.readouterr().out
    assert "tiny-quick: 1 runs, 0 done before, 1 at a time" in printed
    assert f"page of 1 runs written to {report}" in printed
    page = report.read_text("utf-8")
    assert page == (tmp_path / "out" / "report.md").read_text("utf-8")
    assert f"`vidsift ablate {grid_file.as_posix()} --quick`" in page
    assert "On a test machine." in page
    assert "## long" in page
    assert "| row | method | R@1 | appearance | motion |" in page
    assert "| dp alone |  | long | not run: dp | not tested |" in page


def test_a_fault_in_the_grid_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ablate", str(tmp_path / "none.yaml")) == 2
    assert "there is no recipe" in capsys.readouterr().err
    assert run("ablate", str(write(tmp_path, seeds=["x"]))) == 2
    error = capsys.readouterr().err
    assert "seeds.0 is 'x'" in error
    assert error.count("\n") == 1


def test_ctrl_c_stops_the_runs_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = GRID["rows"][:1]
    grid_file = write(tmp_path, settings={"long": {"steps": 40}}, rows=rows, claims=[], quick=None)
    out = tmp_path / "out"
    command = ["ablate", str(grid_file), "-o", str(out), "--processes"]
    child = vidsift(*command, "2", before=FORKING + SLOWLY)
    child.wait_until(lambda: sum(log.stat().st_size > 0 for log in out.rglob("metrics.jsonl")) >= 2)
    child.send(signal.SIGINT, group=True)
    status, printed = child.wait(), child.said + child.errors
    assert status == 130, printed
    assert "stopped; finished runs are kept, the same command goes on" in printed
    assert "Traceback" not in printed
    assert "page of 0 runs written to" in printed
    assert "Not run yet." in (out / "report.md").read_text("utf-8")
    half_done = list(out.rglob("last.pt"))
    assert half_done
    assert run(*command, "1") == 0
    assert "page of 2 runs written to" in capsys.readouterr().out
    records = json.loads((out / "report.json").read_text("utf-8"))
    assert [record["steps"] for record in records] == [40] * 2
    assert not list(out.rglob("last.pt"))
