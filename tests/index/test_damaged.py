"""A short sample of the damaged files that ``make soak`` reads by the thousand."""

from __future__ import annotations

import re
from pathlib import Path

from tests.index.damaging import read_damaged
from tests.video.making import Recipe, copy_packets, make


def test_no_damaged_file_stops_the_run_or_costs_a_neighbour(tmp_path: Path) -> None:
    mp4 = make(tmp_path, Recipe(frames=24), "h264")
    sources = [
        mp4,
        copy_packets(mp4, tmp_path / "copy.mkv"),
        copy_packets(mp4, tmp_path / "stream.ts"),
        make(tmp_path, Recipe(frames=12, suffix=".avi", codec="mpeg4", b_frames=0), "mpeg4"),
        make(tmp_path, Recipe(frames=12, suffix=".mpg", codec="mpeg2video", gop=12, fps=25), "mpeg2"),
    ]
    summary = read_damaged(tmp_path / "damaged", sources, 80, seed=1, workers=1, limit_seconds=60)
    counts = {kind: int(number) for kind, number in re.findall(r"'([a-z ]+)': (\d+)", summary)}
    assert sum(counts.values()) == 80
    # Damage shows: some give nothing, some give a part.
    assert counts["failed"] > 5
    assert counts["partial"] > 5
