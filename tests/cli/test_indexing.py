"""What is said on a terminal while videos are indexed."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidsift.cli.indexing import show_report, shown_progress
from vidsift.index.build import Progress, Report


def test_the_time_left_is_judged_by_what_was_read_since_files_were_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr("vidsift.cli.indexing.time.monotonic", lambda: now)
    with shown_progress() as show:
        now += 600.0  # a model to load: of no matter for the videos
        show(Progress(0, 40, 0))
        for done, seconds in ((1, 6.0), (4, 6.0), (10, 8.0), (40, 100.0)):
            now += seconds
            show(Progress(done, 40, 12 * done))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "1 of 40 videos, 0.2 videos/s, 2 frames/s",
        "4 of 40 videos, 0.3 videos/s, 4 frames/s, about 2 minutes left",
        "10 of 40 videos, 0.5 videos/s, 6 frames/s, about a minute left",
        "40 of 40 videos, 0.3 videos/s, 4 frames/s",
    ]


def test_what_was_passed_over_is_counted_in_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    over = {"single picture": 3, "animated WebP file": 1}
    show_report(Report(added=1, passed_over=over), Path("/index"), verbose=False, default=True)
    assert "\n1 animated WebP file and 3 single pictures passed over.\n" in capsys.readouterr().out
    show_report(Report(added=1), Path("/index"), verbose=False, default=True)
    assert "passed over" not in capsys.readouterr().out
