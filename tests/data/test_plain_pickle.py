"""Pickles of plain values are read as pickle reads them; any that could run something is refused, unrun."""

from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsift.data import plain_pickle
from vidsift.data.plain_pickle import read_plain_pickle
from vidsift.errors import CaptionsError

CAPTIONS = {"a_1_2": [["a", "dog", "runs"], ["it", "stops"]], "b": [["größe", "\U0001f600"]], "c": [[]]}

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def read(folder: Path, program: bytes) -> Any:
    file = folder / "raw-captions.pkl"
    file.write_bytes(program)
    return read_plain_pickle(file)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_captions_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    assert read(tmp_path, pickle.dumps(CAPTIONS, protocol)) == CAPTIONS
    assert read(tmp_path, pickle.dumps((1, "a", (2, ["b"]), ()), protocol)) == [1, "a", [2, ["b"]], []]


@settings(max_examples=30)
@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_any_plain_value_is_read_as_pickle_reads_it(
    tmp_path_factory: pytest.TempPathFactory, value: Any, protocol: int
) -> None:
    assert read(tmp_path_factory.mktemp("pickle"), pickle.dumps(value, protocol)) == value


def test_strings_of_python_2_are_read(tmp_path: Path) -> None:
    # As cPickle of Python 2 wrote {"a": ["x y"]} with protocols 0 and 2.
    assert read(tmp_path, b"(dp1\nS'a'\np2\n(lp3\nS'x y'\np4\nas.") == {"a": ["x y"]}
    assert read(tmp_path, b"\x80\x02}q\x01U\x01aq\x02]q\x03U\x03x yq\x04as.") == {"a": ["x y"]}


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: {"a": [["x"], bad]}], ids=["bare", "hidden"])
def test_a_program_in_a_pickle_is_refused_and_not_run(tmp_path: Path, wrap: Any, protocol: int) -> None:
    target = tmp_path / "was_run"
    program = pickle.dumps(wrap(Malicious(target)), protocol)
    with pytest.raises(
        CaptionsError, match=r"is the instruction (STACK_)?GLOBAL.*nothing of the file was run"
    ):
        read(tmp_path, program)
    assert not target.exists()
    pickle.loads(program)  # the test's own: it would have been
    assert target.exists()


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "instruction GLOBAL 'os system'"),
        (b"(S'true'\nios\nsystem\n.", "instruction INST 'os system'"),
        (b"Pwhat\n.", "instruction PERSID 'what'"),
        (b"U\x04whatQ.", "instruction BINPERSID"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "instruction STACK_GLOBAL"),
        (pickle.dumps(collections.OrderedDict(a=1)), "OrderedDict|instruction STACK_GLOBAL"),
        (pickle.dumps({"a"}, 4), "instruction EMPTY_SET"),
        (pickle.dumps(b"bytes", 4), "instruction SHORT_BINBYTES"),
        (b"}}s.", "no pickle that can be read"),
        (b"", "no pickle that can be read"),
        (b"a", "no pickle that can be read"),
        (b"(", "no pickle that can be read"),
        (b"h\x05.", "no pickle that can be read: KeyError"),
        (b"}}.", "it leaves 2 values"),
        (b"N", "no pickle that can be read"),
        (b"K\x01K\x01s.", "no pickle that can be read"),
        (b"not a pickle at all", "no pickle|instruction"),
        (b"X\xff\xff\xff\x7fabc.", "no pickle that can be read"),
    ],
)
def test_what_is_not_plain_or_no_pickle_is_refused(tmp_path: Path, program: bytes, problem: str) -> None:
    with pytest.raises(CaptionsError, match=problem):
        read(tmp_path, program)


def test_what_holds_itself_or_grows_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_pickle, "_MOST_VALUES", 10_000)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(CaptionsError, match="holds more than 10,000 values, or itself"):
        read(tmp_path, pickle.dumps(endless))
    laughing: list[Any] = ["ha"]
    for _ in range(12):
        laughing = [laughing] * 10
    with pytest.raises(CaptionsError, match="holds more than"):
        read(tmp_path, pickle.dumps(laughing))
    with pytest.raises(CaptionsError, match="cannot be read"):
        read_plain_pickle(tmp_path / "nowhere.pkl")
