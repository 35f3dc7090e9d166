"""``vidsift explain``: a table, a picture, JSON; black boxes say that they have no account."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.index.library import clip, findable
from tests.methods import tiny

from vidsift.cli.main import main
from vidsift.cli.text import clock
from vidsift.index.build import build_index
from vidsift.search.searcher import Index

QUERY = "a red circle moves left"
BLACK_BOX = {"interaction": "mlp", "temporal": "none"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two real clips, with its model beside it."""
    folder = tmp_path_factory.mktemp("explain")
    for name, frames in (("one", 24), ("two", 36)):
        clip(folder / "videos", name, frames=frames)
    tiny.model().save(folder / "model")
    build_index([folder / "videos"], folder / "index", folder / "model", workers=1, segment=2.0)
    return folder


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["explain", *arguments])
    return int(ended.value.code or 0)


def test_the_table_has_a_line_for_each_word_and_sums_to_the_score(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = str(folder / "videos" / "two.mp4")
    assert _run(QUERY, video, "--index", str(folder / "index")) == 0
    lines = capsys.readouterr().out.splitlines()
    score, stretch, path = lines[0].split()
    best = min(Index.open(folder / "index").in_video(QUERY, _id(folder, video)), key=lambda hit: hit.rank)
    assert float(score) == pytest.approx(best.score, abs=1e-4)
    assert path == video
    assert stretch == f"{clock(best.segment[0])}-{clock(best.segment[1])}"
    assert lines[2].startswith("word-frame gave ")
    words = [line.split() for line in lines[4:]]
    assert [line[-1] for line in words] == ["<|startoftext|>", *QUERY.split(), "<|endoftext|>"]
    assert sum(float(line[0]) for line in words) == pytest.approx(best.score, abs=1e-3)
    assert all(line[2].startswith("0:") for line in words)


def _id(folder: Path, video: str) -> str:
    return Index.open(folder / "index").video_at(video)


def test_json_is_the_whole_account_of_a_segment(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segment = Index.open(folder / "index").gallery.segment_ids[1]
    assert _run(QUERY, segment, "--index", str(folder / "index"), "--json") == 0
    account = json.loads(capsys.readouterr().out)
    assert account["segment_id"] == segment
    assert account["moment_from"] == ["word-frame"]
    (term,) = account["terms"]
    assert sum(map(sum, term["contributions"])) == pytest.approx(account["score"], abs=1e-6)
    assert len(term["words"]) == len(term["values"]) == len(term["text_weights"]) == 7
    assert len(term["times_seconds"]) == len(term["values"][0]) == len(term["video_weights"])


def test_a_picture_is_drawn(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "why.png"
    video = str(folder / "videos" / "one.mp4")
    assert _run(QUERY, video, "--index", str(folder / "index"), "-o", str(target)) == 0
    with Image.open(target) as picture:
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(2**24) or ()) > 100
    assert _run(QUERY, video, "--index", str(folder / "index"), "-o", str(tmp_path / "why.docx")) == 2
    assert "docx" in capsys.readouterr().err


def test_what_cannot_be_explained_says_why(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    black = findable(tmp_path, tiny.model("drl", BLACK_BOX), [5] * 3)
    segment = Index.open(black).gallery.segment_ids[0]
    for arguments, message in (
        ((" ", segment, "--index", str(black), "--leave-out"), "the query is empty"),
        (("a " * 40, segment, "--index", str(black), "--leave-out"), "the query is too long"),
        ((QUERY, "/none.mp4", "--index", str(folder / "index")), "the index holds no video at /none.mp4"),
        ((QUERY, segment, "--index", str(tmp_path / "none")), "there is no index at"),
        (("a + ", segment, "--index", str(black)), "needs a sentence on both sides"),
    ):  # fmt: skip
        assert _run(*arguments) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def _falls(lines: list[str]) -> dict[str, float]:
    start = next(row for row, line in enumerate(lines) if line.endswith(" without")) + 1
    return {line.split()[-1]: float(line.split()[0]) for line in lines[start:]}


def test_words_are_left_out_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (QUERY, str(folder / "videos" / "two.mp4"), "--index", str(folder / "index"))
    assert _run(*arguments) == 0
    plain = capsys.readouterr().out
    assert _run(*arguments, "--leave-out") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(plain)
    lines = printed.removeprefix(plain).splitlines()
    assert lines[:4] == [
        "",
        "left out: how much the score falls without the word",
        "interactions between words are counted in each of them, so falls need not add up to the score",
        "  falls by   most at  without",
    ]
    index = Index.open(folder / "index")
    leaving_out = index.explain(QUERY, index.segment_of(QUERY, arguments[1]), leave_out=True).leaving_out
    assert leaving_out is not None
    expected = {word.word: word.fall for word in leaving_out.words}
    assert list(expected) == QUERY.split()
    assert _falls(lines) == pytest.approx(expected, abs=5.1e-5)
    assert _run(*arguments, "--leave-out", "--json") == 0
    assert json.loads(capsys.readouterr().out)["leaving_out"] == leaving_out.to_dict()
    assert _run(*arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["leaving_out"] is None
    assert _run("a circle - a square", *arguments[1:], "--leave-out") == 0
    lines = capsys.readouterr().out.partition("left out: ")[2].splitlines()
    assert [line for line in lines if line.startswith("  of ")] == [
        '  of "a circle", counts 0.5 times',
        '  of "a square", counts -0.5 times',
    ]


def test_where_nothing_else_tells_words_apart_they_are_left_out_anyway(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, model in (("plain", tiny.model("zero_shot")), ("black", tiny.model("drl", BLACK_BOX))):
        folder = findable(tmp_path / name, model, [5] * 3)
        segment = Index.open(folder).gallery.segment_ids[0]
        assert _run("a red - circle", segment, "--index", str(folder), "-o", str(tmp_path / "why.png")) == 0
        lines = capsys.readouterr().out.splitlines()
        account = "no account of what each word and frame gave: PairPerceptron is a black box"
        assert any(line.startswith(account) for line in lines) is (name == "black")
        assert lines[-6] == '  of "a red", counts 0.5 times'
        assert lines[-2].split() == ["-", "circle"]
        assert lines[-1] == "  -: the only word of its sentence; without it there is nothing to score"
        with Image.open(tmp_path / "why.png") as picture:
            assert picture.width > 800
    assert _run("\U0001f680", segment, "--index", str(folder)) == 0
    assert capsys.readouterr().out.endswith("  the question has no word of letters or digits\n")


def test_maps_of_the_picture_are_printed_and_the_file_may_be_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = clip(tmp_path / "videos", "own", frames=20)
    tiny.model("ts2net", {"selected": 2, "temporal_layers": 1}).save(tmp_path / "model")
    build_index([file], tmp_path / "index", tmp_path / "model", workers=1)
    arguments = (QUERY, str(file), "--index", str(tmp_path / "index"))
    assert _run(*arguments, "--json", "-o", str(tmp_path / "why.png")) == 0
    (term,) = json.loads(capsys.readouterr().out)["terms"]
    assert [sum(row) for row in term["patches"]] == [2] * tiny.FRAMES
    with Image.open(tmp_path / "why.png") as picture:
        with_maps = picture.height
    file.unlink()
    assert _run(*arguments, "--json", "-o", str(tmp_path / "why.png")) == 0
    captured = capsys.readouterr()
    account = json.loads(captured.out)
    assert account["terms"][0]["patches"] is None
    assert "own" in account["maps_missing"]
    assert "no map of the picture" in captured.err
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.height < with_maps


def test_what_was_searched_for_is_explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (str(folder / "videos" / "two.mp4"), "--index", str(folder / "index"), "--json")
    assert _run(QUERY, *arguments) == 0
    plain = capsys.readouterr()
    assert _run(f"show me {QUERY}.", *arguments) == 0
    assert capsys.readouterr() == (plain.out, f"vidsift: searched for: {QUERY}\n{plain.err}")
    assert _run(f"show me {QUERY}", *arguments, "--verbatim") == 0
    verbatim = capsys.readouterr()
    assert json.loads(verbatim.out)["query"] == f"show me {QUERY}"
    assert verbatim.err == plain.err
