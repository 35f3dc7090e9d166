"""Small memories that forget: by size, and by age."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["BytesCache", "Kept"]

T = TypeVar("T")


class BytesCache:
    """Keeps the byte strings that were asked for last, so many bytes of them."""

    def __init__(self, most_bytes: int) -> None:
        """Start empty."""
        self._most = most_bytes
        self._held = 0
        self._items: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        """Return what was put under a key; None where it is not, or not any more."""
        with self._lock:
            found = self._items.get(key)
            if found is not None:
                self._items.move_to_end(key)
            return found

    def put(self, key: Hashable, value: bytes) -> None:
        """Keep a byte string, and forget the oldest ones for it."""
        with self._lock:
            before = self._items.pop(key, None)
            self._held += len(value) - (0 if before is None else len(before))
            self._items[key] = value
            while self._held > self._most:
                self._held -= len(self._items.popitem(last=False)[1])


class Kept(Generic[T]):
    """Keeps values under keys that nobody can guess, so many and for so long after their last use."""

    def __init__(self, number: int, seconds: float) -> None:
        """Start empty."""
        self._number = number
        self.seconds = seconds
        self._items: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, value: T) -> str:
        """Keep a value; return its key."""
        key = secrets.token_hex(16)
        with self._lock:
            self._forget()
            while len(self._items) >= self._number:
                self._items.popitem(last=False)
            self._items[key] = (time.monotonic(), value)
        return key

    def get(self, key: str) -> T | None:
        """Return the value, which is new again by that; None where it is not, or not any more."""
        with self._lock:
            self._forget()
            if key not in self._items:
                return None
            value = self._items[key][1]
            self._items[key] = (time.monotonic(), value)
            self._items.move_to_end(key)
            return value

    def _forget(self) -> None:
        old = time.monotonic() - self.seconds
        while self._items and next(iter(self._items.values()))[0] < old:
            self._items.popitem(last=False)
