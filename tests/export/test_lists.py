from __future__ import annotations

import csv
import io
from fractions import Fraction
from urllib.parse import unquote, urlsplit

from tests.export.making import NTSC, PAL, excerpt

from vidsift.export.lists import csv_text, m3u8_text

ODD = '/films/a, "b"\nc é.mp4'


def test_a_table_reads_back() -> None:
    text = csv_text(
        [excerpt(1800, 1830, NTSC, path=ODD), excerpt(0, 1, Fraction(30), constant=False, rank=2)]
    )
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert first == {
        "rank": "1",
        "score": "0.250000",
        "file": ODD,
        "start_seconds": "60.060000",
        "end_seconds": "61.061000",
        "first_frame": "1800",
        "last_frame": "1829",
        "frames_per_second": "29.97",
        "variable_rate": "no",
    }
    assert (second["first_frame"], second["last_frame"], second["variable_rate"]) == ("0", "0", "yes")


def test_a_playlist_names_files_and_seconds() -> None:
    lines = m3u8_text([excerpt(50, 75, PAL, path=ODD), excerpt(0, 25, PAL)]).splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[1:4] == [
        '#EXTINF:1.000,a, "b"_c é.mp4',
        "#EXTVLCOPT:start-time=2.000",
        "#EXTVLCOPT:stop-time=3.000",
    ]
    assert unquote(urlsplit(lines[4]).path) == ODD
    assert len(lines) == 9
