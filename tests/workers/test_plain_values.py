"""What processes answer comes back as it was; what is no answer makes nothing."""

from __future__ import annotations

import contextlib
import json
import pickle
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vidsift.errors import (
    ClipTooLargeError,
    IndexWriteError,
    LockHeldError,
    QueryError,
    SandboxError,
    VideoReadError,
)
from vidsift.index.decode_worker import Done, Failed, Message, Segment
from vidsift.types import Frames, Span
from vidsift.video.footage import read_footage
from vidsift.workers.plain_values import answer_type, decode, decode_error, encode, encode_error

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=50),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Pair(NamedTuple):
    left: int
    right: str | None


@dataclass(frozen=True)
class Outer:
    pair: Pair
    pixels: NDArray[np.uint8]
    kind: Literal["a", "b"] = "a"
    parts: tuple[int, ...] = ()


@settings(max_examples=25, deadline=None)
@given(PLAIN)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert decode(encode(value), object) == value


def test_messages_come_back_with_their_arrays() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    sent = Segment(Span(0.0, 2.0), pixels[:, ::-1], np.arange(2.0), [b"first", b""])
    came = decode(encode(sent), Message)
    assert isinstance(came, Segment)
    assert (came.span, came.thumbnails) == (sent.span, sent.thumbnails)
    np.testing.assert_array_equal(came.pixels, sent.pixels)
    np.testing.assert_array_equal(came.times_seconds, sent.times_seconds)
    came.pixels[:] = 0  # what takes it may write into it
    assert decode(encode(Done(1, 2, None)), Message) == Done(1, 2, None)
    assert decode(encode(Path("a/b")), Path) == Path("a/b")
    frames = decode(encode(Frames(pixels, np.arange(2.0))), answer_type(read_footage))
    assert isinstance(frames, Frames)
    nested = Outer(Pair(1, None), pixels, "b", (1, 2))
    came_nested = decode(encode(nested), Outer)
    assert (came_nested.pair, came_nested.kind, came_nested.parts) == (Pair(1, None), "b", (1, 2))
    assert isinstance(came_nested.pair, Pair)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", int),
        (True, int),
        (1, bool),
        ([1, "x"], list[int]),
        ((1, 2, 3), tuple[int, int]),
        ({"a": "b"}, dict[str, int]),
        ("c", Literal["a", "b"]),
        (Done(1, 2, None), Failed),
        (Failed("x", 1, 2), int | None),
        (np.zeros(2), NDArray[np.uint8]),
        (Pair(1, "x"), Outer),
        (Pair("x", "y"), Pair),  # type: ignore[arg-type]
        (Outer(Pair(1, "x"), np.zeros(2)), Outer),  # type: ignore[arg-type]
        (Done(1, 2, None), object),
    ],
)
def test_what_is_of_another_type_is_no_answer(value: Any, expected: Any) -> None:
    with pytest.raises(SandboxError, match="answered with"):
        decode(encode(value), expected)


def written(plain: Any, buffers: bytes = b"") -> bytes:
    text = json.dumps(plain).encode()
    return len(text).to_bytes(8, "little") + text + buffers


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        b"\xff" * 40,
        pickle.dumps({"a": 1}),
        (2**63).to_bytes(8, "little"),
        written(1, b"more"),
        written({"b": 5}, b"four"),
        written({"b": -1}, b"x"),
        written({"b": True}, b"x"),
        written({"a": ["uint8", [2, 3]]}, bytes(5)),
        written({"a": ["uint8", [2**40, 2**40]]}, bytes(5)),
        written({"a": ["uint8", [-1]]}, b""),
        written({"a": ["object", [1]]}, bytes(8)),
        written({"a": ["O8", [1]]}, bytes(8)),
        written({"a": "uint8"}),
        written({"r": ["Popen", ["ls"]]}),
        written({"r": ["Done", [1]]}),
        written({"z": 1}),
        written({"p": 1}),
        written({"d": [[[], 1]]}),
        written({}),
        written({"b": 0, "t": []}),
        (10**6).to_bytes(8, "little") + b"[" * 10**6,
    ],
)
def test_broken_bytes_are_no_answer(data: bytes) -> None:
    for expected in (object, Message, Outer):
        with pytest.raises(SandboxError, match="answered with"):
            decode(data, expected)
    with pytest.raises(SandboxError, match="answered with"):
        decode_error(data)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_do_anything_else_than_answer_or_fail(data: bytes) -> None:
    with contextlib.suppress(SandboxError):
        decode(len(data).to_bytes(8, "little") + data, Message)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("what"),
        QueryError("what"),
        ClipTooLargeError("what"),
        SandboxError("what"),
        IndexWriteError("what"),
        FileNotFoundError(2, "not there", "/a"),
        PermissionError(13, "denied"),
    ],
)
def test_errors_come_back_as_they_were(error: Exception) -> None:
    came = decode_error(encode_error(error))
    assert type(came) is type(error)
    assert str(came) == str(error)


def test_errors_keep_what_they_know_or_at_least_their_words() -> None:
    came = decode_error(encode_error(VideoReadError("/a.mp4", "is cut off", 2.5)))
    assert isinstance(came, VideoReadError)
    assert (came.path, came.reason, came.at_seconds) == (Path("/a.mp4"), "is cut off", 2.5)
    for error, kind in [
        (UnicodeDecodeError("utf8", b"a", 0, 1, "bad"), ValueError),
        (LockHeldError(Path("a"), 3), OSError),
    ]:
        came = decode_error(encode_error(error))
        assert type(came) is kind
        assert str(came) == str(error)
    for name in ("SystemExit", "KeyboardInterrupt", "VidsiftError", "Popen"):
        with pytest.raises(SandboxError, match="an error that there is not"):
            decode_error(encode((name, ["x"])))


def test_what_is_not_plain_is_not_sent() -> None:
    for value in (object(), lambda: None, {1, 2}, np.array([None]), np.array(["a"]), 1j):
        with pytest.raises(TypeError, match="sent"):
            encode(value)


def test_fractions_are_sent_whole_and_none_is_made_of_anything_else() -> None:
    rate = Fraction(30000, 1001)
    assert decode(encode([rate]), list[Fraction]) == [rate]
    for wrong in (b"[1, 0]", b"[1, -2]", b"[1.5, 2]", b'["9", 1]', b"[true, 1]"):
        text = b'{"q": ' + wrong + b"}"
        with pytest.raises(SandboxError):
            decode(len(text).to_bytes(8, "little") + text, Fraction)
