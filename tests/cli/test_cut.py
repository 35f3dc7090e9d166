"""Clips from the command line, of small films in a real index."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.cli.films import IndexedFilms
from tests.methods import tiny
from tests.service.serving import index_of

from vidsift.cli.main import main
from vidsift.video import probe

pytestmark = pytest.mark.usefixtures("files_read_here")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["cut", *arguments])
    return int(ended.value.code or 0)


def test_what_a_question_finds_is_cut_and_each_clip_is_named(
    library: IndexedFilms, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("a red circle", "-n", "2", "-o", "clips", "--pad", "0.2", *library.options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    clips = sorted((tmp_path / "clips").iterdir())
    assert sorted(str(path.relative_to(tmp_path)) for path in clips) == sorted(lines)
    for path in clips:
        assert probe(path).duration_seconds > 0.4


def test_the_same_filters_as_search_and_names_with_line_breaks(
    library: IndexedFilms, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    under = str(library.films[0].parent)
    assert run("circle", "--by", "video", "--under", under, "--min-duration", "2.05", *library.options) == 0
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 2
    assert sorted(name[:3] for name in names) == ["b_b", "c 0"]
    assert run("circle", "--min-duration", "99", *library.options) == 2
    assert "nothing was found, so nothing is cut" in capsys.readouterr().err


def test_named_seconds_need_no_index(
    library: IndexedFilms, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = str(library.films[0])
    assert run(film, "0.5", "0:01.5") == 0
    assert capsys.readouterr().out == "a 0.5s-1.5s.mp4\n"
    assert probe(tmp_path / "a 0.5s-1.5s.mp4").duration_seconds == pytest.approx(1.0, abs=0.01)
    assert run(film, "0.5", "1.5") == 0
    assert capsys.readouterr().out == "a 0.5s-1.5s (2).mp4\n"


def test_a_fast_copy_says_how_far_it_overruns(
    library: IndexedFilms, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(library.films[0]), "0.5", "1.0", "--fast") == 0
    captured = capsys.readouterr()
    assert captured.out == "a 0.5s-1.0s.mp4\n"
    assert "copied; it also holds 0.5 s before the start, which most players skip" in captured.err
    assert run(str(library.films[0]), "1", "2", "--fast") == 0
    assert "copied, without any overrun" in capsys.readouterr().err


def test_what_is_missing_or_changed_is_told_and_the_rest_is_written(
    library: IndexedFilms, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    films = [Path(shutil.copy2(film, folder)) for film in library.films]
    index_of(tmp_path / "index", films, tiny.model())
    films[0].unlink()
    films[1].write_bytes(b"no video any more")
    options = ["--index", str(tmp_path / "index"), *library.options[2:]]
    assert run("circle", "--by", "video", "-o", str(tmp_path / "clips"), *options) == 2
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == len(list((tmp_path / "clips").iterdir())) == 1
    errors = sorted(line for line in captured.err.splitlines() if "not cut" in line)
    assert len(errors) == 2
    assert errors[0] == (
        f"vidsift: not cut: {films[0]}: is not where it was; connect its disk or put it back"
    )
    assert "b\\nb.mp4 is not the file that was indexed" in errors[1]


def test_what_the_person_can_mend_is_a_line(
    library: IndexedFilms, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = str(library.films[0])
    (tmp_path / "file").write_bytes(b"")
    for arguments, text in (
        ([], "say what the video shows"),
        (["a", "red"], "2 words; put the question in quotes"),
        (["a", "red", "circle"], "START is 'red', expected seconds"),
        ([film, "2", "1"], "START is 2 and END is 1; END has to come after START"),
        ([film, "7", "8"], "a.mp4: is 2.0 s long, so nothing can be cut from 7 s on"),
        ([film, "0", "1", "--by", "video"], "leave out what searches"),
        (["none.mp4", "0", "1"], "none.mp4: cannot be read: No such file"),
        (["file", "0", "1"], "file: is empty (0 bytes)"),
        ([film, "0", "1", "-o", "file"], "nothing can be written to file"),
    ):
        assert run(*arguments) == 2, arguments
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.strip().splitlines()
        assert line.startswith("vidsift: ")
        assert text in line
