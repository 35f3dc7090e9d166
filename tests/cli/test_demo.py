"""The whole path on rendered videos, with a model of random weights in the place of the bundled one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.methods import tiny

from vidsift.cli.demo import _spread
from vidsift.cli.main import main
from vidsift.index.library import describe
from vidsift.index.manifest import write_manifest
from vidsift.index.storage import Store
from vidsift.methods import model as models

VIDEOS, QUESTIONS = 16, 6


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "MAX_WORDS", 128)  # sentences of Shapes, in few pieces a word
        tiny.model().save(folder / models.BUNDLED)
    return folder


@pytest.fixture
def run(assets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the demo with the stand-in; gives its exit status and what it printed."""
    monkeypatch.setattr(models, "_ASSETS", assets)

    def demo(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["demo", *map(str, arguments)])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return demo


def questions(printed: str) -> list[tuple[str, list[str], str]]:
    """Each question with its hits and its verdict."""
    matches = re.findall(
        r'^"(.+)"\n((?:   .+ s(?:  <- the right one)?\n)+)   right video first: (yes|no)$', printed, re.M
    )
    return [(sentence, hits.splitlines(), verdict) for sentence, hits, verdict in matches]


def listing(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "videos" / "captions.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_demo_renders_indexes_and_searches_and_does_only_what_changed(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / models.BUNDLED).mkdir()  # a folder of that name is not taken for the model
    monkeypatch.chdir(tmp_path)
    options = ("--folder", tmp_path, "--videos", VIDEOS, "--questions", QUESTIONS)
    status, printed, errors = run(*options)
    assert (status, errors) == (0, "")
    entries = listing(tmp_path)
    assert len(entries) == VIDEOS
    names = {entry["video"] for entry in entries}
    assert {path.name for path in (tmp_path / "videos").glob("*.mp4")} == names
    assert f"1. Rendering {VIDEOS} videos of 4 s into {tmp_path / 'videos'}" in printed
    assert f"{VIDEOS} added, 0 unchanged, 0 updated, 0 removed, 0 failed, in " in printed
    facts = describe(tmp_path / "index")
    assert (facts["videos"], facts["segments"], facts["model"]) == (VIDEOS, VIDEOS, models.BUNDLED)

    answers = questions(printed)
    by_caption = {entry["captions"][0]: entry["video"] for entry in entries}
    assert len(answers) == len({sentence for sentence, _, _ in answers}) == QUESTIONS
    for sentence, hits, verdict in answers:
        assert len(hits) == 3
        scores = []
        for place, hit in enumerate(hits):
            parts = re.fullmatch(
                r"   (-?\d\.\d{3})  (\S.*\.mp4)  (\d\.\d)-(\d\.\d) s(  <- the right one)?", hit
            )
            assert parts, hit
            scores.append(float(parts[1]))
            assert parts[2] in names
            assert 0 <= float(parts[3]) < float(parts[4]) <= 4
            right = parts[2] == by_caption[sentence]
            assert bool(parts[5]) == right
            if place == 0:
                assert (verdict == "yes") == right
        assert scores == sorted(scores, reverse=True)
    first = sum(verdict == "yes" for _, _, verdict in answers)
    assert f"The right video came first for {first} of {QUESTIONS} sentences." in printed
    for command in ("search", "explain", "serve", "index"):
        assert f"  vidsift {command} " in printed.partition("Next:")[2]

    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "videos").iterdir()}
    status, again, errors = run(*options)
    assert (status, errors) == (0, "")
    assert f"1. The {VIDEOS} videos in {tmp_path / 'videos'} are there already." in again
    assert f"0 added, {VIDEOS} unchanged, 0 updated, 0 removed, 0 failed, in " in again
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "videos").iterdir()} == files
    assert questions(again) == answers

    status, other, _ = run(*options, "--seed", 1)
    assert status == 0
    assert "1. Rendering" in other
    now = {entry["video"] for entry in listing(tmp_path)}
    assert {path.name for path in (tmp_path / "videos").glob("*.mp4")} == now
    assert now != names
    held = {Path(path).name for path in Store.open(tmp_path / "index").read_files()}
    assert held == now
    assert describe(tmp_path / "index")["segments"] == VIDEOS
    assert {sentence for sentence, _, _ in questions(other)} != {sentence for sentence, _, _ in answers}


def test_an_index_of_the_model_of_another_version_is_made_anew(tmp_path: Path, run: Any) -> None:
    options = ("--folder", tmp_path, "--videos", VIDEOS, "--questions", 1)
    _, first, _ = run(*options)
    where = tmp_path / "index"
    manifest = Store.open(where).manifest
    write_manifest(where, replace(manifest, fingerprint="0" * 64))
    status, again, errors = run(*options)
    assert (status, errors) == (0, "")
    assert f"   {where} was made by another version of the model, and is made anew." in again
    assert f"{VIDEOS} added, 0 unchanged" in again
    assert questions(again) == questions(first)
    assert Store.open(where).manifest == manifest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--videos", 18), "vidsift: --videos is 18; expected a multiple of 4"),
        (("--videos", 12), "'--videos'"),
        (("--questions", 0), "'--questions'"),
        (("--seed", -1), "'--seed'"),
    ],
)
def test_impossible_numbers_are_refused_before_anything_is_made(
    tmp_path: Path, run: Any, arguments: tuple[object, ...], words: str
) -> None:
    status, printed, errors = run("--folder", tmp_path / "new", *arguments)
    assert (status, printed) == (2, "")
    assert words in errors
    assert not (tmp_path / "new").exists()


def test_an_installation_without_the_model_is_told_in_one_line(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_ASSETS", tmp_path / "nowhere")
    status, _, errors = run("--folder", tmp_path / "demo", "--videos", VIDEOS)
    assert status == 2
    (line,) = errors.splitlines()
    assert line.startswith("vidsift: the bundled model 'shapes' is not part of this installation")


@pytest.mark.parametrize("videos", [16, 48])
def test_questions_are_spread_over_groups_each_asked_once(videos: int) -> None:
    entries = [{"video": f"{number}.mp4", "captions": [str(number)]} for number in range(videos)]
    for count in range(1, videos + 3):
        numbers = [int(entry["captions"][0]) for entry in _spread(entries, count)]
        assert len(numbers) == len(set(numbers)) == min(count, videos)
        assert len({number // 4 for number in numbers}) == min(count, videos // 4)
        if count >= 4:
            assert {number % 4 for number in numbers} == {0, 1, 2, 3}
