from __future__ import annotations

import pytest

from vidsift.cli.text import one_line


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
