"""Hits written to files by ``vidsift search --export``, of films in a real index."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tests.cli.films import IndexedFilms
from tests.methods import tiny
from tests.service.serving import index_of
from tests.video.making import Recipe, make

from vidsift.cli.main import main

pytestmark = pytest.mark.usefixtures("files_read_here")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["search", *arguments])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("kind", ["otio", "edl", "fcpxml", "csv", "m3u8"])
def test_hits_are_printed_and_written(
    library: IndexedFilms,
    kind: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("a red circle", "--export", f"hits.{kind}", "-n", "2", *library.options) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert f"2 moments written to hits.{kind}" in captured.err
    text = (tmp_path / f"hits.{kind}").read_text(encoding="utf-8")
    names = [film.name for film in library.films if film.name.replace("\n", "_") in text or film.stem in text]
    assert names


def test_a_variable_rate_is_said_and_a_missing_file_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny.model()
    model.save(tmp_path / "model")
    pts = [0, *(33 * n + (40 if n % 7 else 0) for n in range(1, 60))]
    films = [
        make(tmp_path, Recipe(frames=60, pts=sorted(pts), fps=30, b_frames=0), "phone"),
        make(tmp_path, Recipe(frames=50, fps=25), "plain"),
        make(tmp_path, Recipe(frames=40, fps=25), "gone"),
    ]
    index_of(tmp_path / "index", films, model)
    films[2].unlink()
    options = ["--index", str(tmp_path / "index"), "--model", str(tmp_path / "model"), "--by", "video"]
    assert run("a red circle", "--export", "hits.csv", *options) == 2
    errors = capsys.readouterr().err
    assert "phone.mp4 has a variable frame rate; it is counted at 30 frames a second" in errors
    assert f"not exported: {films[2]}" in errors
    with (tmp_path / "hits.csv").open(encoding="utf-8", newline="") as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert {name: row["frames_per_second"] for name, row in rows.items()} == {
        "phone.mp4": "30",
        "plain.mp4": "25",
    }
    plain = rows["plain.mp4"]
    assert int(plain["first_frame"]) == pytest.approx(float(plain["start_seconds"]) * 25, abs=0.51)
    assert int(plain["last_frame"]) <= 49


def test_a_file_that_cannot_be_written_is_refused_before_the_search(
    library: IndexedFilms,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name, text in (
        ("hits.xml", "expected one of .otio, .edl, .fcpxml, .csv, .m3u8"),
        ("file/hits.csv", "nothing can"),
    ):
        assert run("circle", "--export", name, *library.options) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert text in captured.err
    assert run("circle", "--min-duration", "99", "--export", "none.csv", *library.options) == 2
    assert "nothing to write to none.csv" in capsys.readouterr().err
