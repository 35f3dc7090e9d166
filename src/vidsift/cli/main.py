"""The ``vidsift`` program: registers the verbs and turns what goes wrong into one clear line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

import typer

from vidsift import __version__
from vidsift.cli.plain import Group, program
from vidsift.errors import VidsiftError
from vidsift.files.disk_errors import is_disk_full, plain_words

__all__ = ["app", "end_with", "main"]

# What each verb is for: the first line of its own help, here so that no verb is imported to list them all.
_VERBS = {
    "open": "Make the videos in FOLDER searchable and open the page to search them on; Ctrl-C ends all.",
    "index": "Make folders of videos searchable, and look after the index.",
    "search": "Find the moments that fit TEXT best: score, how good the match is, start and end, file.",
    "cut": "Save the moments that fit TEXT best, or the named seconds of VIDEO, as clips (MP4).",
    "explain": "Show which words of TEXT met which frames of VIDEO, and how that sums to its score.",
    "demo": "Render a small library of videos, index it with the bundled model, and search it.",
    "serve": "Search on a page, see the moment, and why it was found; Ctrl-C stops.",
    "mcp": "Let an assistant search, explain, cut and list the videos of INDEX, "
    "over standard input and output.",
    "train": "Train a model by a recipe; run the same command again to go on after an interruption.",
    "ablate": "Train every row of a grid with every seed, judge them on the test split, "
    "and weigh the claims.",
    "data": "Look after data sets for training and evaluation.",
    "evaluate": "Measure retrieval both ways: recall, median and mean rank, by tag and among hard negatives.",
    "table": "Put our results on a benchmark beside those of papers, by backbone and protocol, as markdown.",
    "figure": "Draw the figures of papers from saved results and models; docs/figures.md shows each.",
    "compare": "Compare two saved evaluations: paired differences, intervals, and which questions flipped.",
    "convert": "Turn a released checkpoint into a vidsift folder.",
    "info": "Say what a model or an index is: method, token sets, terms, size, fingerprint.",
}

# Verbs with verbs of their own: their function builds the group.
_GROUPS = frozenset({"data", "figure", "index"})

_DEBUG = "VIDSIFT_DEBUG"
_VERSION = "--version"


class _Program(Group):
    """The whole program: its one option is answered before anything is parsed, see :func:`_run`."""

    options = ((_VERSION, "Print the version."),)


def _root() -> None:
    """Find videos by what they show.

    Start with: vidsift open ~/Videos. Or, without a page: vidsift index ~/Videos, then: vidsift search "a
    dog catches a frisbee".
    """


def _not_imported() -> None:
    """Stand for a verb that is listed and not run."""


def app(verb: str | None = None) -> typer.Typer:
    """Build the program.

    Args:
        verb: the only one that is going to run or to show its help: the others are listed, not imported.
            With all their options when None.
    """
    built = program(name="vidsift", cls=_Program, no_args_is_help=True)
    built.callback()(_root)
    for name, summary in _VERBS.items():
        if verb not in {None, name}:
            built.command(name, help=summary)(_not_imported)
            continue
        # Each of these modules is light to import (no torch at its top).
        function = getattr(import_module(f"vidsift.cli.{name}"), name)
        if name in _GROUPS:
            built.add_typer(function(), name=name)
        else:
            built.command(name)(function)
    return built


def main(arguments: list[str] | None = None) -> None:
    """Run the program; exits with 0, 2 for what the user can fix, 1 for a fault of ours, 130 for Ctrl-C.

    Args:
        arguments: the command line without the program's name; that of the process when None.
    """
    end_with(lambda: _run(sys.argv[1:] if arguments is None else arguments))


def end_with(run: Callable[[], Any]) -> NoReturn:
    """Run something and end the process by its answer, with a line where it went wrong; see :func:`main`."""
    try:
        sys.exit(_answer(run))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _leave_pipe()
    except SystemExit as ended:
        # typer turns a broken pipe into status 1, which stands for a fault of ours.
        if isinstance(ended.__context__, BrokenPipeError):
            _leave_pipe()
        raise


def _leave_pipe() -> NoReturn:
    """The reader of a pipe (head, less) has gone: say nothing, and let no flush at exit complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _run(arguments: list[str]) -> Any:
    if arguments[:1] == [_VERSION]:
        typer.echo(f"vidsift {__version__}")
        return 0
    return app(next(iter(arguments), ""))(arguments, standalone_mode=True)


def _answer(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except typer.Exit as ended:
        return ended.exit_code
    except Exception as problem:
        if os.environ.get(_DEBUG):
            raise
        full = is_disk_full(problem)
        expected = full or isinstance(problem, (VidsiftError, ValueError, OSError, ImportError))
        text = " ".join(str(problem).split()) or type(problem).__name__
        if full and not isinstance(problem, VidsiftError):
            filename = getattr(problem, "filename", None)
            named = f": {filename}" if filename else ""
            text = f"{plain_words(problem)}{named}; make room and run the same command again"
        if expected:
            typer.echo(f"vidsift: {text}", err=True)
        else:
            typer.echo(
                f"vidsift: unexpected {type(problem).__name__}: {text} "
                f"(a fault of vidsift's; set {_DEBUG}=1 to see where)",
                err=True,
            )
        return 2 if expected else 1
