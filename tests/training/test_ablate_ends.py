"""A grid that is asked to end, or killed: its processes end with it, and nobody else works in its folder."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from tests.forked import FORKING, program, until
from tests.training.small import losses, silent
from tests.training.test_ablate import grid
from tests.training.test_grid import GRID

from vidsift.errors import GridBusyError
from vidsift.files.locks import hold_lock
from vidsift.training.ablate import ablate
from vidsift.training.grid import Grid
from vidsift.training.trainer import StoppedEarly

END = 130
LONG = 10_000


def long_grid(steps: int = LONG) -> Grid:
    """Two runs that would take all day."""
    return grid(settings={"short": {"steps": steps}}, claims=[], rows=[GRID["rows"][0]])


def run(folder: str, processes: int) -> None:
    """What the process under test does."""
    try:
        ablate(long_grid(), folder, processes=processes)
    except StoppedEarly as early:
        print(early)
        sys.exit(END)


def _begun(folder: Path, seed: int) -> bool:
    output = folder / "short" / "dp" / f"seed{seed}" / "run"
    return (output / "metrics.jsonl").is_file() and bool(losses(output))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def _is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has asked about since is a shadow of state Z."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to see other processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["asked", "killed"])
def test_runs_are_saved_and_their_processes_end(tmp_path: Path, number: signal.Signals) -> None:
    # Fresh processes notice by themselves that the grid was killed.
    before = FORKING if number == signal.SIGTERM else ""
    code = f"{before}\nfrom tests.training.test_ablate_ends import run; run({str(tmp_path)!r}, 2)"
    process = program(code)
    try:
        process.wait_until(lambda: _begun(tmp_path, 3) and _begun(tmp_path, 4))
        with pytest.raises(
            GridBusyError, match=rf"process {process.pid} trains or runs a grid in .*--output"
        ):
            ablate(long_grid(), tmp_path, say=silent)
        children = _children(process.pid)
        assert len(children) >= 2
        process.send(number)
        until(lambda: process.status is not None)
        until(lambda: all(map(_is_gone, children)))
    finally:
        process.send(signal.SIGKILL, group=True)
        process.wait()
    said = process.said + process.errors
    if number == signal.SIGTERM:
        assert process.status == END, said
        assert "stopped; finished runs are kept, the same command goes on" in said
    for seed in (3, 4):
        output = tmp_path / "short" / "dp" / f"seed{seed}" / "run"
        assert (output / "checkpoints" / "last.pt").is_file()
        assert len(losses(output)) < LONG
    with hold_lock(tmp_path / "running.lock"):
        pass


def test_a_polite_kill_saves_the_run_of_one_process_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two runs, where no run listens by itself."""
    before = signal.getsignal(signal.SIGTERM)

    def judged(*_: object) -> object:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("it went on")

    monkeypatch.setattr("vidsift.training.ablate._judged", judged)
    with pytest.raises(StoppedEarly, match="the same command goes on"):
        ablate(long_grid(steps=2), tmp_path, say=silent)
    assert signal.getsignal(signal.SIGTERM) is before
    assert (tmp_path / "short" / "dp" / "seed3" / "run" / "model.safetensors").is_file()
