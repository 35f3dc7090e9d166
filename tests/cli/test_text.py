from __future__ import annotations

import pytest

from vidsift.cli.text import clock, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/a/überraschung 🎬 日本\u3000.mp4", "/a/überraschung 🎬 日本\u3000.mp4"),
        ("new\nline\t\x1b[31m.mov", r"new\nline\t\x1b[31m.mov"),
        ("\x7f\x9b\u2028\udcff", r"\x7f\x9b\u2028\udcff"),
        (r"C:\films\a.mp4", r"C:\films\a.mp4"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert one_line(text) == shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0:00"), (62.5, "1:02.5"), (59.96, "1:00"), (3605.0, "1:00:05")]
)
def test_seconds_are_written_as_players_do(seconds: float, text: str) -> None:
    assert clock(seconds) == text
