from __future__ import annotations

import threading
from pathlib import Path

import pytest
import typer
from tests.index.library import library
from tests.methods import tiny

from vidsift.cli import calibrate
from vidsift.cli.main import main
from vidsift.index.build import Report
from vidsift.search import calibration
from vidsift.search.calibration import FILE, MIN_SEGMENTS
from vidsift.search.searcher import Index


def _refuse(*_: object) -> None:
    raise AssertionError("measured though nothing asked for it")


def test_a_run_measures_what_the_first_search_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library(tmp_path / "videos", MIN_SEGMENTS)
    tiny.model().save(tmp_path / "model")
    index = tmp_path / "index"
    arguments = ["index", str(tmp_path / "videos"), "--index", str(index), "--workers", "1"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--model", str(tmp_path / "model")])
    assert ended.value.code == 0
    assert (index / FILE).exists()

    with monkeypatch.context() as patch:
        patch.setattr(calibration, "calibrate", _refuse)
        assert Index.open(index).calibration is not None
    # Nothing has changed: nothing is read, let alone measured.
    monkeypatch.setattr(calibrate, "_calibrate", _refuse)
    for again in (arguments, ["index", "update", *arguments[2:]]):
        with pytest.raises(SystemExit) as ended:
            main(again)
        assert ended.value.code == 0


@pytest.mark.parametrize(
    ("report", "models"),
    [(Report(unchanged=3, moved=1), 1), (Report(added=1, stopped=True), 1), (Report(removed=1), 0)],
)
def test_what_changes_no_segment_or_was_stopped_is_not_followed_by_it(
    monkeypatch: pytest.MonkeyPatch, report: Report, models: int
) -> None:
    # Nothing is asserted below: measuring would raise.
    monkeypatch.setattr(calibrate, "_calibrate", _refuse)
    calibrate.calibrate_after(report, Path("index"), [tiny.model()] * models)


def test_failing_to_measure_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibrate, "_NOTICED_SECONDS", 600.0)
    calibrate.calibrate_after(Report(added=1), tmp_path / "nowhere", [tiny.model()])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        "vidsift: how sure hits are is left to the first search to measure: there is no "
    )
    assert captured.err.count("\n") == 1


def test_ctrl_c_leaves_it_to_the_first_search(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrate, "_calibrate", interrupted)
    with pytest.raises(typer.Exit) as ended:
        calibrate.calibrate_after(Report(added=1), Path("index"), [tiny.model()])
    assert ended.value.exit_code == 130
    assert "Left to the first search; the index is whole." in capsys.readouterr().err


def test_it_is_told_when_it_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []
    spoken = threading.Event()

    def hear(text: str, *, err: bool) -> None:
        assert err
        messages.append(text)
        spoken.set()

    def wait(*_: object) -> None:
        assert spoken.wait(60)

    monkeypatch.setattr(typer, "echo", hear)
    monkeypatch.setattr(calibrate, "_NOTICED_SECONDS", 0.0)
    monkeypatch.setattr(calibrate, "_calibrate", wait)
    calibrate.calibrate_after(Report(added=1), Path("index"), [tiny.model()])
    assert messages == ["Measuring how sure hits are (Ctrl-C leaves it to the first search) ..."]

    messages.clear()
    monkeypatch.setattr(calibrate, "_NOTICED_SECONDS", 600.0)
    monkeypatch.setattr(calibrate, "_calibrate", lambda *_: None)
    calibrate.calibrate_after(Report(added=1), Path("index"), [tiny.model()])
    assert messages == []
