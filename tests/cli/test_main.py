"""The program as a shell meets it: help, exit statuses, pipes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vidsift import __version__
from vidsift.cli import main as program
from vidsift.cli.main import main

VERBS = {
    "open", "index", "search", "cut", "explain", "demo", "serve", "mcp", "train", "ablate", "data",
    "evaluate", "table", "convert", "compare", "figure", "info",
}  # fmt: skip

# No colours and no narrow lines, wherever the tests run.
PLAIN = {"COLUMNS": "120", "_TYPER_FORCE_DISABLE_TERMINAL": "1", "NO_COLOR": "1"}

# Runs the program with one verb exchanged for a statement that stands in the first argument.
DRIVER = """
import os, signal, sys
# A runner in the background may have handed down that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
import vidsift.cli.info
def info():
    exec(statement, globals())
statement = sys.argv.pop(1)
vidsift.cli.info.info = info
from vidsift.cli.main import main
main()
"""


def shell(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vidsift", *arguments],
        env=os.environ | PLAIN | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def doing(statement: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``vidsift info`` whose work is this statement."""
    return subprocess.run(
        [sys.executable, "-c", DRIVER, statement, "info"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_help_lists_every_verb_with_a_line_about_it() -> None:
    shown = shell("--help")
    assert shown.returncode == 0
    assert shown.stderr == ""
    words = {
        line.strip("│ ").split()[0]: line.strip("│ ").split()[1:]
        for line in shown.stdout.splitlines()
        if line.strip("│ ")
    }
    assert set(program._VERBS) == VERBS
    for verb in VERBS:
        assert len(words[verb]) >= 3, verb


def test_every_verb_has_a_module_and_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(program.__file__).parent
    helpers = {
        "__init__", "main", "text", "maintenance", "opening", "calibrate", "plain", "score_table",
        "run_recipe", "data_cache", "data_check", "data_summary", "moment_scores", "grounding_scores",
            "indexing", "question", "export_hits",
    }  # fmt: skip
    assert {path.stem for path in folder.glob("*.py")} - helpers == VERBS
    for verb in sorted(VERBS):
        assert run(verb, "--help") == 0
        shown = capsys.readouterr()
        assert f" {verb} [OPTIONS]" in shown.out
        assert shown.err == ""


@pytest.mark.parametrize(
    ("arguments", "modules"),
    [
        (["--help"], set()),
        (["--version"], set()),
        ([], set()),
        (["search", "--help"], {"search"}),
        (["serve", "--help"], {"serve"}),
        (["ablate", "--help"], {"ablate"}),
        (["index", "watch", "--help"], {"index", "maintenance", "calibrate"}),
    ],
)
def test_help_imports_nothing_heavy_and_no_other_verb(arguments: list[str], modules: set[str]) -> None:
    probe = (
        "import sys\nfrom vidsift.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'lancedb', 'fastapi', 'uvicorn', 'av', 'numpy', 'PIL', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
        "verbs = {name.rpartition('.')[2] for name in sys.modules if name.startswith('vidsift.cli.')}\n"
        "shared = {'export_hits', 'indexing', 'main', 'opening', 'plain', 'question', 'text'}\n"
        "print(sorted(verbs - shared), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-2:] == ["[]", str(sorted(modules))]


def test_the_version_is_the_packages() -> None:
    shown = shell("--version")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, f"vidsift {__version__}\n", "")


def test_no_verb_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    captured = capsys.readouterr()
    assert "search" in captured.out + captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["find"], "No such command 'find'"),
        (["search"], "say what the video shows"),
        (["explain", "circle"], "Missing argument 'VIDEO'"),
        (["search", "circle", "--tops", "3"], "No such option"),
        (["search", "circle", "-t", "0"], "'--top'"),
        (["search", "circle", "-t", "many"], "'--top'"),
    ],
)
def test_a_wrong_command_line_is_status_2(arguments: list[str], words: str) -> None:
    done = shell(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("raise ValueError('k is 0,\\n  expected more')", "vidsift: k is 0, expected more"),
        ("raise FileNotFoundError(2, 'No such file', 'a.mp4')", "vidsift: [Errno 2] No such file: 'a.mp4'"),
        ("raise PermissionError('a.mp4 is locked')", "vidsift: a.mp4 is locked"),
        ("raise ImportError('install the extra')", "vidsift: install the extra"),
        ("raise ValueError", "vidsift: ValueError"),
    ],
)
def test_what_the_person_can_mend_is_one_line_and_status_2(statement: str, words: str) -> None:
    done = doing(statement)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == words + "\n"


@pytest.mark.parametrize("kind", ["RuntimeError", "KeyError", "ZeroDivisionError", "AssertionError"])
def test_a_fault_of_ours_is_one_line_and_status_1(kind: str) -> None:
    done = doing(f"raise {kind}('broken')")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"vidsift: unexpected {kind}: ")
    assert "broken" in line
    assert "VIDSIFT_DEBUG=1" in line


@pytest.mark.parametrize("kind", ["ValueError", "RuntimeError"])
def test_debug_shows_where(kind: str) -> None:
    done = doing(f"raise {kind}('broken')", VIDSIFT_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.rstrip().endswith(f"{kind}: broken")
    assert doing(f"raise {kind}('broken')", VIDSIFT_DEBUG="").stderr.count("\n") == 1


def test_a_real_mistake_from_end_to_end(tmp_path: Path) -> None:
    done = shell("search", "a red circle", "--index", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"vidsift: there is no index at {tmp_path / 'none'}; make one with: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("statement", ["raise KeyboardInterrupt", "os.kill(os.getpid(), signal.SIGINT)"])
def test_ctrl_c_is_status_130_without_a_traceback(statement: str) -> None:
    done = doing(statement)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_ctrl_c_while_work_is_going_on() -> None:
    going = "print('working', flush=True); import time; time.sleep(60)"
    started = subprocess.Popen(
        [sys.executable, "-c", DRIVER, going, "info"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "working\n"
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "statement",
    [
        "import typer; [typer.echo('line ' * 100) for _ in range(100_000)]",
        "[print('line ' * 100) for _ in range(100_000)]",
        "raise BrokenPipeError(32, 'Broken pipe')",
    ],
)
def test_a_reader_that_leaves_is_no_error(statement: str) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", DRIVER, statement, "info"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stderr is not None
    if "BrokenPipeError" not in statement:
        assert started.stdout.readline().startswith("line line")
    started.stdout.close()
    errors = started.stderr.read()
    assert started.wait(timeout=60) == 0
    assert errors == ""


def test_help_into_a_closed_pipe_is_silent() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "vidsift", "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
