"""Whether a file is encrypted: by what its container says, or by marks on its packets.

FFmpeg reads encrypted pictures as damaged ones. Whoever is told so looks for a fault of the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vidsift.video.file_parts import FilePart, boxes

__all__ = ["ENCRYPTED", "encrypted_reason", "encrypted_tracks", "first_bytes", "scrambling_of"]

ENCRYPTED = "is encrypted"
"""How the reason begins for which an encrypted file cannot be read."""

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"sinf"})
_SAMPLE_ENTRY_BYTES = 78
"""What stands in the description of a picture before the boxes in it (ISO/IEC 14496-12, 12.1.3)."""

_EBML = b"\x1aE\xdf\xa3"
_ASF = b"0&\xb2u\x8ef\xcf\x11"
_ASF_ENCRYPTION = (
    bytes.fromhex("fbb31122 23bdd211b4b700a0c955fc6e"),  # content encryption object
    bytes.fromhex("14e68a29 2226174cb935dae07ee9289c"),  # extended content encryption object
    bytes.fromhex("33850543 8169e6499b74ad12cb86d58c"),  # advanced content encryption object
)
_SEGMENT, _TRACKS, _ENTRY, _TYPE, _CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0x1F43B675
_ENCODINGS, _ENCODING, _ENCRYPTION = 0x6D80, 0x6240, 0x5035

# In places all over the file: broadcasts are scrambled for a while, a DVD in some sectors.
_LOOKS, _LOOK_BYTES = 16, 48 * 4096
_PACK = b"\x00\x00\x01\xba"
_ALIGNED_UNIT = 6144


def first_bytes(path: Path) -> bytes:
    """As much of a file as tells its kind."""
    with path.open("rb") as file:
        return file.read(16)


def encrypted_reason(how: str) -> str:
    """What to say of a file that is encrypted in some way."""
    return f"{ENCRYPTED} ({how}); only a copy without that protection can be read"


def encrypted_tracks(path: Path, head: bytes) -> dict[int | None, str]:
    """Which tracks of pictures are encrypted, by what the container says.

    Args:
        path: the file.
        head: its first bytes, 12 or more.

    Returns:
        How, for each track by its number; None stands for all.

    Sources: ISO/IEC 14496-12, 8.12 and 23001-7, 4 (``encv``, ``sinf``, ``schm``); RFC 9559, 5.1.4.1.31
        (ContentEncryption); Advanced Systems Format, 3.14 to 3.16.
    """
    with path.open("rb") as file:
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"):
            return _in_mp4(file)
        if head.startswith(_EBML):
            return {None: "Matroska encryption"} if _in_matroska(file) else {}
        if head.startswith(_ASF):
            return {None: "Windows Media DRM"} if _in_asf(file) else {}
    return {}


def _in_mp4(file: BinaryIO) -> dict[int | None, str]:
    end = file.seek(0, 2)
    moov = next((box for box in boxes(file, 0, end) if box.kind == b"moov"), None)
    schemes: dict[int | None, str] = {}
    for track in boxes(file, moov.start, moov.stop) if moov is not None else ():
        if track.kind != b"trak":
            continue
        number, how = _track(file, track)
        if how is not None:
            schemes[number] = how
    return schemes


def _track(file: BinaryIO, track: FilePart) -> tuple[int, str | None]:
    """Number of a track, and how its pictures are encrypted."""
    number, how = 0, None
    for box in _below(file, track):
        if box.kind == b"tkhd":
            file.seek(box.start)
            data = file.read(24)
            # Version 1 states two times of 8 bytes each before the number, version 0 of 4.
            at = 20 if data[:1] == b"\x01" else 12
            number = int.from_bytes(data[at : at + 4], "big")
        elif box.kind == b"stsd":
            for entry in boxes(file, box.start + 8, box.stop):
                if entry.kind in (b"encv", b"drmi"):
                    how = _scheme(file, entry)
    return number, how


def _below(file: BinaryIO, box: FilePart) -> Iterator[FilePart]:
    for inner in boxes(file, box.start, box.stop):
        yield inner
        if inner.kind in _CONTAINERS:
            yield from _below(file, inner)


def _scheme(file: BinaryIO, entry: FilePart) -> str:
    if entry.kind == b"drmi":
        return "FairPlay"
    for box in _below(file, FilePart(entry.kind, entry.start + _SAMPLE_ENTRY_BYTES, entry.stop)):
        if box.kind == b"schm":
            file.seek(box.start + 4)
            name = file.read(4).decode("latin-1")
            if name.isalnum():
                return f"Common Encryption, {name}"
    return "Common Encryption"


def _elements(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Elements of an EBML master: identity, and where the content begins and ends; until one is cut off."""
    while start < min(stop, len(data)):
        # The leading zeros of its first byte say how long a number is (RFC 8794, 4).
        length = 9 - data[start].bit_length()
        size_at = start + length
        if length > 4 or size_at >= len(data):
            return
        width = 9 - data[size_at].bit_length()
        content = size_at + width
        if width > 8 or content > len(data):
            return
        size = int.from_bytes(data[size_at:content], "big") & ((1 << 7 * width) - 1)
        # All ones: the size was not known when this was written.
        end = stop if size == (1 << 7 * width) - 1 else min(stop, content + size)
        yield int.from_bytes(data[start:size_at], "big"), content, end
        start = end


def _in_matroska(file: BinaryIO) -> bool:
    """Whether all tracks of pictures are; those of a file stand before its pictures."""
    data = file.read(1 << 18)
    entries: list[bool] = []
    for identity, start, stop in _elements(data, 0, 1 << 62):
        if identity != _SEGMENT:
            continue
        for inner, first, last in _elements(data, start, stop):
            if inner == _TRACKS:
                entries += _encrypted_entries(data, first, last)
            elif inner == _CLUSTER:
                break
    return bool(entries) and all(entries)


def _encrypted_entries(data: bytes, start: int, stop: int) -> Iterator[bool]:
    for identity, first, last in _elements(data, start, stop):
        parts = list(_elements(data, first, last)) if identity == _ENTRY else []
        if any(part == _TYPE and data[at:end][-1:] == b"\x01" for part, at, end in parts):
            yield any(
                what == _ENCRYPTION
                for part, at, end in parts
                if part == _ENCODINGS
                for inner, begin, until in _elements(data, at, end)
                if inner == _ENCODING
                for what, _, _ in _elements(data, begin, until)
            )


def _in_asf(file: BinaryIO) -> bool:
    head = file.read(30)
    header = head + file.read(min(int.from_bytes(head[16:24], "little"), 1 << 20) - len(head))
    # 24 bytes are the head of any object, 6 more count what is in this one (3.1).
    start = 30
    while start + 24 <= len(header):
        if header[start : start + 16] in _ASF_ENCRYPTION:
            return True
        start += max(24, int.from_bytes(header[start + 16 : start + 24], "little"))
    return False


def scrambling_of(path: Path, head: bytes) -> str | None:
    """How the packets of a transport or program stream are encrypted, by their marks; None if they are not.

    To be asked where a file gives no picture or a damaged one: it reads a few MB in places all over it. Of
    a broadcast more than half has to be scrambled, so that one that was for a moment is read; of a DVD only
    some sectors ever are.

    Sources: ISO/IEC 13818-1, 2.4.3.3 (transport_scrambling_control) and 2.4.3.7 (PES_scrambling_control);
        that AACS leaves 16 of 6,144 bytes as they are: AACS, Blu-ray Disc Pre-recorded Book, 3.10.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if head.startswith(_PACK):
            marks = (_marks_of_packs(data) for data in _looks(file, size, 2048))
            return "DVD, CSS" if _share(marks) > 0.05 else None
        step = 192 if head[4:5] == b"\x47" else 188
        if head[step - 188 : step - 187] != b"\x47":
            return None
        if step == 192 and _share(_lost_packets(data) for data in _looks(file, size, _ALIGNED_UNIT)) > 0.5:
            return "Blu-ray, AACS"
        marks = (_marks_of_packets(data, step) for data in _looks(file, size, step))
        return "scrambled broadcast" if _share(marks) > 0.5 else None


def _looks(file: BinaryIO, size: int, step: int) -> Iterator[bytes]:
    """Stretches all over a file, each beginning at a multiple of ``step``."""
    for number in range(_LOOKS):
        at = size * number // _LOOKS // step * step
        stop = size * (number + 1) // _LOOKS
        file.seek(at)
        yield file.read(min(_LOOK_BYTES, max(stop - at, step)))


def _share(marks: Iterator[tuple[int, int]]) -> float:
    """Of pairs (marked, all) the share that is marked."""
    some = list(marks)
    return sum(marked for marked, _ in some) / max(1, sum(every for _, every in some))


def _marks_of_packets(data: bytes, step: int) -> tuple[int, int]:
    # Blu-ray puts a time of 4 bytes before each packet.
    first = step - 188
    heads = [data[at : at + 4] for at in range(first, len(data) - 3, step)]
    # Tables (numbers below 32 and what begins a section) are never scrambled; nor is what is empty.
    heads = [packet_head for packet_head in heads if packet_head[0] == 0x47 and packet_head[3] & 0x10]
    heads = [
        packet_head for packet_head in heads if 32 <= (packet_head[1] & 0x1F) << 8 | packet_head[2] < 0x1FFF
    ]
    return sum(packet_head[3] & 0xC0 != 0 for packet_head in heads), len(heads)


def _lost_packets(data: bytes) -> tuple[int, int]:
    """Packets without their first byte in units whose first packet has it."""
    whole = [at for at in range(0, len(data) - _ALIGNED_UNIT + 1, _ALIGNED_UNIT) if data[at + 4] == 0x47]
    return sum(data[at + 196] != 0x47 and data[at + 388] != 0x47 for at in whole), len(whole)


def _marks_of_packs(data: bytes) -> tuple[int, int]:
    marked, every, at = 0, 0, data.find(b"\x00\x00\x01")
    while 0 <= at < len(data) - 7:
        # Pictures and private streams, which have flags after their length.
        if 0xE0 <= data[at + 3] <= 0xEF and data[at + 6] >> 6 == 2:
            every += 1
            marked += data[at + 6] & 0x30 != 0
            at += 5 + max(1, int.from_bytes(data[at + 4 : at + 6], "big"))
        at = data.find(b"\x00\x00\x01", at + 1)
    return marked, every
