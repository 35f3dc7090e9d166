"""Open a file, choose its video stream, and set its clock.

The clock: time 0 is the start of the container, so a time here is what a player shows, also for files
whose own timestamps start elsewhere. Times come from presentation timestamps, never from counting. Files
whose timestamps start again on the way are opened by :mod:`vidsift.video.timed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import numpy as np
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidsift.errors import PictureError, VideoReadError
from vidsift.video.clock import JUMP_SECONDS, Clock, on_clock
from vidsift.video.encrypted import encrypted_reason, encrypted_tracks, first_bytes, scrambling_of
from vidsift.video.signatures import video_in_photo

__all__ = ["DECODE_ERRORS", "MOST_PIXELS", "OpenVideo", "demuxed", "message_of", "open_video"]

MOST_PIXELS = 1 << 27
"""Larger pictures (16,384 x 8,192) are refused before memory is taken: no camera makes them, damage does."""

DECODE_ERRORS = (av.error.FFmpegError, EOFError, OSError, ValueError, RuntimeError)
"""What PyAV raises on damaged data, whichever layer met it."""

# Streams without a container: no timestamps at all. AVI keeps only the order of decoding.
_BARE_STREAMS = frozenset({"h264", "hevc", "m4v", "mpegvideo", "h263", "h261", "vc1", "obu", "vvc"})
# Broadcasts, discs, recorders: files are joined, counters wrap; each packet lies at a byte that is known.
_CLOCK_MAY_JUMP = frozenset({"mpegts", "mpegtsraw", "mpeg"})
# Encoders start AAC and B-frames a little before 0, which is no other clock.
_LATE_SECONDS = 0.05
# FFmpeg opens pictures and subtitles too, as if they were videos of one frame.
_PICTURES = ("image2", "webp")
_NOT_FOOTAGE = ("tty", "lrc", "srt", "webvtt", "ass", "ffmetadata")
# Playlists: a file of theirs could have FFmpeg open any other file, or the network.
_LEAD_ELSEWHERE = {"hls", "applehttp", "concat", "dash", "imf", "sdp", "rtsp", "rtp", "sap", "vapoursynth"}
_MICROSECOND = Fraction(1, 1_000_000)
_NARROWEST = 8.0
"""The most that pixels are wider than high; damage says more."""

_FASTEST = 10_000
"""Pictures per second; what says more means something else, as DV the ticks of its clock."""


def message_of(error: BaseException) -> str:
    """Return FFmpeg's own words for an error, without numbers and function names."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    text = str(text)
    return text[:1].lower() + text[1:]


def demuxed(container: av.container.InputContainer, streams: Any) -> Iterator[Packet[Any]]:
    """The packets of some streams from where the container stands, ending with empty ones that flush.

    Unlike PyAV's own it goes on where another stream begins in the middle, as in recordings of broadcasts and
    in damaged files: PyAV knows the streams that were there when the file was opened, and fails at a packet
    of one that was not, which is lost, and nothing else.
    """
    while True:
        try:
            yield from container.demux(streams)
        except IndexError:
            continue
        return


@dataclass(eq=False)
class OpenVideo:
    """A file held open: its container, the stream that is shown, and the clock.

    Attributes:
        origin_ticks: the timestamp that counts as time 0, in ticks of the stream.
        tick: length of a tick in seconds.
        on_progress: called when packets come from further in the file than any before; a file that leads
            its reader in circles makes no progress.
        clock: brings the file's timestamps onto one clock; None where they are on one, or nobody looked.
    """

    path: Path
    container: av.container.InputContainer
    stream: VideoStream
    origin_ticks: int
    tick: Fraction
    on_progress: Callable[[], None] | None = None
    clock: Clock | None = None
    _furthest: int = field(default=-1, init=False)

    @property
    def decoder(self) -> VideoCodecContext:
        """The stream's decoder."""
        return self.stream.codec_context

    @property
    def format_names(self) -> frozenset[str]:
        """Names of the container format, e.g. ``{"mov", "mp4", ...}``."""
        return frozenset(self.container.format.name.split(","))

    @property
    def frames_per_second(self) -> Fraction:
        """The nominal rate; 25 where the file names none, as the ffmpeg program assumes."""
        stream = self.stream
        rates = [stream.average_rate, stream.guessed_rate, stream.base_rate]
        if self.bare:
            rates.insert(0, stream.guessed_rate)
        # PyAV's ratios are fractions up to 18, and a type of its own, which cannot be rounded, from 19 on.
        known = [Fraction(rate) for rate in rates if rate]
        return next((rate for rate in known if rate <= _FASTEST), Fraction(25))

    @property
    def pixel_aspect(self) -> float:
        """Width of a pixel over its height as stored, by the container, else by the picture decoded last.

        1 where neither says it, or what no picture is made with.
        """
        stated = self.stream.sample_aspect_ratio
        # Broadcasts change on the way, which only their pictures say.
        ratio = self.decoder.sample_aspect_ratio if self.clock_may_jump or self.bare else stated
        aspect = float(Fraction(ratio or stated or 1))
        return aspect if 1 / _NARROWEST <= aspect <= _NARROWEST else 1.0

    @property
    def bare(self) -> bool:
        """Whether this is a stream without a container, which has no clock."""
        return bool(self.format_names & _BARE_STREAMS)

    @property
    def step_ticks(self) -> int:
        """Length of a picture at the nominal rate, in ticks."""
        return max(1, round(1 / (self.frames_per_second * self.tick)))

    @property
    def without_pts(self) -> bool:
        """Whether this kind of file keeps no presentation times of its own."""
        return self.bare or "avi" in self.format_names

    @property
    def clock_may_jump(self) -> bool:
        """Whether files of this kind may go on by another clock, and are read through to find that out."""
        return bool(self.format_names & _CLOCK_MAY_JUMP)

    @property
    def starts_late(self) -> bool:
        """Whether the file's own clock stands elsewhere than at 0 when the file starts."""
        return abs(float(self.origin_ticks * self.tick)) > _LATE_SECONDS

    def follow(self, clock: Clock, first_ticks: int, *, first_moved: bool) -> None:
        """Give the times of a clock.

        Args:
            clock: of this file.
            first_ticks: when the first picture is shown on it.
            first_moved: the first picture's own timestamp, which the container starts at, is wrong.
        """
        self.clock = clock
        earliest = first_ticks - round(JUMP_SECONDS / self.tick)
        if first_moved or not earliest <= self.origin_ticks <= first_ticks:
            self.origin_ticks = first_ticks

    def packets_from(self, ticks: int, place: int) -> Iterator[Packet[VideoStream]]:
        """The stream's packets from a moment on, or from a byte where timestamps lead astray."""
        self.seek(ticks, place)
        return self.packets(place)

    def seek(self, ticks: int, place: int) -> None:
        """Go to a moment, or to a byte where timestamps lead astray."""
        if self.clock is None and not self.clock_may_jump:
            self.container.seek(ticks, stream=self.stream)
        else:  # by timestamps FFmpeg may land behind the key frame that is meant, too
            self.container.seek(place, unsupported_byte_offset=True)

    def streams(self, streams: Any, place: int = 0) -> Iterator[Packet[Any]]:
        """Packets of some streams from where the container stands, see :func:`demuxed`, on the clock.

        Args:
            streams: of the container.
            place: byte at which the container stands.
        """
        packets = demuxed(self.container, streams)
        return packets if self.clock is None else on_clock(packets, self.clock, self.stream.index, place)

    def packets(self, place: int = 0) -> Iterator[Packet[VideoStream]]:
        """The stream's packets from where the container stands, ending with empty ones that flush.

        Args:
            place: byte at which the container stands.
        """
        for packet in self.streams(self.stream, place):
            # Only what lies further than ever counts: a damaged file can lead its reader in circles for ever.
            if self.on_progress is not None:
                reached = packet.pos if packet.pos is not None else packet.dts
                if reached is not None and reached > self._furthest:
                    self._furthest = reached
                    self.on_progress()
            yield packet

    def seconds(self, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        """Turn timestamps into seconds on the video's clock."""
        return (ticks - self.origin_ticks) * self.tick.numerator / self.tick.denominator

    def seconds_of(self, ticks: int) -> float:
        """Turn one timestamp into seconds, with the same rounding as :meth:`seconds`."""
        return float(self.seconds(np.asarray([ticks], np.int64))[0])

    def announced_end_seconds(self) -> float | None:
        """Where the headers say that the pictures end; None where they do not say.

        A cut MP4 keeps the length of the uncut stream beside that of the edit: the shorter one is shown. In a
        file that starts late some writers count from there, others from 0: the earlier end is meant.
        """
        if self.clock_may_jump or self.bare:
            return None  # such a file says nothing; FFmpeg guesses by the last timestamp or the bit rate
        ends: list[float] = []
        stream, container = self.stream, self.container
        if stream.duration is not None and stream.duration > 0:
            first = self.origin_ticks if stream.start_time is None else stream.start_time
            ends.append(self.seconds_of(first + stream.duration))
        # Matroska has a length for the whole file alone; writers tell that of a stream in a tag.
        elif "DURATION" in stream.metadata:
            ends += _clock_text(stream.metadata["DURATION"])
        if ends and container.duration is not None and container.duration > 0:
            ends.append(float(container.duration * _MICROSECOND))
        if self.starts_late:
            origin_seconds = float(self.origin_ticks * self.tick)
            ends += [end - origin_seconds for end in ends if end > origin_seconds > 0]
        return min(ends) if ends else None


def _clock_text(text: str) -> list[float]:
    """Read ``hh:mm:ss.fraction``; nothing where the text is something else."""
    parts = text.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return []
    total = hours * 3600 + minutes * 60 + seconds
    return [total] if total > 0 else []


def _check_file(path: Path) -> bytes:
    """Return the first bytes of a file that can be read."""
    if path.is_dir():
        raise VideoReadError(path, "is a folder, expected a video file")
    if not path.exists():
        raise VideoReadError(path, "there is no such file")
    if not path.is_file():
        raise VideoReadError(path, "is not a regular file, expected a video file")
    try:
        head = first_bytes(path)
    except OSError as error:
        raise VideoReadError(path, f"cannot be read: {message_of(error)}") from error
    if not head:
        raise VideoReadError(path, "is empty (0 bytes); copy or download it again")
    return head


@cache
def _formats_of_their_own() -> str:
    """Names of all formats but those whose files name others, as FFmpeg reads them."""
    known = {name for names in av.formats_available for name in names.split(",")}
    return ",".join(sorted(known - _LEAD_ELSEWHERE))


def _undecodable_metadata() -> dict[str, Any]:
    """Arguments of ``av.open`` that keep titles which are no UTF-8 from failing the file.

    PyAV up to 18 raises at such bytes unless it is told to replace them; PyAV 19 dropped the argument and
    always escapes them (PEP 383).
    """
    return {"metadata_errors": "replace"} if _major(av.__version__) < 19 else {}


def _major(version: str) -> int:
    return int(version.split(".", 1)[0])


def _open_container(path: Path, head: bytes) -> av.container.InputContainer:
    # The file alone is opened: a playlist under a video's name must not lead elsewhere.
    within = video_in_photo(path)
    options = {
        "protocol_whitelist": "file" if within is None else "file,subfile",
        "format_whitelist": _formats_of_their_own(),
        "max_pixels": str(MOST_PIXELS),
    }
    if head[4:8] == b"ftyp":
        # The headers of an MP4 say all that is needed; without this FFmpeg decodes pictures to look for more.
        options["skip_frame"] = "all"
    # file: in front, or a colon in a name would make a protocol of what stands before it.
    name = f"file:{path}" if within is None else f"subfile,,start,{within[0]},end,{within[1]},,:file:{path}"
    try:
        opened: av.container.InputContainer = av.open(
            name, mode="r", options=options, **_undecodable_metadata()
        )
    except DECODE_ERRORS as error:
        how = next(iter(encrypted_tracks(path, head).values()), None) or scrambling_of(path, head)
        if how is not None:
            raise VideoReadError(path, encrypted_reason(how)) from error
        raise VideoReadError(
            path, f"is not a video that can be read ({message_of(error)}); the file may be cut off or damaged"
        ) from error
    return opened


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _choose_stream(
    path: Path, container: av.container.InputContainer, encrypted: Mapping[int | None, str]
) -> VideoStream:
    """Take the stream that the ffmpeg program and players take; a cover picture is not a video."""
    name = container.format.name
    # So FFmpeg calls its readers of single pictures: png_pipe, jpeg_pipe, ...
    if name.endswith("_pipe") or name in _PICTURES or name in _NOT_FOOTAGE:
        picture = name.endswith("_pipe") or name in _PICTURES
        kind = PictureError if picture else VideoReadError
        raise kind(path, f"is not a video (recognised as {name.removesuffix('_pipe')})")
    moving = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not moving:
        kinds = sorted({stream.type for stream in container.streams})
        cover = " and a cover picture" if container.streams.video else ""
        held = ", ".join(kind for kind in kinds if kind != "video") or "nothing else"
        raise VideoReadError(path, f"has no video stream (it holds {held}{cover})")
    best = container.streams.best("video")
    chosen = best if isinstance(best, VideoStream) and not _is_cover(best) else moving[0]
    if (how := encrypted.get(chosen.id, encrypted.get(None))) is not None:
        raise VideoReadError(path, encrypted_reason(how))
    if getattr(chosen, "codec_context", None) is None:
        raise VideoReadError(path, "is coded in a way for which no decoder is installed; convert it to H.264")
    if chosen.time_base is None or chosen.time_base <= 0:
        raise VideoReadError(path, "its video stream has no clock; the file may be damaged")
    return chosen


def _origin_ticks(container: av.container.InputContainer, stream: VideoStream, tick: Fraction) -> int:
    """Timestamp of the container's start in ticks; exact when the video stream starts the container."""
    # In microseconds, to which FFmpeg rounds what the stream has in ticks of its own.
    start_us: int | None = container.start_time
    if start_us is None:
        return stream.start_time or 0
    if stream.start_time is not None and abs(stream.start_time * tick - start_us * _MICROSECOND) < 2 * max(
        _MICROSECOND, tick / 100
    ):
        return stream.start_time
    return round(start_us * _MICROSECOND / tick)


@contextmanager
def open_video(path: str | Path, on_progress: Callable[[], None] | None = None) -> Iterator[OpenVideo]:
    """Hold a video file open.

    Args:
        path: the file.
        on_progress: called as packets are read, see :class:`OpenVideo`.

    Yields:
        The open video. One decoding thread: many videos side by side use a machine better than many
        threads on one.

    Raises:
        VideoReadError: the file is missing, empty, a folder, encrypted, not a video, or has no video stream.
    """
    path = Path(path)
    head = _check_file(path)
    container = _open_container(path, head)
    try:
        stream = _choose_stream(path, container, encrypted_tracks(path, head))
        assert stream.time_base is not None
        stream.codec_context.thread_count = 1
        # The container was given the same limit, but decoders read their own options.
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        tick = Fraction(stream.time_base)
        yield OpenVideo(path, container, stream, _origin_ticks(container, stream, tick), tick, on_progress)
    finally:
        container.close()
