from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.index.library import findable
from tests.methods import tiny

from vidsift.cli.main import main


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An index of made-up videos that knows where its model is."""
    return str(findable(tmp_path_factory.mktemp("search"), tiny.model(), [5] * 9))


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["search", *arguments])
    return int(ended.value.code or 0)


def test_lines_have_score_moment_and_path(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("a red circle", "--index", index, "-t", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    scores = [float(line.split()[0]) for line in lines]
    assert scores == sorted(scores, reverse=True)
    for line in lines:
        assert line.split()[1].rstrip("?").endswith("%")
        start, end = line.split()[2].split("-")
        assert start.startswith("0:")
        assert end.startswith("0:")
        assert line.split()[3].startswith("/videos/")


def test_json_is_one_object_a_line(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("a red circle", "--index", index, "--json", "-t", "2") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["rank"] for one in found] == [1, 2]
    assert set(found[0]) == {
        "rank",
        "score",
        "confidence",
        "kind",
        "path",
        "start",
        "end",
        "segment_start",
        "segment_end",
        "segment_id",
        "video_id",
    }
    assert found[0]["segment_start"] <= found[0]["start"] < found[0]["end"] <= found[0]["segment_end"]


def test_paths_alone_are_for_pipes_each_once(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("circle", "--index", index, "-f", "-t", "100") == 0
    paths = capsys.readouterr().out.splitlines()
    assert len(paths) == len(set(paths)) == 6


def test_filters_and_grouping(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("circle", "--index", index, "--by", "video", "--under", "/videos/a", "-t", "9", "-v") == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3
    assert "9 segments searched with drl for: <|startoftext|> circle" in told.err
    assert _run("circle", "--index", index, "--min-duration", "100") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "no video fits the conditions" in told.err


def test_what_the_person_can_mend_is_one_line_and_status_2(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    tiny.model(seed=8).save(other)
    for arguments, text in (
        (["  ", "--index", index], "the query is empty"),
        (["circle " * 99, "--index", index], "too long: the model takes 16 tokens"),
        (["circle", "--index", str(tmp_path / "none")], "there is no index at"),
        (["circle", "--index", index, "--model", str(other)], "was made with another model"),
        (
            ["circle", "--index", index, "--device", "tpu"],
            "vidsift: device is 'tpu', expected auto, cpu or cuda",
        ),
        (["circle", "--index", index, "--by", "day"], "--by is 'day'"),
        (["circle", "--index", index, "--under", "/else"], "no video of the index lies under /else"),
    ):
        assert _run(*arguments) == 2
        told = capsys.readouterr()
        assert told.out == ""
        (line,) = told.err.strip().splitlines()
        assert line.startswith("vidsift: ")
        assert text in line
