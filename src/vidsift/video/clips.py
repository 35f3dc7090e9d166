"""Seconds of a video as a file of their own: copied where that is possible, encoded anew where it is not.

Runs in a decoding process. Copying takes the packets from the last key frame before the start; the edit
list of the MP4 tells players to begin at the start itself, and those that heed none show the lead too, which
is said (``Clip.span``). What MP4 cannot hold, what has no times of its own, and a copy from which no picture
comes are encoded anew as H.264 and AAC, and so is what has to be exact.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet

from vidsift.errors import ClipTooLargeError, VideoReadError
from vidsift.files.disk_errors import is_disk_full
from vidsift.types import Span
from vidsift.video import probe
from vidsift.video.container import DECODE_ERRORS, OpenVideo, message_of
from vidsift.video.indexed_file import IndexedFile, check_unchanged
from vidsift.video.picture import to_rgb, upright_aspect
from vidsift.video.timed import in_first_part, open_timed, seek_before, table_of
from vidsift.video.transforms import shown_size

__all__ = ["Clip", "cut_clip"]

_VIDEO_IN_MP4 = frozenset({"h264", "hevc", "av1", "mpeg4", "vp9", "libdav1d"})
_AUDIO_IN_MP4 = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "opus", "libopus", "alac", "flac"})
# A copy begins with the key frame before its start; with a longer lead it would be mostly what is not shown.
_LONGEST_LEAD_SECONDS = 30.0
_PATIENCE_SECONDS = 10.0
# Some containers state the shape of pixels in ways that MP4 has not: such a copy would be distorted.
_SAME_SHAPE = 0.02
_MOST_PX = 1920


@dataclass(frozen=True)
class Clip:
    """What was cut.

    Attributes:
        copied: the packets are those of the source; else the pictures were encoded anew.
        size_bytes: of the file.
        span: the seconds of the source whose pictures the file holds, to the end of the last; wider than what
            was wanted where packets were copied, narrower by less than a picture at each side where not.
    """

    copied: bool
    size_bytes: int
    span: Span


class _CannotCopyError(Exception):
    """The stretch cannot be copied; it can still be encoded anew."""


def cut_clip(  # noqa: PLR0917 - called in another process, by position
    source: IndexedFile,
    start_seconds: float,
    end_seconds: float,
    target: str,
    most_bytes: int,
    exact: bool = False,
) -> Clip:
    """Write a stretch of a video to an MP4 file.

    Args:
        source: the video as it was when it was indexed.
        start_seconds: where the clip begins, on the video's clock.
        end_seconds: where it ends.
        target: the file to write.
        most_bytes: of the clip.
        exact: encode anew in any case, so that the file holds no picture beside those wanted.

    Raises:
        VideoChangedError: the file is not the one that was indexed.
        ClipTooLargeError: the clip has more bytes than it may.
        OSError: there is no room for it.
        VideoReadError: the stretch has no picture that can be read.
    """
    check_unchanged(source)
    stretch = _Stretch(start_seconds, end_seconds, Path(target), most_bytes)
    copied, held = False, None
    if not exact:
        with contextlib.suppress(_CannotCopyError):
            held = _copy(source.path, stretch)
            copied = True
    if held is None:
        held = _encode(source.path, stretch)
    stretch.check_size()
    return Clip(copied, Path(target).stat().st_size, held)


@dataclass(frozen=True)
class _Stretch:
    """What is wanted, and where it goes."""

    start_seconds: float
    end_seconds: float
    target: Path
    most_bytes: int

    def check_size(self) -> None:
        # It is not there before its header is written.
        if self.target.exists() and self.target.stat().st_size > self.most_bytes:
            raise ClipTooLargeError(f"has more than {self.most_bytes >> 20} MiB; cut fewer seconds")


def _copy(path: str, stretch: _Stretch) -> Span:
    try:
        with open_timed(path) as video, av.open(str(stretch.target), "w", format="mp4") as out:
            if video.stream.codec_context.name not in _VIDEO_IN_MP4 or video.without_pts:
                raise _CannotCopyError
            if not in_first_part(video, stretch.end_seconds):  # parts may be coded each in its own way
                raise _CannotCopyError
            held = _copy_packets(video, out, stretch)
            shape = probe(path).pixel_aspect
        # What cannot be played is no clip, nor what is played in another shape: an MP4 says less than some.
        length, made = stretch.end_seconds - stretch.start_seconds, probe(stretch.target)
        if abs(made.duration_seconds - length) > _LONGEST_LEAD_SECONDS:
            raise _CannotCopyError
        if abs(made.pixel_aspect / shape - 1) > _SAME_SHAPE:
            raise _CannotCopyError
        return held
    except ClipTooLargeError:
        raise
    except (*DECODE_ERRORS, VideoReadError) as error:
        _pass_on_full_disk(error)
        raise _CannotCopyError from error


def _pass_on_full_disk(error: BaseException) -> None:
    """Raise that there is no room, which is no fault of the file."""
    if is_disk_full(error):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _copy_packets(video: OpenVideo, out: av.container.OutputContainer, stretch: _Stretch) -> Span:
    start_seconds, end_seconds = stretch.start_seconds, stretch.end_seconds
    sources: list[Any] = [video.stream]
    audio = _audio_of(video)
    if audio is not None and audio.codec_context.name in _AUDIO_IN_MP4:
        sources.append(audio)
    targets = {stream.index: out.add_stream_from_template(stream) for stream in sources}
    origin = Fraction(video.origin_ticks) * video.tick
    place = seek_before(video, start_seconds)
    held: Span | None = None
    ended = set[int]()
    waiting: dict[int, list[Packet[Any]]] = {stream.index: [] for stream in sources}
    dated = _dated(video.streams(sources, place), origin)
    for packet, at, decoded_at in _from_start(dated, video.stream.index, start_seconds):
        # The sound may have ended long before: it is not waited for to the end of the file.
        if video.stream.index in ended and at > end_seconds + _PATIENCE_SECONDS:
            break
        if packet.stream.index in ended:
            continue
        queue = waiting[packet.stream.index]
        queue.append(packet)
        if at < end_seconds:
            # What was shown later but came before it is needed for it; what comes after the last is not.
            for queued in queue:
                if queued.stream.index == video.stream.index:
                    held = _with_picture(held, queued, video, origin)
                _mux_shifted(out, queued, targets[queued.stream.index], origin + Fraction(start_seconds))
            queue.clear()
            stretch.check_size()
        elif decoded_at >= end_seconds:
            ended.add(packet.stream.index)
            if len(ended) == len(sources):
                break
    if held is None:
        raise _CannotCopyError
    return held


def _from_start(
    dated: Iterable[tuple[Packet[Any], float, float]], picture_stream: int, start_seconds: float
) -> Iterator[tuple[Packet[Any], float, float]]:
    """Packets from where a copy begins: pictures from a key frame on, sound from the start itself."""
    begun = False
    for packet, at, decoded_at in dated:
        if packet.stream.index == picture_stream:
            begun = begun or _begins(packet, at, start_seconds)
            if begun:
                yield packet, at, decoded_at
        elif at >= start_seconds:
            yield packet, at, decoded_at


def _with_picture(held: Span | None, packet: Packet[Any], video: OpenVideo, origin: Fraction) -> Span:
    """The seconds that a copy holds with one packet of pictures more."""
    assert packet.pts is not None
    at = float(packet.pts * video.tick - origin)
    until = float((packet.pts + (packet.duration or video.step_ticks)) * video.tick - origin)
    return Span(at, until) if held is None else Span(min(held[0], at), max(held[1], until))


def _begins(packet: Packet[Any], at: float, start_seconds: float) -> bool:
    """Whether a copy can begin with a packet of pictures: a key frame at the start or a little before."""
    if not packet.is_keyframe:
        return False
    # A millisecond later still counts: Matroska rounds times to one.
    if not start_seconds - _LONGEST_LEAD_SECONDS <= at <= start_seconds + 1e-3:
        raise _CannotCopyError
    return True


def _dated(packets: Iterable[Packet[Any]], origin: Fraction) -> Iterator[tuple[Packet[Any], float, float]]:
    """Packets with the seconds when they are shown and decoded; one without cannot be put anywhere."""
    for packet in packets:
        if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
            at, decoded_at = (float(ticks * packet.time_base - origin) for ticks in (packet.pts, packet.dts))
            yield packet, at, decoded_at
        elif packet.size:
            raise _CannotCopyError


def _mux_shifted(out: av.container.OutputContainer, packet: Packet[Any], stream: Any, back: Fraction) -> None:
    """Write a packet earlier by ``back`` seconds; before 0 it is decoded but not shown."""
    assert packet.time_base is not None
    ticks = round(back / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts - ticks
    packet.dts = None if packet.dts is None else packet.dts - ticks
    packet.stream = stream
    out.mux(packet)


def _audio_of(video: OpenVideo) -> AudioStream | None:
    audio = next(iter(video.container.streams.audio), None)
    return audio if audio is not None and getattr(audio, "codec_context", None) is not None else None


def _encode(path: str, stretch: _Stretch) -> Span:
    with open_timed(path) as video:
        try:
            held = _encode_streams(video, stretch)
        except (av.error.FFmpegError, EOFError, RuntimeError) as error:
            _pass_on_full_disk(error)
            raise VideoReadError(path, f"cannot be cut there ({message_of(error)})") from error
    if held is None:
        where = f"from {stretch.start_seconds:g} s to {stretch.end_seconds:g} s"
        raise VideoReadError(path, f"holds no picture {where}")
    return held


def _encode_streams(video: OpenVideo, stretch: _Stretch) -> Span | None:
    """Encode what is shown in the stretch; return its seconds, or None where there is no picture."""
    audio = _audio_of(video)
    sources: list[Any] = [video.stream] if audio is None else [video.stream, audio]
    origin = float(video.origin_ticks * video.tick)
    place = 0
    if not video.without_pts:
        with contextlib.suppress(av.error.FFmpegError):
            place = seek_before(video, stretch.start_seconds)
    times = _times_in_order(video)
    number, step = 0, 1 / float(video.frames_per_second)
    with av.open(str(stretch.target), "w", format="mp4") as out:
        # Before anything is written: a stream cannot be added to an MP4 that has begun.
        sound = None if audio is None else _Sound(audio, out)
        pictures = _Pictures(out, video, stretch)
        for packet in video.streams(sources, place):
            # A damaged packet costs its own pictures; the clip goes on.
            with contextlib.suppress(av.error.InvalidDataError):
                for frame in packet.decode():
                    if isinstance(frame, av.VideoFrame):
                        at = times[number] if number < len(times) else number * step
                        number += 1
                        if frame.pts is not None and not video.without_pts:
                            at = video.seconds_of(frame.pts)
                        pictures.take(frame, at)
                    elif sound is not None and isinstance(frame, av.AudioFrame) and frame.time is not None:
                        sound.take(frame, frame.time - origin, stretch, begun=pictures.held is not None)
            # Sound and pictures of a moment lie apart in a file; the other is waited for, but not for long.
            if pictures.ended and (sound is None or sound.ended or pictures.waited):
                break
        pictures.finish()
        if sound is not None and pictures.held is not None:
            sound.finish()
    return pictures.held


def _times_in_order(video: OpenVideo) -> list[float]:
    """When pictures are shown, as the index has it, where the file gives them no times; else none."""
    if not video.without_pts:
        return []
    with open_timed(video.path) as other:
        return [float(at) for at in other.seconds(table_of(other).shown_pts())]


class _Pictures:
    """The encoded pictures of a clip.

    Attributes:
        held: the seconds of the video that they show; None before the first.
        ended: all that belong to the clip have come.
        waited: the video goes on long after the end of the clip.
    """

    def __init__(self, out: av.container.OutputContainer, video: OpenVideo, stretch: _Stretch) -> None:
        self.held: Span | None = None
        self.ended = self.waited = False
        self._out, self._video, self._stretch = out, video, stretch
        self._step_seconds = 1 / float(video.frames_per_second)
        self._stream: Any = None
        self._before: tuple[av.VideoFrame, float] | None = None
        self._shown: av.VideoFrame | None = None
        self._last_pts = -1

    def take(self, frame: av.VideoFrame, at_seconds: float) -> None:
        """Encode a picture if it belongs to the clip; they come in the order in which they are shown."""
        start, end = self._stretch.start_seconds, self._stretch.end_seconds
        if at_seconds < start - 1e-3:
            self._before = (frame, at_seconds)
            return
        self._begin_between_pictures(at_seconds)
        if at_seconds < end:
            self._write(frame, at_seconds)
        else:
            self._end_between_pictures()
            self.ended = True
            self.waited = at_seconds > end + _PATIENCE_SECONDS

    def finish(self) -> None:
        """Encode what waits."""
        if self._stream is not None:
            self._out.mux(self._stream.encode(None))

    def _begin_between_pictures(self, next_seconds: float) -> None:
        """Show from the start what is on the screen then: a picture that came before it."""
        if self._before is not None and next_seconds > self._stretch.start_seconds + 1e-3:
            self._write(self._before[0], self._stretch.start_seconds)
        self._before = None

    def _end_between_pictures(self) -> None:
        """Show the last picture to the end, which a file of few pictures tells by the next one alone."""
        if self.held is None or self._shown is None or self.ended:
            return
        end = self._stretch.end_seconds
        if end - self.held.end_seconds > self._step_seconds / 2:
            self._encode(self._shown, end - self._step_seconds)
            self.held = Span(self.held.start_seconds, end)

    def _write(self, frame: av.VideoFrame, at_seconds: float) -> None:
        if self._stream is None:
            self._open(frame)
        shown = av.VideoFrame.from_ndarray(to_rgb(frame), format="rgb24")
        self._shown = shown.reformat(
            width=self._stream.width, height=self._stream.height, format="yuv420p"
        )  # upright, and no larger than clips are
        self._encode(self._shown, at_seconds)
        start = at_seconds if self.held is None else self.held.start_seconds
        self.held = Span(start, at_seconds + self._step_seconds)
        self._stretch.check_size()

    def _encode(self, shown: av.VideoFrame, at_seconds: float) -> None:
        since_start = max(0.0, at_seconds - self._stretch.start_seconds)
        # Strictly ascending: the encoder refuses two pictures at one time, which damaged files have.
        shown.pts = self._last_pts = max(self._last_pts + 1, round(since_start * 90_000))
        shown.time_base = Fraction(1, 90_000)
        self._out.mux(self._stream.encode(shown))

    def _open(self, first: av.VideoFrame) -> None:
        aspect = upright_aspect(self._video.pixel_aspect, first)
        height, width = to_rgb(first).shape[:2]
        height, width = shown_size(height, width, aspect)
        shrink = min(1.0, _MOST_PX / max(height, width))
        # 1001 keeps NTSC's rates (30000/1001) exact; averages over a file are odder fractions.
        rate = self._video.frames_per_second.limit_denominator(1001)
        stream: Any = self._out.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        # Even sides: yuv420p has one colour for two by two pixels.
        stream.width, stream.height = (max(2, round(side * shrink) // 2 * 2) for side in (width, height))
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # each thread holds pictures, and memory is limited here
        # MPEG's clock in the place of the rate's: pictures keep their times where these are uneven.
        stream.codec_context.time_base = Fraction(1, 90_000)
        self._stream = stream


class _Sound:
    """The encoded sound of a clip.

    Attributes:
        ended: all that belongs to the clip has come.
    """

    def __init__(self, source: AudioStream, out: av.container.OutputContainer) -> None:
        self.ended = False
        self._rate = source.rate or 48_000
        self._resampler = AudioResampler(format="fltp", layout="stereo", rate=self._rate)
        self._out = out
        self._stream: Any = out.add_stream("aac", rate=self._rate, layout="stereo")
        self._samples = 0
        self._waiting: list[av.AudioFrame] = []

    def take(self, frame: av.AudioFrame, at_seconds: float, stretch: _Stretch, *, begun: bool) -> None:
        """Encode sound of the stretch, or hold it until pictures have begun; samples follow without gaps."""
        if stretch.start_seconds <= at_seconds < stretch.end_seconds:
            self._waiting.append(frame)
            if begun:
                self._encode(self._waiting)
                self._waiting = []
        self.ended = self.ended or at_seconds >= stretch.end_seconds

    def finish(self) -> None:
        """Encode what waits."""
        self._encode([*self._waiting, None])
        self._out.mux(self._stream.encode(None))

    def _encode(self, frames: Sequence[av.AudioFrame | None]) -> None:
        for frame in frames:
            for part in self._resampler.resample(frame):
                part.pts, part.time_base = self._samples, Fraction(1, self._rate)
                self._samples += part.samples
                self._out.mux(self._stream.encode(part))
