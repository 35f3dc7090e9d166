from __future__ import annotations

import pytest

from vidsift.service.service import BytesCache, ExpiringStore


def test_the_cache_holds_what_was_used_last() -> None:
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


def test_stored_values_are_dropped_by_number_and_age(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("vidsift.service.service.time.monotonic", lambda: now)
    store: ExpiringStore[str] = ExpiringStore(2, 60.0)
    first, second = store.put("first"), store.put("second")
    assert len({first, second}) == 2
    assert len(first) == 32
    assert store.get(first) == "first"
    store.put("third")
    assert (store.get(first), store.get(second)) == ("first", None)
    now = 59.0
    assert store.get(first) == "first"  # used again: it stays another minute
    now = 118.0
    assert store.get(first) == "first"
    now = 178.5
    assert store.get(first) is None
