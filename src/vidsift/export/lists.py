"""Excerpts as a table and as a playlist, which need no library."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from vidsift.export.excerpts import Excerpt, rate_label

__all__ = ["csv_text", "m3u8_text"]

_COLUMNS = (
    "rank",
    "score",
    "file",
    "start_seconds",
    "end_seconds",
    "first_frame",
    "last_frame",
    "frames_per_second",
    "variable_rate",
)


def csv_text(excerpts: Sequence[Excerpt]) -> str:
    """Return a table with a head and a row for each excerpt; frames are counted from 0 in each file."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(_COLUMNS)
    for excerpt in excerpts:
        start, end = excerpt.span
        table.writerow(
            [
                excerpt.rank,
                "" if excerpt.score is None else f"{excerpt.score:.6f}",
                excerpt.path,
                f"{start:.6f}",
                f"{end:.6f}",
                excerpt.first,
                excerpt.stop - 1,
                rate_label(excerpt.timing.rate),
                "no" if excerpt.timing.constant else "yes",
            ]
        )
    return out.getvalue()


def m3u8_text(excerpts: Sequence[Excerpt]) -> str:
    """Return a playlist; VLC plays each excerpt alone (``EXTVLCOPT``), other players the whole files."""
    lines = ["#EXTM3U"]
    for excerpt in excerpts:
        start, end = excerpt.span
        lines += [
            f"#EXTINF:{end - start:.3f},{excerpt.name}",
            f"#EXTVLCOPT:start-time={start:.3f}",
            f"#EXTVLCOPT:stop-time={end:.3f}",
            # Of a path with a line break in it a player would take the first line.
            Path(excerpt.path).as_uri(),
        ]
    return "\n".join(lines) + "\n"
