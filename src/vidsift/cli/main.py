"""The ``vidsift`` program: registers the verbs and turns what goes wrong into one clear line."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer

from vidsift import __version__
from vidsift.failing_disk import full_disk, plain_words

__all__ = ["app", "main"]

# Verb -> module and function; each module is light to import (no torch at its top).
_VERBS = {
    "index": "vidsift.cli.index",
    "search": "vidsift.cli.search",
    "explain": "vidsift.cli.explain",
    "demo": "vidsift.cli.demo",
    "serve": "vidsift.cli.serve",
    "train": "vidsift.cli.train",
    "ablate": "vidsift.cli.ablate",
    "evaluate": "vidsift.cli.evaluate",
    "convert": "vidsift.cli.convert",
    "info": "vidsift.cli.info",
}

# Verbs with verbs of their own: their function builds the group.
_GROUPS = frozenset({"index"})

_DEBUG = "VIDSIFT_DEBUG"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vidsift {__version__}")
        raise typer.Exit()


def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Find videos by what they show.

    Start with: vidsift index ~/Videos, then: vidsift search "a dog catches a frisbee".
    """


def app() -> typer.Typer:
    """Build the program with all its verbs."""
    program = typer.Typer(
        name="vidsift", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    program.callback()(_root)
    for verb, module in _VERBS.items():
        found = getattr(import_module(module), verb)
        if verb in _GROUPS:
            program.add_typer(found(), name=verb)
        else:
            program.command(verb)(found)
    return program


def main(arguments: list[str] | None = None) -> None:
    """Run the program; exits with 0, 2 for what the person can mend, 1 for a fault of ours, 130 for Ctrl-C.

    Args:
        arguments: the command line without the program's name; that of the process when None.
    """
    try:
        sys.exit(_run(sys.argv[1:] if arguments is None else arguments))
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
    try:
        return app()(arguments, standalone_mode=True)
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception as problem:
        if os.environ.get(_DEBUG):
            raise
        full = full_disk(problem)
        expected = full or isinstance(problem, (ValueError, OSError, ImportError))
        text = " ".join(str(problem).split()) or type(problem).__name__
        if full and not type(problem).__module__.startswith("vidsift"):
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
