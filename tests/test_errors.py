"""One tree of errors: every public error of the house is in it, and keeps the built-in kind that it had."""

from __future__ import annotations

import ast
import builtins
import pickle
from pathlib import Path

import pytest

from vidsift import errors
from vidsift.errors import FolderBusyError, LockHeldError, VideoReadError, VidsiftError

SOURCE = Path(errors.__file__).parent
PUBLIC = sorted(errors.__all__)

# How a request ends is HTTP's, and errors.py knows nothing of HTTP. Ctrl-C is no error. A missed seek is
# caught in its room.
ELSEWHERE = {
    "ProblemError": "service/problems.py",
    "SeekError": "video/packets.py",
    "StoppedEarly": "training/stopping.py",
}

KINDS = {
    "VidsiftError",
    "VideoError",
    "DataError",
    "ModelError",
    "TrainingError",
    "EvaluationError",
    "SearchError",
    "DiskError",
}
OS_ERRORS = {
    "DiskError",
    "NotSavedError",
    "IndexWriteError",
    "LockHeldError",
    "FolderBusyError",
    "GridBusyError",
    "ProcessStartError",
}
NO_VALUE_ERRORS = {
    "VidsiftError": Exception,
    "ModelError": Exception,
    "TrainingError": Exception,
    "NoAlignmentError": TypeError,
    "WorkerEndedError": RuntimeError,
    "ProcessEndedError": RuntimeError,
    "ProcessesDifferError": RuntimeError,
}


def exception_classes(path: Path) -> set[str]:
    """The classes of a file whose base is called an error or an exception, or is a built-in one."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            bases = {
                base.id if isinstance(base, ast.Name) else getattr(base, "attr", "") for base in node.bases
            }
            built_in = {
                base
                for base in bases
                if isinstance(kind := getattr(builtins, base, None), type) and issubclass(kind, BaseException)
            }
            if built_in or any(base.endswith(("Error", "Exception")) for base in bases):
                names.add(node.name)
    return names


def test_every_public_error_is_defined_in_the_tree() -> None:
    elsewhere = {
        name: path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if path != SOURCE / "errors.py"
        for name in exception_classes(path)
        if not name.startswith("_")
    }
    assert elsewhere == ELSEWHERE
    assert exception_classes(SOURCE / "errors.py") == set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_is_a_vidsift_error_and_what_it_was_before(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, VidsiftError)
    expected = OSError if name in OS_ERRORS else NO_VALUE_ERRORS.get(name, ValueError)
    assert issubclass(error, expected)
    if expected is Exception:
        assert not issubclass(error, (ValueError, OSError))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Each line of the drawing names a class; its depth says under which."""
    drawing = errors.__doc__ or ""
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in drawing.splitlines():
        words = line.replace("x ", "  ").replace("+ ", "  ").split()
        if not line.startswith("    ") or not words or words[0] not in PUBLIC:
            continue
        depth = line.index(words[0])
        above = [(at, name) for at, name in above if at < depth]
        if above:
            drawn[words[0]] = above[-1][1]
        above.append((depth, words[0]))
    real = {name: getattr(errors, name).__bases__[0].__name__ for name in PUBLIC if name != "VidsiftError"}
    assert drawn == real
    assert (
        set(drawn.values()) - {"VideoReadError", "IndexFolderError", "FolderBusyError", "CaptionsError"}
        == KINDS
    )


def test_they_travel_between_processes_whole() -> None:
    sent = VideoReadError("a.mp4", "is damaged", 1.5)
    came = pickle.loads(pickle.dumps(sent))
    assert (str(came), came.path, came.at_seconds) == ("a.mp4: is damaged (at 1.50 s)", Path("a.mp4"), 1.5)
    held = LockHeldError(Path("lock"), 7)
    assert str(held) == "lock is held by process 7; wait until it has finished, or stop it"
    assert isinstance(FolderBusyError("busy"), OSError)
