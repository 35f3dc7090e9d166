from __future__ import annotations

import pytest

from vidsift.service.limits import Slots
from vidsift.service.problems import ProblemError
from vidsift.service.service import BytesCache, ExpiringStore


def test_slots_run_out_and_come_back() -> None:
    slots = Slots(2, "clips")
    give = slots.acquire()
    with slots.hold(), pytest.raises(ProblemError, match="2 clips are under way") as refused:
        slots.acquire()
    assert (refused.value.status_code, refused.value.headers) == (429, {"retry-after": "5"})
    give()
    give()  # a second time changes nothing
    with slots.hold(), slots.hold():
        pass
    with pytest.raises(ZeroDivisionError), slots.hold():
        raise ZeroDivisionError
    with slots.hold(), slots.hold():
        pass


def test_the_cache_keeps_what_was_asked_for_last() -> None:
    cache = BytesCache(10)
    for key in "abc":
        cache.put(key, key.encode() * 3)
    assert cache.get("a") == b"aaa"
    cache.put("d", b"dddd")
    assert [cache.get(key) for key in "abcd"] == [b"aaa", None, b"ccc", b"dddd"]
    cache.put("d", b"d")
    cache.put("e", b"eee")
    assert [cache.get(key) for key in "acde"] == [b"aaa", b"ccc", b"d", b"eee"]
    cache.put("huge", b"x" * 11)
    assert cache.get("huge") is None
    assert cache._size_bytes == sum(map(len, cache._items.values()))


def test_what_is_kept_is_forgotten_by_number_and_age(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("vidsift.service.service.time.monotonic", lambda: now)
    kept: ExpiringStore[str] = ExpiringStore(2, 60.0)
    first, second = kept.put("first"), kept.put("second")
    assert len({first, second}) == 2
    assert len(first) == 32
    assert kept.get(first) == "first"
    kept.put("third")
    assert (kept.get(first), kept.get(second)) == ("first", None)
    now = 59.0
    assert kept.get(first) == "first"  # used again: it stays another minute
    now = 118.0
    assert kept.get(first) == "first"
    now = 178.5
    assert kept.get(first) is None
