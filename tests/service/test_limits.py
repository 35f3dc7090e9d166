from __future__ import annotations

import pytest

from vidsift.service.caches import BytesCache, Kept
from vidsift.service.limits import Slots
from vidsift.service.problems import ProblemError


def test_slots_run_out_and_come_back() -> None:
    slots = Slots(2, "clips")
    give = slots.take()
    with slots.taken(), pytest.raises(ProblemError, match="2 clips are under way") as refused:
        slots.take()
    assert (refused.value.status_code, refused.value.headers) == (429, {"retry-after": "5"})
    give()
    give()  # a second time changes nothing
    with slots.taken(), slots.taken():
        pass
    with pytest.raises(ZeroDivisionError), slots.taken():
        raise ZeroDivisionError
    with slots.taken(), slots.taken():
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
    assert cache._held == sum(map(len, cache._items.values()))


def test_what_is_kept_is_forgotten_by_number_and_age(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("vidsift.service.caches.time.monotonic", lambda: now)
    kept: Kept[str] = Kept(2, 60.0)
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
