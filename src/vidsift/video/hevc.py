"""Which HEVC packets hold a picture that no other picture refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.packet import Packet

__all__ = ["NalReader"]

_FIRST_NON_VIDEO = 32
_LAST_SUBLAYER = 15
_LOOKED_AT = 16


class NalReader:
    """Reads the header of the first coded slice of each packet of a stream.

    A picture marked as not referred to within its temporal layer may still serve a higher layer, so it can
    be left out only in the stream's highest layer, which is known when all packets were seen.

    Source: ITU-T H.265, 7.4.2.2 (unit types, TemporalId) and 7.3.1.2 (header).
    """

    def __init__(self, extradata: bytes | None) -> None:
        """Learn from the decoder's configuration how units are marked off."""
        in_container = extradata is not None and len(extradata) > 21 and extradata[0] == 1
        self._length_bytes = (extradata[21] & 3) + 1 if in_container and extradata is not None else 0

    def layer(self, packet: Packet[Any]) -> tuple[int, bool]:
        """Return the packet's temporal layer, and whether its picture serves none within that layer.

        A packet that cannot be read counts as serving others, in layer 0.
        """
        data = memoryview(packet)
        at = 0
        for _ in range(_LOOKED_AT):
            start, following = self._unit(data, at)
            if start + 2 > len(data):
                break
            kind = (data[start] >> 1) & 0x3F
            if kind < _FIRST_NON_VIDEO:
                return (data[start + 1] & 7) - 1, kind < _LAST_SUBLAYER and kind % 2 == 0
            at = following
        return 0, False

    def _unit(self, data: memoryview, at: int) -> tuple[int, int]:
        """Return where the unit at or after ``at`` starts, and where to look for the next."""
        if self._length_bytes:
            start = at + self._length_bytes
            return start, start + int.from_bytes(data[at:start], "big")
        found = bytes(data[at : at + 4096]).find(b"\x00\x00\x01")
        return (len(data), len(data)) if found < 0 else (at + found + 3, at + found + 3)
