"""``vidsift data cache``: what it says, and that training from it is training from the videos."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.training.small import losses, same, silent, stop_after, weights, write

from vidsift.cli.main import main
from vidsift.shapes.library import write_library
from vidsift.training.trainer import StoppedEarly, train


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight videos with three captions each, and one that is broken."""
    folder = tmp_path_factory.mktemp("library")
    write_library(folder, "train", 8, size_px=16, frames_per_second=4, workers=1)
    (folder / "broken.mp4").write_text("no video", encoding="utf-8")
    with (folder / "captions.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"video": "broken.mp4", "captions": ["x"], "split": "val"}) + "\n")
    return folder


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["data", "cache", *arguments])
    return int(ended.value.code or 0)


def test_a_cache_is_made_once_and_trained_from(
    tmp_path: Path, library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the cache, stopped and gone on with, a run gives the bits of one from video."""
    cache = tmp_path / "cache"
    command = ("folder", "--videos", str(library), "-o", str(cache), "--frames", "2", "--size", "16")
    assert run(*command, "--format", "uint8", "--workers", "2") == 1
    first, unreadable, recipe_line = capsys.readouterr().out.splitlines()
    assert first == f"{cache}: 9 videos, 9 decoded now, 0 before, 1 unreadable"
    assert unreadable.startswith(f"  unreadable: {library / 'broken.mp4'}: is not a video")
    assert recipe_line == f"in a recipe: data.cache: {cache}, model.frames: 2, model.sampling: uniform"
    assert run(*command, "--format", "uint8", "--split", "train") == 0
    assert "8 videos, 0 decoded now, 8 before, 0 unreadable" in capsys.readouterr().out
    assert run(*command) == 2
    assert "as uint8; wanted are 2 frames of 16 px, sampling uniform, as jpeg" in capsys.readouterr().err

    def recipe(name: str, **data: Any) -> Path:
        section = {
            "source": "folder",
            "path": str(library),
            "batch_size": 5,
            "workers": 0,
            "captions": "every",
        }
        (tmp_path / name).mkdir()
        return write(tmp_path / name, data=section | {"captions": "every"} | data)

    train(recipe("video", jitter=0.0), output=tmp_path / "from-video", say=silent)
    cached = recipe("cached", cache=str(cache))
    with monkeypatch.context() as patch:
        stop_after(3, patch, signal.SIGINT)
        with pytest.raises(StoppedEarly):
            train(cached, output=tmp_path / "run", say=silent)
    monkeypatch.setattr("vidsift.data.frame_cache.probe", lambda _path: pytest.fail("a video was opened"))
    train(cached, output=tmp_path / "run", say=silent)
    assert losses(tmp_path / "run") == losses(tmp_path / "from-video")
    assert same(weights(tmp_path / "run"), weights(tmp_path / "from-video"))


def test_frames_are_those_of_the_papers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of ActivityNet 64; nothing is there to be decoded, and that is said of each video."""
    sentences = {"v_one": {"duration": 9.0, "timestamps": [[0, 9]], "sentences": ["a dog runs"]}}
    for name in ("train.json", "val_1.json", "val_2.json"):
        (tmp_path / name).write_text(json.dumps(sentences), encoding="utf-8")
    (tmp_path / "videos").mkdir()
    command = ("activitynet", "--videos", str(tmp_path / "videos"), "--annotations", str(tmp_path))
    assert run(*command, "--split", "train", "-o", str(tmp_path / "cache"), "--workers", "1") == 1
    out = capsys.readouterr().out
    assert "1 videos, 1 decoded now, 0 before, 1 unreadable" in out
    assert "model.frames: 64" in out


def test_mistakes_are_one_line(tmp_path: Path, library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("folder", "--videos", str(tmp_path / "none"), "-o", str(tmp_path / "cache")) == 2
    assert "none is not a folder" in capsys.readouterr().err
    assert run("folder", "--videos", str(library), "-o", str(library)) == 2
    assert "holds other files" in capsys.readouterr().err
