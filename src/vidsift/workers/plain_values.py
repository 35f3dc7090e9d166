"""What limited processes answer, as plain bytes: numbers, text and arrays in JSON's order, never a pickle.

A process that reads other people's files may be taken over by one. Whoever unpickles what it says would run
what it wants; from these bytes nothing is made but what :func:`decode` is told to expect, of the types
that its fields are annotated with.

The bytes: the length of a JSON text (8 bytes, little-endian), the text, and the contents of byte strings and
arrays one after the other, whose lengths the text names.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from vidsift import errors
from vidsift.errors import SandboxError

__all__ = ["answer_type", "decode", "decode_error", "encode", "encode_error"]

_HEAD_BYTES = 8
_DTYPES = frozenset({"bool", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"})
_ERRORS: dict[str, type[Exception]] = {
    "ValueError": ValueError,
    "OSError": OSError,
    **{
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, (ValueError, OSError))
    },
}


def encode(value: object) -> bytes:
    """Write a value down.

    Args:
        value: None, numbers, fractions, text, paths, byte strings, NumPy arrays of numbers, and lists,
            tuples, dictionaries, dataclasses and named tuples of them.

    Raises:
        TypeError: it holds something else.
    """
    buffers: list[bytes | memoryview] = []
    text = json.dumps(_plain(value, buffers), ensure_ascii=True, check_circular=False).encode()
    return b"".join([len(text).to_bytes(_HEAD_BYTES, "little"), text, *buffers])


def decode(data: bytes, expected: Any) -> Any:
    """Read what :func:`encode` wrote.

    Args:
        data: the bytes, from whoever.
        expected: type of the value: a class, a union of some, or ``object`` for any plain value. Dataclasses
            and named tuples are made only if they are of it, or of the annotations of its fields.

    Raises:
        SandboxError: the bytes hold something else.
    """
    try:
        length = int.from_bytes(data[:_HEAD_BYTES], "little")
        if len(data) < _HEAD_BYTES + length:
            raise SandboxError("answered with fewer bytes than it says")
        reader = _AnswerReader(memoryview(data)[_HEAD_BYTES + length :], _records(expected))
        value = reader.value(json.loads(data[_HEAD_BYTES : _HEAD_BYTES + length]))
        if not reader.at_end or not _fits(value, expected):
            raise SandboxError("answered with something else than was asked for")
    except SandboxError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise SandboxError(f"answered with what is no answer ({type(error).__name__})") from error
    return value


def encode_error(error: Exception) -> bytes:
    """Write down an error that :func:`decode_error` can raise, or its words where it is of another kind."""
    name = type(error).__name__
    if _ERRORS.get(name) is type(error):
        made_from = error.__reduce__()[1]
        arguments = [str(part) if isinstance(part, PurePath) else part for part in made_from]
        try:
            data = encode((name, arguments))
            decode_error(data)
        except (TypeError, SandboxError):
            pass
        else:
            return data
    if isinstance(error, OSError):
        # Python chooses the class by the number: FileNotFoundError and its like.
        named = [error.errno, error.strerror] if error.errno is not None else [str(error)]
        return encode(("OSError", [*named, str(error.filename)] if error.filename else named))
    return encode(("ValueError", [str(error)]))


def decode_error(data: bytes) -> Exception:
    """Make the error that was written down.

    Raises:
        SandboxError: the bytes hold something else.
    """
    name, arguments = decode(data, tuple[str, list[str | int | float | None]])
    if name not in _ERRORS:
        raise SandboxError("answered with an error that there is not")
    try:
        return _ERRORS[name](*arguments)
    except (TypeError, ValueError) as error:
        raise SandboxError("answered with an error that cannot be made") from error


def answer_type(function: Callable[..., Any]) -> Any:
    """What a function returns by its annotation; any plain value where it says nothing."""
    try:
        return _hints(function).get("return", object)
    except TypeError:  # a builtin
        return object


def _hints(annotated: Any) -> dict[str, Any]:
    # Light modules import NumPy's names for type checkers alone.
    return get_type_hints(annotated, localns={"np": np, "NDArray": NDArray})


def _plain(value: object, buffers: list[bytes | memoryview]) -> Any:
    """A value as JSON has it; of what JSON has not, a dictionary with a single letter."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, str, int, float):
        return value
    if isinstance(value, list):
        return [_plain(item, buffers) for item in value]
    content: Any
    if isinstance(value, PurePath):
        letter, content = "p", str(value)
    elif isinstance(value, Fraction):
        letter, content = "q", [value.numerator, value.denominator]
    elif isinstance(value, bytes):
        letter, content = "b", len(value)
        buffers.append(value)
    elif isinstance(value, np.ndarray) and value.dtype.name in _DTYPES:
        letter, content = "a", [value.dtype.name, list(value.shape)]
        buffers.append(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif _is_record(type(value)):
        inside = [_plain(getattr(value, name), buffers) for name in _field_names(type(value))]
        letter, content = "r", [type(value).__name__, inside]
    elif isinstance(value, tuple):
        letter, content = "t", [_plain(item, buffers) for item in value]
    elif isinstance(value, dict):
        pairs = value.items()
        letter, content = "d", [[_plain(key, buffers), _plain(item, buffers)] for key, item in pairs]
    else:
        raise TypeError(f"{type(value).__name__} is not sent")
    return {letter: content}


class _AnswerReader:
    """Values from JSON and the bytes behind it, which are taken in their order."""

    def __init__(self, buffers: memoryview, records: Mapping[str, type]) -> None:
        self._buffers = buffers
        self._records = records
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._buffers)

    def value(self, plain: Any) -> Any:
        if isinstance(plain, list):
            return [self.value(item) for item in plain]
        if not isinstance(plain, dict):
            return plain
        [(letter, content)] = plain.items()
        make: Callable[[Any], Any] = {
            "p": self._path,
            "q": lambda parts: self._fraction(*parts),
            "b": lambda count: bytes(self._take(count)),
            "a": lambda about: self._array(*about),
            "r": lambda about: self._record(*about),
            "t": lambda items: tuple(self.value(item) for item in items),
            "d": lambda pairs: {self.value(key): self.value(item) for key, item in pairs},
        }[letter]
        return make(content)

    def _path(self, text: str) -> Path:
        if type(text) is not str:
            raise SandboxError("answered with a path that is none")
        return Path(text)

    def _fraction(self, numerator: int, denominator: int) -> Fraction:
        if type(numerator) is not int or type(denominator) is not int or denominator < 1:
            raise SandboxError("answered with a fraction that is none")
        return Fraction(numerator, denominator)

    def _take(self, count: int) -> memoryview:
        if type(count) is not int or not 0 <= count <= len(self._buffers) - self._at:
            raise SandboxError("answered with fewer bytes than it says")
        self._at += count
        return self._buffers[self._at - count : self._at]

    def _array(self, dtype_name: str, shape: list[int]) -> Any:
        if dtype_name not in _DTYPES or any(type(side) is not int or side < 0 for side in shape):
            raise SandboxError("answered with an array of a kind that is not sent")
        dtype = np.dtype(dtype_name)
        # In a bytearray: what takes the array may write into it.
        content = bytearray(self._take(dtype.itemsize * math.prod(shape)))
        return np.frombuffer(content, dtype).reshape(shape)

    def _record(self, name: str, inside: list[Any]) -> Any:
        kind = self._records[name]
        values = [self.value(item) for item in inside]
        names, hints = _field_names(kind), _hints(kind)
        if len(values) != len(names) or not all(
            _fits(value, hints[name]) for name, value in zip(names, values, strict=True)
        ):
            raise SandboxError(f"answered with a {kind.__name__} whose fields are of other types")
        return kind(**dict(zip(names, values, strict=True)))


def _field_names(kind: Any) -> list[str]:
    return (
        list(kind._fields)
        if hasattr(kind, "_fields")
        else [field.name for field in fields(kind) if field.init]
    )


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or hasattr(kind, "_fields"))


@lru_cache(maxsize=64)
def _records(expected: Any) -> dict[str, type]:
    """The dataclasses and named tuples of which a value of some type may consist, by name."""
    records: dict[str, type] = {}
    waiting = [expected]
    while waiting:
        kind = waiting.pop()
        if _is_record(kind) and kind.__name__ not in records:
            records[kind.__name__] = kind
            waiting += _hints(kind).values()
        waiting += [inner for inner in get_args(kind) if not isinstance(inner, (str, int, bool))]
    return records


def _fits(value: Any, expected: Any) -> bool:
    """Whether a value is of a type as annotations name it."""
    origin, inner = get_origin(expected), get_args(expected)
    if expected in (Any, object):
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, kind) for kind in inner)
    if origin is Literal:
        return value in inner
    if origin is not None:
        return _fits_inside(value, origin, inner)
    if expected is float:
        return type(value) in (int, float)
    expected = type(None) if expected is None else expected
    # Not isinstance for numbers: a bool would be an int.
    return type(value) is expected if expected in (int, bool) else isinstance(value, expected)


def _fits_inside(value: Any, origin: Any, inner: tuple[Any, ...]) -> bool:
    """Whether a value is a container of the right things."""
    if origin is np.ndarray:
        return isinstance(value, np.ndarray) and _is_dtype(value.dtype, inner)
    if origin is tuple and inner[1:] != (...,):
        return isinstance(value, tuple) and len(value) == len(inner) and all(map(_fits, value, inner))
    if origin in (list, tuple, Sequence):
        return isinstance(value, (list, tuple)) and all(_fits(item, inner[0]) for item in value)
    if origin in (dict, Mapping) and isinstance(value, dict):
        return all(_fits(key, inner[0]) and _fits(item, inner[1]) for key, item in value.items())
    return False


def _is_dtype(dtype: np.dtype[Any], inner: tuple[Any, ...]) -> bool:
    """Whether an array's numbers are those of ``NDArray[np.uint8]``."""
    numbers = [get_args(part)[0] for part in inner if get_origin(part) is np.dtype]
    return all(np.issubdtype(dtype, kind) for kind in numbers if isinstance(kind, type) and kind is not Any)
