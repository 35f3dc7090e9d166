"""``vidsift evaluate --grounding``: the numbers stand in the table and in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.methods import tiny
from tests.search.grounded import CAPTIONS, grounded_words

from vidsift.cli.grounding_scores import grounding_lines
from vidsift.cli.main import main
from vidsift.shapes.library import write_library


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def write_grounded_library(folder: Path) -> None:
    """Four videos of Shapes whose captions and groups are made up."""
    drawn = write_library(folder, videos=4, size_px=32, frames_per_second=4, workers=1)
    lines = []
    for number, (video, captions) in enumerate(zip(drawn, CAPTIONS, strict=True)):
        grounding = [
            [
                {
                    "word": word.text,
                    "start": word.start,
                    "end": word.end,
                    "kind": word.kind,
                    "spans": [[0.0, 0.9]],
                }
                for word in grounded_words(caption, [(0.0, 0.9)])
            ]
            for caption in captions
        ]
        about = {"video": video.name, "captions": captions, "grounding": grounding, "group": number // 2}
        lines.append(json.dumps(about))
    (folder / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")


def test_accounts_are_judged_beside_the_retrieval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.model("drl", {"temporal": "none"}).save(tmp_path / "model")
    write_grounded_library(tmp_path / "videos")
    arguments = ("--grounding", "--save", tmp_path / "saved", "--json", tmp_path / "r.json", "--workers", 0)
    assert run("evaluate", tmp_path / "model", tmp_path / "videos", *arguments) == 0
    grounding = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["grounding"]
    saved = json.loads((tmp_path / "saved" / "report.json").read_text(encoding="utf-8"))
    assert saved["grounding"] == grounding
    for name in ("pointing", "chance", "effective_words", "end_weight", "deletion"):
        low, high = grounding[name]["interval"]
        assert low <= grounding[name]["value"] <= high
    # One of five frames lies in the first 0.9 s.
    assert grounding["chance"]["value"] == pytest.approx(20)
    lines = capsys.readouterr().out.splitlines()
    table = grounding_lines(grounding)
    assert table == lines[-len(table) :]
    assert table[0].startswith("grounding: 5 captions of 4 videos, ")
    value, interval = grounding["pointing"]["value"], grounding["pointing"]["interval"]
    pointing, _ = (line for line in table if line.startswith("a word's best frame is right"))
    assert pointing.split()[-3:-1] == [f"{value:.1f}", f"{interval[0]:.1f}-{interval[1]:.1f}"]


def test_words_that_do_not_count_are_accounted_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Captions of one word that are never true: plain CLIP has no account of them, and nothing breaks."""
    tiny.model("clip4clip", {}).save(tmp_path / "model")
    write_grounded_library(tmp_path / "videos")
    listed = tmp_path / "videos" / "captions.jsonl"
    lines = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
    red = {"word": "red", "start": 0, "end": 3, "kind": "appearance", "spans": [[90.0, 91.0]]}
    for line in lines:
        line |= {"captions": ["red"], "grounding": [[red]]}
    listed.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    run_all = ("evaluate", tmp_path / "model", tmp_path / "videos", "--grounding", "--workers", 0)
    assert run(*run_all) == 0
    table = capsys.readouterr().out
    assert "content words that point nowhere: 4 the only one of its caption" in table
    assert "effective words in the score: -; a caption has -" in table
    tail = {"word": "star", "start": 4, "end": 8, "kind": "appearance", "spans": [[0.0, 99.0]]}
    for line in lines:
        line |= {"captions": ["red star"], "grounding": [[red, tail]]}
    listed.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert run(*run_all) == 0
    table = capsys.readouterr().out
    assert "point nowhere: 4 true in more than half of the frames, 4 true in none of them\n" in table


def test_data_without_grounding_are_refused_before_anything_is_encoded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    line = json.dumps({"video": "a.mp4", "captions": ["a dog"]})
    (tmp_path / "videos" / "captions.jsonl").write_text(line, encoding="utf-8")
    assert run("evaluate", tmp_path / "no-model", tmp_path / "videos", "--grounding") == 2
    assert "--grounding: the data say of no word when it is true" in capsys.readouterr().err
