from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.index.library import clip, findable
from tests.methods import tiny

from vidsift.cli.main import main
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search import sequence
from vidsift.search.calibration import Calibrator
from vidsift.search.confidence import Calibration, Fits, Gumbel
from vidsift.search.searcher import Index


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
        word, moment, path = re.split(r"\s{2,}", line.split(maxsplit=1)[1])
        assert word in ("good match", "possible match", "unlikely")
        assert re.fullmatch(r"0:\d\d(\.\d)?-0:\d\d(\.\d)?", moment)
        assert path.startswith("/videos/")


def test_json_is_one_object_a_line(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("a red circle", "--index", index, "--json", "-t", "2") == 0
    hits = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert set(hits[0]) == {
        "rank",
        "score",
        "confidence",
        "match",
        "kind",
        "path",
        "start",
        "end",
        "segment_start",
        "segment_end",
        "segment_id",
        "video_id",
    }
    assert hits[0]["segment_start"] <= hits[0]["start"] < hits[0]["end"] <= hits[0]["segment_end"]


def test_paths_alone_are_for_pipes_each_once(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("circle", "--index", index, "-f", "-t", "100") == 0
    paths = capsys.readouterr().out.splitlines()
    assert len(paths) == len(set(paths)) == 6


def test_filters_and_grouping(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("circle", "--index", index, "--by", "video", "--under", "/videos/a", "-t", "9", "-v") == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 3
    assert "9 segments searched with drl for: <|startoftext|> circle" in captured.err
    assert _run("circle", "--index", index, "--min-duration", "100") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no video fits the conditions" in captured.err


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
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.strip().splitlines()
        assert line.startswith("vidsift: ")
        assert text in line


def test_sentences_in_order_are_one_hit_a_video(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("a red circle", "--then", "two triangles", "--index", index, "--json", "-t", "3") == 0
    hits = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len({hit["video_id"] for hit in hits}) == 3
    for hit in hits:
        first, then = hit["parts"]
        assert first["start"] <= then["start"] + 6
        assert (hit["start"], hit["segment_end"]) == (first["start"], then["segment_end"])


def test_more_sentences_in_order_than_pictures_are_told(
    index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    many = [word for _ in range(11) for word in ("--then", "circle")]
    assert _run("circle", *many, "--index", index) == 0
    captured = capsys.readouterr()
    assert not captured.out
    assert "no video has as many as 12 pictures" in captured.err
    assert _run("circle", *many, "--index", index, "--max-duration", "3") == 0
    assert "no video fits the conditions" in capsys.readouterr().err


def test_similar_footage_is_asked_for_by_segment_file_or_second(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = Index.open(index).gallery.segment_ids[0]
    video = str(clip(tmp_path, "clip@2"))
    for like in (segment, video, f"{video}@0.5"):
        assert _run("--like", like, "--index", index, "--json", "-t", "4") == 0
        captured = capsys.readouterr()
        assert "similar footage: these scores are not comparable with those of texts" in captured.err
        hits = [json.loads(line) for line in captured.out.splitlines()]
        assert [hit["kind"] for hit in hits] == ["similar footage"] * 4
        assert all(hit["segment_id"] != segment or like != segment for hit in hits)
        assert all(hit["confidence"] is None for hit in hits)


@pytest.mark.parametrize(("limit", "weak"), [(-9.0, False), (9.0, True)])
def test_nothing_fits_is_said_and_the_nearest_are_marked(
    index: str, limit: float, weak: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Model, "knows", "drawn shapes\nonly")
    fits = Gumbel(limit, 0.1)
    monkeypatch.setattr(Calibrator, "calibration", Calibration(fits, fits, Gumbel(0.0, 1.0), 40))
    assert _run("a red circle", "--index", index, "-t", "3") == 0
    captured = capsys.readouterr()
    assert ("nothing in the library fits; this comes nearest" in captured.err) is weak
    assert captured.out.count("unlikely" if weak else "good match") == 3
    assert captured.err.count("vidsift: about the model: drawn shapes\\nonly\n") == weak
    assert _run("a red circle", "--index", index, "--under", "/videos/a") == 0
    assert ("nothing among these videos fits" in capsys.readouterr().err) is weak
    # Who names a limit wants what lies above it, and no opinion.
    assert _run("a red circle", "--index", index, "--min-score", "-1") == 0
    captured = capsys.readouterr()
    assert "fits" not in captured.err


@pytest.mark.parametrize("then", [[], ["--then", "two triangles"]])
def test_the_word_and_whether_anything_fits_go_by_one_rule(
    index: str, then: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for confidence, lead, word in (
        (0.9499, 9.0, "unlikely"),
        (0.95, 0.0, "possible match"),
        (0.985, 9.0, "good match"),
        (0.9999, 0.0, "good match"),
        (0.29, 0.0, "unlikely"),
    ):
        monkeypatch.setattr(Fits, "confidence", lambda *_, sure=confidence: sure)
        monkeypatch.setattr(Fits, "lead", lambda *_, far=lead: far)
        assert _run("a red circle", *then, "--index", index, "-t", "1") == 0
        captured = capsys.readouterr()
        assert f" {word} " in captured.out
        assert ("nothing in the library fits" in captured.err) is (word == "unlikely")
        assert _run("a red circle", *then, "--index", index, "-t", "1", "--json") == 0
        hit = json.loads(capsys.readouterr().out)
        assert (hit["confidence"], hit["match"]) == (confidence, word)


def test_pages_dates_tags_and_scores_narrow_the_hits(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    def lines(*conditions: str) -> list[str]:
        assert _run("circle", "--index", index, *conditions) == 0
        return capsys.readouterr().out.splitlines()

    every = lines("-t", "9")
    assert lines("-t", "3", "--skip", "3") == every[3:6]
    assert lines("--before", "1971-01-01", "-t", "9") == every  # they were written at the beginning of time
    assert lines("--after", "1971-01-01") == []
    assert lines("--tag", "holiday") == []
    named = lines("--name", "3", "-t", "9")
    assert named == [line for line in every if line.endswith("3.mp4")]
    assert 0 < len(named) < len(every)
    assert lines("--min-score", "5") == []


def test_hits_are_printed_in_the_order_that_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = findable(tmp_path, tiny.model(), [5] * 12)
    store = Store.open(folder)
    # The larger the number of a video's file, the earlier it was written; two were written together.
    records = store.read_files()
    dated = {path: -max(3, int(Path(path).stem)) for path in records}
    store.commit(None, [replace(record, modified_ns=dated[path]) for path, record in records.items()])

    def paths(*arguments: str) -> list[str]:
        assert _run("circle", "--index", str(folder), "-f", "-t", "8", *arguments) == 0
        return capsys.readouterr().out.splitlines()

    best_first = paths()
    assert paths("--sort", "match") == best_first
    by_number = sorted(best_first, key=lambda path: int(Path(path).stem))
    assert by_number != best_first
    assert paths("--sort", "name") == by_number
    assert paths("--sort", "date") == sorted(best_first, key=lambda path: -dated[path])
    assert _run("circle", "--index", str(folder), "--sort", "size") == 2
    assert "'size' is not one of 'match', 'date', 'name'" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), 'say what the video shows: vidsift search "a dog catches a frisbee", or name --like'),
        (("circle", "--like", "x.mp4"), "leave TEXT and --then out, or leave --like out"),
        (("circle", "--then", " "), "the query is empty"),
        (("circle - CIRCLE",), "takes off all that it adds"),
        (('show me a circle - "a circle".', "--verbatim"), "takes off all that it adds"),
        (("--like", "a.mp4", "--verbatim"), "--verbatim is about the words of TEXT"),
        (("--like", "/none.mp4"), "/none.mp4: there is no such file"),
        (("a + ",), "needs a sentence on both sides"),
        (("circle", "--by", "folder"), "--by is 'folder', expected 'segment' or 'video'"),
        (("circle", "--name", " "), "--name is ' ', expected a part of a file's name"),
        (("circle", "--min-score", "nan"), "--min-score is nan, expected a number"),
    ],
)
def test_what_is_no_question_is_refused(
    index: str, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*arguments, "--index", index) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_videos_that_were_not_looked_at_are_told(
    index: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["a red circle", "--then", "a star", "--index", index, "-t", "1"]
    assert _run(*arguments) == 0
    assert "looked at" not in capsys.readouterr().err
    monkeypatch.setattr(sequence, "_MOST_ROWS", 1)
    monkeypatch.setattr(sequence, "_ROWS_AT_ONCE", 1)
    scan_all = sequence._scan_all
    monkeypatch.setattr(sequence, "_scan_all", lambda *given: scan_all(*given) + 100.0)
    assert _run(*arguments, "--json") == 0
    out, err = capsys.readouterr()
    looked_at = json.loads(out)["candidates"]
    assert 1 <= looked_at < 6
    assert f"only the {looked_at} likeliest videos were ranked" in err
    assert "narrow the search (--under FOLDER)" in err


def test_the_help_says_when_to_change_the_candidates(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--help") == 0
    text = " ".join(capsys.readouterr().out.replace("\u2502", " ").split())
    assert "too slow to score the whole library" in text
    assert "Leave it out unless a video that you know to be there is not found" in text
    assert "[default: (100)" in text  # some releases of typer tell the range behind it


def test_what_was_searched_for_is_said_where_other_words_were_written(
    index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(*arguments: str) -> tuple[list[dict[str, object]], str]:
        assert _run(*arguments, "--index", index, "--json", "-t", "3") == 0
        out, err = capsys.readouterr()
        return [json.loads(line) for line in out.splitlines()], err

    plain, silence = answer("a red circle")
    hits, said = answer('Show me "a red circle", please!')
    assert said == "vidsift: searched for: a red circle\n" + silence
    assert {hit.pop("searched_for") for hit in hits} == {"a red circle"}
    assert hits == plain
    verbatim, said = answer("find a red circle", "--verbatim")
    assert "searched for" not in silence + said
    assert [hit["score"] for hit in verbatim] != [hit["score"] for hit in plain]
    assert "searched_for" not in verbatim[0]
    # Blanks change nothing, and are nothing to say.
    assert answer(" a  red circle ") == (plain, silence)
    in_order, said = answer("find a circle", "--then", "a square")
    assert said.startswith("vidsift: searched for: a circle, then a square\n")
    assert in_order[0]["searched_for"] == ["a circle", "a square"]
