"""``vidsift table``: markdown, JSON, the list of benchmarks, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.evaluation.test_benchmark_table import report

from vidsift.cli.main import main


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_without_a_benchmark_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("table") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "msrvtt-1ka   MSR-VTT 1k-A; 94 published rows"
    assert "msrvtt-full  MSR-VTT, full test split; 0 published rows" in lines
    assert run("table", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts[0]["source"] == "msrvtt"


def test_results_of_files_and_folders_stand_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alike, unlike = tmp_path / "a|b.json", tmp_path / "run"
    alike.write_text(json.dumps(report()), encoding="utf-8")
    unlike.mkdir()
    (unlike / "report.json").write_text(json.dumps(report(frames=8)), encoding="utf-8")
    assert run("table", "msrvtt-1ka", alike, unlike) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "# MSR-VTT 1k-A",
        "",
        "split 1k-A; one caption; 1000 videos; 12 frames; 32 words",
    ]
    first = lines.index("## Text to video")
    here = lines.index("### ViT-B/32", first)
    header = "| method | R@1 | R@5 | R@10 | MdR | MnR | split | frames | words | source |"
    assert lines[here + 2 : here + 4] == [header, "|---|---|---|---|---|---|---|---|---|---|"]
    name = str(alike).replace("|", "\\|")
    assert lines[lines.index("", here + 4) - 1] == (
        f"| **ours: runs/wti (drl)** | 46.0 | 73.0 | 83.0 | 2.0 | 13.5 | 1k-A | 12 | 32 | {name} |"
    )
    other = lines.index("### Ours, of another protocol: not to be compared with the rows above", first)
    assert other < lines.index("## Video to text")
    assert lines[other + 4].endswith(f"| 1k-A | 8 | 32 | {unlike} | ViT-B/32 | 8 frames, papers 12 |")
    assert lines.count(lines[other + 4]) == 1
    assert "| **ours: not measured** | - | - | - | - | - | - | - | - | - |" in lines
    assert any(line.startswith("drl N: table N of Wang et al.") for line in lines)


def test_json_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report()), encoding="utf-8")
    assert run("table", "msrvtt-1ka", file, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    group = next(group for group in content["text_to_video"] if group["backbone"] == "ViT-B/32")
    assert group["rows"][-1]["metrics"]["R@1"] == 46.0
    assert group["rows"][-1]["transductive"] is False
    assert content["protocols"][str(file)]["frames"] == 12
    assert content["benchmark"]["videos"] == 1000


def test_a_benchmark_without_published_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("table", "msrvtt-full") == 0
    assert "No table of the papers read here has it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("msrvt",), "benchmark 'msrvt' is unknown; expected one of msrvtt-1ka"),
        (("msvd", "missing.json"), "missing.json is not there; expected what vidsift evaluate --json"),
        (("msvd", "empty"), "report.json; expected what vidsift evaluate --json FILE or --save DIR wrote"),
        (("msvd", "broken.json"), "broken.json is no JSON"),
        (("msvd", "list.json"), "list.json is no report of vidsift evaluate"),
        (("msvd", "number.json"), "number.json is no report of vidsift evaluate: it lacks protocol"),
        (("msvd", "words.json"), "words.json is no report of vidsift evaluate: a value in it is no number"),
    ],
)
def test_mistakes_get_a_line_and_status_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("broken.json").write_text("{", encoding="utf-8")
    Path("list.json").write_text("[1]", encoding="utf-8")
    Path("number.json").write_text(json.dumps(report() | {"protocol": 3}), encoding="utf-8")
    words = report() | {"text_to_video": {"R@1": "all"}}
    Path("words.json").write_text(json.dumps(words), encoding="utf-8")
    assert run("table", *arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err
    assert len(output.err.splitlines()) == 1
