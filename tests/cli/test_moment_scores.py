"""``vidsift evaluate --moments``: the moments stand in the table and in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.methods import tiny

from vidsift.cli.main import main
from vidsift.cli.moment_scores import moment_lines
from vidsift.shapes.joined import write_joined_library


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tiny.model("drl", {"temporal": "none"}).save(tmp_path / "model")
    return tmp_path / "model"


def test_moments_are_scored_beside_the_retrieval(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_joined_library(tmp_path / "videos", videos=2, scenes=2, size_px=64)
    assert (
        run("evaluate", model, tmp_path / "videos", "--moments", "--save", tmp_path / "saved", "--workers", 0)
        == 0
    )
    report = tmp_path / "saved" / "report.json"
    moments = json.loads(report.read_text(encoding="utf-8"))["moments"]
    assert moments["given_video"]["sentences"] == 4
    assert moments["chance"]["whole_video"]["mIoU"] == pytest.approx(50, abs=0.1)
    lines = capsys.readouterr().out.splitlines()
    assert moment_lines(moments) == lines[-7:]
    assert lines[-7] == "moments: 4 sentences, 2 videos, segments of at most 30 s"
    assert lines[-5].split() == ["given", "the", "video"] + [
        f"{moments['given_video'][name]:.1f}"
        for name in ("R@1 IoU 0.3", "R@1 IoU 0.5", "R@1 IoU 0.7", "mIoU")
    ]


def test_data_without_moments_are_refused_before_anything_is_encoded(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    line = json.dumps({"video": "a.mp4", "captions": ["a dog"]})
    (tmp_path / "videos" / "captions.jsonl").write_text(line, encoding="utf-8")
    assert run("evaluate", model, tmp_path / "videos", "--moments") == 2
    assert "--moments: the data say of no sentence when it is seen" in capsys.readouterr().err
