"""Help, errors and messages are plain text: what stands in brackets is shown, and nothing else vanishes."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import vidsift
from vidsift.cli import main as program
from vidsift.cli.main import app, main

SOURCE = Path(vidsift.__file__).parent
MARKED = "[bold]film[/bold] [watch] [/]"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb, those of a group too, as they are written on a command line."""
    root: Any = get_command(app())
    yield (), root
    for name, command in root.commands.items():
        yield (name,), command
        for below, other in getattr(command, "commands", {}).items():
            yield (name, below), other


COMMANDS = dict(commands())


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_all_verbs_are_walked() -> None:
    groups = {("index", "watch"), ("index", "add"), ("data", "check"), ("data", "cache"), ("figure", "sweep")}
    assert groups | {("search",), ("compare",), ()} <= set(COMMANDS)
    assert len(COMMANDS) == 39


@pytest.mark.parametrize("verbs", COMMANDS, ids=lambda verbs: " ".join(verbs) or "vidsift")
def test_every_help_shows_every_letter_that_was_written(
    verbs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(*verbs, "--help") == 0
    shown = squeezed(capsys.readouterr().out)
    assert "\\[" not in shown, "brackets are escaped for a reader of markup that is not there"
    command = COMMANDS[verbs]
    assert command.help
    assert squeezed(command.help) in shown
    for parameter in command.params:
        if getattr(parameter, "help", None):
            assert squeezed(parameter.help) in shown, parameter.name
        for name in parameter.opts if parameter.param_type_name == "option" else []:
            assert name in shown
    for name, below in getattr(command, "commands", {}).items():
        assert squeezed(name + inspect.cleandoc(below.help).split("\n\n")[0]) in shown


def test_the_list_of_verbs_says_what_the_verbs_say(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, summary in program._VERBS.items():
        assert inspect.cleandoc(COMMANDS[(verb,)].help).split("\n\n")[0].replace("\n", " ") == summary
    assert run("--help") == 0
    shown = squeezed(capsys.readouterr().out)
    assert all(squeezed(verb + summary) in shown for verb, summary in program._VERBS.items())


@pytest.mark.parametrize(
    "arguments",
    [
        [MARKED],
        ["index", "watch", f"--{MARKED}"],
        ["search", "a", "--index", f"/nowhere/{MARKED}"],
        ["explain", "a", "b", "--index", f"/nowhere/{MARKED}"],
        ["index", "check", "--index", f"/nowhere/{MARKED}"],
        ["index", "add", "a", "--segment", MARKED],
        ["train", f"/nowhere/{MARKED}"],
        ["evaluate", "model", f"/nowhere/{MARKED}"],
        ["convert", f"/nowhere/{MARKED}", "--from", "openai", "-o", "out"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_errors_show_what_was_written_with_its_brackets(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(*arguments) != 0
    assert MARKED in capsys.readouterr().err


def test_what_reads_markup_is_used_by_the_bar_alone_and_reads_none_there() -> None:
    users = {
        path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8")
        for path in SOURCE.rglob("*.py")
        if re.search(r"^\s*(from|import) rich\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert set(users) == {"cli/indexing.py"}
    called = [node for node in ast.walk(ast.parse(users["cli/indexing.py"])) if isinstance(node, ast.Call)]
    columns = [node for node in called if isinstance(node.func, ast.Name) and node.func.id == "TextColumn"]
    assert columns
    for column in columns:
        assert any(
            keyword.arg == "markup" and ast.unparse(keyword.value) == "False" for keyword in column.keywords
        )
