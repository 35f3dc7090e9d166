"""Pickles of plain values, read without running what they say.

A pickle is a program: loading it calls whatever it names. Other projects give captions out as pickles of
dictionaries, lists and strings. Here the program is walked through, instruction by instruction, and only
those that put plain values together are followed; at any other one the file is refused. No unpickler is
made.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidsift.errors import CaptionsError

__all__ = ["read_plain_pickle"]

_MOST_VALUES = 20_000_000

# Opcodes that push their own argument.
_PUSHED = frozenset(
    {
        "INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
        "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    }
)  # fmt: skip
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": list}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset({"PROTO", "FRAME"})


def read_plain_pickle(path: str | Path) -> Any:
    """Return the value of a pickle that holds nothing but dictionaries, lists, tuples, strings and numbers.

    Tuples become lists. Strings of Python 2 are taken as ASCII.

    Raises:
        CaptionsError: it cannot be read, holds something else, or is no pickle.
    """
    file = Path(path)
    try:
        program = file.read_bytes()
    except OSError as error:
        raise CaptionsError(f"{file} cannot be read: {error}") from error
    walk = _PickleProgram(file)
    try:
        for opcode, argument, position in pickletools.genops(program):
            walk.follow(opcode.name, argument, position)
    except CaptionsError:
        raise
    # What an argument of a broken program, or a stack that runs empty, raises.
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise CaptionsError(f"{file}: no pickle that can be read: {type(error).__name__}: {error}") from error
    return walk.result()


class _PickleProgram:
    """The stack of a pickle's program."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        """Return the value, which has to be a tree of a size that can be written."""
        if len(self._stack) != 1 or self._marks:
            raise CaptionsError(
                f"{self._file}: no pickle that can be read: it leaves {len(self._stack)} values"
            )
        self._check_tree(self._stack[0])
        return self._stack[0]

    def follow(self, name: str, argument: Any, position: int | None) -> None:
        """Follow one instruction."""
        if name in _PUSHED:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self._stack.append([self._stack.pop() for _ in range(_TUPLES[name])][::-1])
        elif name == "MARK":
            self._marks.append(len(self._stack))
        elif name in {"LIST", "TUPLE"}:
            self._stack.append(self._since_mark())
        elif name == "DICT":
            values = self._since_mark()
            self._stack.append(dict(zip(values[::2], values[1::2], strict=True)))
        elif name == "APPEND":
            value = self._stack.pop()
            self._list().append(value)
        elif name == "APPENDS":
            values = self._since_mark()
            self._list().extend(values)
        elif name == "SETITEM":
            value, key = self._stack.pop(), self._stack.pop()
            self._dictionary()[key] = value
        elif name == "SETITEMS":
            values = self._since_mark()
            self._dictionary().update(zip(values[::2], values[1::2], strict=True))
        elif not self._remember(name, argument) and name not in _IGNORED and name != "STOP":
            what = f" {argument!r}" if argument is not None else ""
            raise CaptionsError(
                f"{self._file}: byte {position} is the instruction {name}{what}, which plain values do not "
                "need and which can run any program; nothing of the file was run. Take one that holds "
                "dictionaries, lists and strings only"
            )

    def _remember(self, name: str, argument: Any) -> bool:
        """Follow an instruction about what was remembered; whether it is one."""
        if name in {"PUT", "BINPUT", "LONG_BINPUT"}:
            self._memo[argument] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name in {"GET", "BINGET", "LONG_BINGET"}:
            self._stack.append(self._memo[argument])
        else:
            return False
        return True

    def _since_mark(self) -> list[Any]:
        mark = self._marks.pop()
        values = self._stack[mark:]
        del self._stack[mark:]
        return values

    def _list(self) -> list[Any]:
        if not isinstance(self._stack[-1], list):
            raise TypeError("a value is appended to what is no list")
        return self._stack[-1]

    def _dictionary(self) -> dict[Any, Any]:
        if not isinstance(self._stack[-1], dict):
            raise TypeError("an item is set in what is no dictionary")
        return self._stack[-1]

    def _check_tree(self, value: Any) -> None:
        """Refuse what contains itself, or becomes endless when what is shared is written out."""
        waiting, values = [value], 0
        while waiting:
            value = waiting.pop()
            values += 1
            if values + len(waiting) > _MOST_VALUES:
                raise CaptionsError(f"{self._file}: holds more than {_MOST_VALUES:,} values, or itself")
            if isinstance(value, dict):
                waiting.extend(value.values())
            elif isinstance(value, list):
                waiting.extend(value)
