"""Files that are encrypted: said to be so, and not to be damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest
from tests.video.making import Recipe, make

from vidsift.errors import VideoReadError
from vidsift.video import probe, read_frames
from vidsift.video.find import holds_video

SMALL = Recipe(frames=30, gop=10)
KEY = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}
WORDS = "is encrypted ({}); only a copy without that protection can be read"


def scrambled(data: bytearray, start: int, stop: int) -> None:
    data[start:stop] = bytes(byte ^ 0x5A for byte in data[start:stop])


def mp4(folder: Path, *, fragmented: bool = False, scheme: bytes = b"cenc") -> Path:
    options = KEY | ({"movflags": "frag_keyframe+empty_moov"} if fragmented else {})
    path = make(folder, replace(SMALL, container_options=options))
    path.write_bytes(path.read_bytes().replace(b"schm\0\0\0\0cenc", b"schm\0\0\0\0" + scheme))
    return path


def undeclared(folder: Path) -> Path:
    """What is left of an encrypted file when a program copies it that knows nothing of encryption."""
    path = make(folder, SMALL)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    for start, size in places:
        at = start
        while at < start + size:
            stop = at + 4 + int.from_bytes(data[at : at + 4], "big")
            scrambled(data, at + 5, stop)
            at = stop
    path.write_bytes(data)
    return path


def fairplay(folder: Path) -> Path:
    path = mp4(folder)
    path.write_bytes(path.read_bytes().replace(b"encv", b"drmi"))
    return path


def transport_stream(folder: Path, share: float = 1.0) -> Path:
    path = make(folder, replace(SMALL, suffix=".ts"))
    data = bytearray(path.read_bytes())
    heads = [at for at in range(0, len(data), 188) if data[at + 1] & 0x1F == 1 and data[at + 2] == 0]
    for at in heads[: round(len(heads) * share)]:
        data[at + 3] |= 0x80
        payload = at + 4 + (data[at + 4] + 1 if data[at + 3] & 0x20 else 0)
        scrambled(data, payload, at + 188)
    path.write_bytes(data)
    return path


def dvd(folder: Path) -> Path:
    path = make(folder, replace(SMALL, suffix=".vob", codec="mpeg2video", format="vob", frames=60))
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 2048):
        head = data.find(b"\0\0\1\xe0", at, at + 200)
        if head >= 0:
            data[head + 6] |= 0x30
            scrambled(data, at + 128, at + 2048)
    path.write_bytes(data)
    return path


def blu_ray(folder: Path) -> Path:
    path = make(
        folder, replace(SMALL, frames=60, suffix=".m2ts", container_options={"mpegts_m2ts_mode": "1"})
    )
    data = bytearray(path.read_bytes())
    assert len(data) > 2 * 6144
    for at in range(0, len(data) - 6143, 6144):
        scrambled(data, at + 16, at + 6144)
    path.write_bytes(data)
    return path


def element(identity: bytes, content: bytes) -> bytes:
    return identity + (len(content) | 1 << 56).to_bytes(8, "big") + content


def matroska(folder: Path) -> Path:
    """A track whose entry says that its blocks are encrypted (by AES)."""
    path = make(folder, replace(SMALL, suffix=".mkv"))
    data = path.read_bytes()
    tracks = data.rindex(b"\x16\x54\xae\x6b")
    entry = data.index(b"\xae\x01", tracks)  # its size has eight bytes
    first = entry + 9
    stop = first + int.from_bytes(data[entry + 2 : first], "big")
    marks = element(b"\x50\x33", b"\x01") + element(b"\x50\x35", element(b"\x47\xe1", b"\x05"))
    encodings = element(b"\x6d\x80", element(b"\x62\x40", marks))
    track = element(b"\xae", data[first:stop] + encodings)
    path.write_bytes(data[:tracks] + element(b"\x16\x54\xae\x6b", track) + data[stop:])
    return path


def windows_media(folder: Path) -> Path:
    path = make(folder, replace(SMALL, suffix=".wmv", codec="wmv2", b_frames=0))
    data = path.read_bytes()
    size, number = int.from_bytes(data[16:24], "little"), int.from_bytes(data[24:28], "little")
    licence = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + (40).to_bytes(8, "little") + bytes(16)
    head = data[:16] + (size + 40).to_bytes(8, "little") + (number + 1).to_bytes(4, "little") + data[28:30]
    path.write_bytes(head + licence + data[30:])
    return path


def cbcs(folder: Path) -> Path:
    return mp4(folder, scheme=b"cbcs")


def fragmented(folder: Path) -> Path:
    return mp4(folder, fragmented=True)


@pytest.mark.parametrize(
    ("made", "how"),
    [
        (mp4, "Common Encryption, cenc"),
        (cbcs, "Common Encryption, cbcs"),
        (fragmented, "Common Encryption, cenc"),
        (undeclared, "its pictures are, though the file does not say so"),
        (fairplay, "FairPlay"),
        (matroska, "Matroska encryption"),
        (windows_media, "Windows Media DRM"),
        (transport_stream, "scrambled broadcast"),
        (dvd, "DVD, CSS"),
        (blu_ray, "Blu-ray, AACS"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_encrypted_is_said_and_not_damaged(tmp_path: Path, made: Callable[[Path], Path], how: str) -> None:
    path = made(tmp_path)
    with pytest.raises(VideoReadError) as caught:
        read_frames(path, [0.0, 0.5, 0.9])
    assert caught.value.reason == WORDS.format(how)
    if made is not dvd:  # what is scrambled in places only is found out when it is read through
        with pytest.raises(VideoReadError) as caught:
            probe(path)
        assert caught.value.reason == WORDS.format(how)


def test_what_is_not_encrypted_is_read(tmp_path: Path) -> None:
    """Sound alone may be encrypted; a broadcast may be scrambled for a moment; damage stays damage."""
    path = make(tmp_path, SMALL, "plain")
    path.write_bytes(path.read_bytes().replace(b"isomiso2", b"encvcenc"))
    assert holds_video(path)
    part = transport_stream(tmp_path, 0.3)
    read = read_frames(part, [0.0, 0.9])
    assert read.damage is not None
    assert "encrypted" not in read.damage
    broken = make(tmp_path, SMALL, "broken")
    data = bytearray(broken.read_bytes())
    at = data.index(b"mdat") + 4
    scrambled(data, at, data.index(b"moov") - 4)
    broken.write_bytes(data)
    with pytest.raises(VideoReadError, match="damaged") as caught:
        probe(broken)
    assert "encrypted" not in caught.value.reason


def test_the_encrypted_file(media: Callable[[str], Path]) -> None:
    with pytest.raises(
        VideoReadError, match=r"is encrypted \(its pictures are, though the file does not say so\)"
    ):
        probe(media("hard/encrypted.mp4"))
