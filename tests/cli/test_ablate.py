"""``vidsift ablate`` as a person meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.training.test_grid import write

from vidsift.cli.main import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_a_quick_grid_writes_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked, report = write(tmp_path), tmp_path / "results" / "tiny.md"
    options = ("--quick", "-o", str(tmp_path / "out"), "--report", str(report), "--processes", "1")
    assert run("ablate", str(asked), *options, "--note", "On a test machine.") == 0
    printed = capsys.readouterr().out
    assert "tiny-quick: 1 runs, 0 done before, 1 at a time" in printed
    assert f"page written to {report}" in printed
    page = report.read_text("utf-8")
    assert page == (tmp_path / "out" / "report.md").read_text("utf-8")
    assert f"`vidsift ablate {asked.as_posix()} --quick`" in page
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
