"""Why a file gives no picture, or a damaged one: what can be known beyond the words of the decoder."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from vidsift.errors import VideoReadError
from vidsift.video.container import DECODE_ERRORS, MOST_PIXELS, OpenVideo, open_video
from vidsift.video.encrypted import encrypted_reason, first_bytes, scrambling_of

__all__ = ["refuse_encrypted", "why_no_picture"]

# How many packets are looked at, and how many of them have to hold slices before they tell anything.
_LOOKED_AT, _FEWEST = 64, 4
_SLICES = (1, 5)
_IDR = 5
_TYPES_OF_IDR = (2, 4, 7, 9)  # slice_type of I and SI slices (ITU-T H.264, table 7-6)


def why_no_picture(video: OpenVideo, damage: str | None) -> str:
    """Say why not one picture came, where that is known from more than the ``damage`` that was met."""
    how = _encryption(video.path)
    if how is not None:
        return encrypted_reason(how)
    if video.decoder.width > 0:
        return damage or "holds no picture that can be decoded"
    detail = f" ({damage})" if damage else ""
    return f"claims no size for its pictures, or one of more than {MOST_PIXELS:,} pixels{detail}"


def refuse_encrypted(video: OpenVideo) -> None:
    """Refuse a file that was found damaged and is encrypted: its pictures are noise.

    Raises:
        VideoReadError: it is.
    """
    how = _encryption(video.path)
    if how is not None:
        raise VideoReadError(video.path, encrypted_reason(how))


def _encryption(path: Path) -> str | None:
    """How a file that its container calls readable is encrypted all the same."""
    try:
        how = scrambling_of(path, first_bytes(path))
        if how is None and _hidden_pictures(path):
            return "its pictures are, though the file does not say so"
    except (VideoReadError, OSError):
        return None
    return how


def _hidden_pictures(path: Path) -> bool:
    """Whether H.264 pictures stand in sound frames and are noise.

    Common Encryption leaves the length and the kind of each unit as they are and hides what follows. Copied
    by a program that knows nothing of it, a file loses the boxes that say so. Damage spares no lengths.

    Sources: ISO/IEC 14496-15, 5.3.3.1 (avcC); ITU-T H.264, 7.3.3 (slice header).
    """
    with open_video(path) as video:
        setup = video.decoder.extradata or b""
        if video.decoder.name != "h264" or len(setup) < 7 or setup[0] != 1:
            return False
        width, known = (setup[4] & 3) + 1, _picture_sets(setup)
        sound: list[bool] = []
        try:
            for packet in islice((packet for packet in video.packets() if packet.size), _LOOKED_AT):
                units = list(_units(bytes(packet), width))
                if not units:
                    return False
                first = next((unit for unit in units if unit[0] & 0x1F in _SLICES), None)
                if first is not None:
                    sound.append(_makes_sense(first, known))
        except DECODE_ERRORS:
            return False
    # Noise passes too, about once in four: the first two numbers are 0 where one bit is set.
    return len(sound) >= _FEWEST and sum(sound) < 0.6 * len(sound)


def _units(packet: bytes, width: int) -> Iterator[bytes]:
    """The units of a packet; none at all where their lengths do not fill it, or a kind is none."""
    places, at = [], 0
    while at < len(packet):
        size, start = int.from_bytes(packet[at : at + width], "big"), at + width
        at = start + size
        if not size or at > len(packet) or packet[start] & 0x80 or not 1 <= packet[start] & 0x1F <= 21:
            return
        places.append((start, at))
    yield from (packet[start:stop] for start, stop in places)


def _makes_sense(unit: bytes, known: set[int]) -> bool:
    """Whether a unit begins like the first slice of a picture."""
    first_block, kind, picture_set = _numbers(unit[1:17], 3)
    if unit[0] & 0x1F == _IDR and kind not in _TYPES_OF_IDR:
        return False
    return first_block == 0 and 0 <= kind <= 9 and picture_set in known


def _picture_sets(setup: bytes) -> set[int]:
    """Numbers of the picture parameter sets in the decoder's configuration."""
    at = 6
    for _ in range(setup[5] & 31):
        at += 2 + int.from_bytes(setup[at : at + 2], "big")
    numbers, count = set(), setup[at] if at < len(setup) else 0
    for _ in range(count):
        numbers.add(_numbers(setup[at + 4 : at + 12], 1)[0])
        at += 2 + int.from_bytes(setup[at + 1 : at + 3], "big")
    return numbers


def _numbers(data: bytes, count: int) -> list[int]:
    """Read numbers in the Exp-Golomb code; -1 where the bits end."""
    bits = "".join(f"{byte:08b}" for byte in data)
    numbers, at = [], 0
    for _ in range(count):
        # So many zeros, then as many bits and one more, of a number that is greater by one (9.1).
        zeros = len(bits[at:]) - len(bits[at:].lstrip("0"))
        end = at + 2 * zeros + 1
        numbers.append(int(bits[at:end], 2) - 1 if end <= len(bits) else -1)
        at = min(end, len(bits))
    return numbers
