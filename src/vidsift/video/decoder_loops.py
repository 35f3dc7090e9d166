"""The two loops around the decoder: a run of packets, and a whole stream with its damage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidsift.video.container import DECODE_ERRORS, OpenVideo, message_of
from vidsift.video.packets import PacketTable, Run, SeekError
from vidsift.video.tiled import is_tiled, put_together

__all__ = ["Shown", "decode_run", "decode_through", "missing_end"]

# Where "no other picture refers to it" can be read from the packet by the decoder and is always true.
_SKIPS_NONREF = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4"})


@dataclass(frozen=True, eq=False)
class Shown:
    """A decoded frame with its time.

    Attributes:
        time_seconds, end_seconds: when it appears, and when it should make way for the next.
        after_gap: damaged pictures were left out before it.
    """

    frame: VideoFrame
    time_seconds: float
    end_seconds: float
    after_gap: bool


def missing_end(video: OpenVideo, end_seconds: float) -> str | None:
    """Say how much of the announced length is missing; None when it is there, or was never announced."""
    announced = video.announced_end_seconds()
    # Headers round, and the last pictures may be announced longer than they are.
    slack = max(0.5, 3.0 / float(video.frames_per_second))
    if announced is None or announced - end_seconds <= slack:
        return None
    return f"the file ends at {end_seconds:.2f} s of {announced:.2f} s; it may be cut off"


def decode_run(
    video: OpenVideo, run: Run, packets: Iterator[Packet[VideoStream]], table: PacketTable
) -> Iterator[VideoFrame]:
    """Decode one run and yield its wanted frames, ascending in time.

    Raises:
        SeekError: a wanted frame did not arrive, or arrived damaged.
    """
    decoder = video.decoder
    wanted = {int(table.pts[position]) for position in run.wanted}
    skips = video.decoder.name in _SKIPS_NONREF
    try:
        for position, packet in zip(range(run.start, run.stop), packets, strict=True):
            if table.spare[position] and position not in run.wanted:
                continue
            # Set for every packet: the decoder reads it when it is given one.
            decoder.skip_frame = "NONREF" if skips and position not in run.wanted else "DEFAULT"
            for frame in decoder.decode(packet):
                if frame.pts in wanted:
                    yield _sound(frame)
                    wanted.remove(frame.pts)
        for frame in decoder.decode(None):
            if frame.pts in wanted:
                yield _sound(frame)
                wanted.remove(frame.pts)
        decoder.flush_buffers()  # after a flush it takes no packet until it is made ready anew
    except DECODE_ERRORS as error:
        raise SeekError(message_of(error)) from error
    if wanted:
        raise SeekError(f"{len(wanted)} pictures did not arrive")


def _sound(frame: VideoFrame) -> VideoFrame:
    if frame.is_corrupt:
        raise SeekError("a picture is marked as damaged")
    return frame


class _Clock:
    """Gives each frame its time: the stream's own, else the packets' times in the order of display."""

    def __init__(self, video: OpenVideo, times: NDArray[np.float64] | None) -> None:
        self._video = video
        self._times = times
        self._count = 0
        self._begin, self._end = -math.inf, 0.0
        self._step = 1.0 / float(video.frames_per_second)

    def place(self, frame: VideoFrame, after_gap: bool) -> Shown:
        """Return the frame with its time, never before that of the frame before."""
        start = self._end if self._count else 0.0
        if self._times is not None:
            if self._count < len(self._times):
                start = float(self._times[self._count])
        else:
            ticks = frame.pts if frame.pts is not None else frame.dts
            if ticks is not None:
                start = self._video.seconds_of(ticks)
        duration = float(frame.duration * self._video.tick) if frame.duration else self._step
        # Streams with damaged timestamps go back; a player shows the picture all the same, and at once.
        start = self._begin = max(start, self._begin)
        self._count += 1
        self._end = start + duration
        return Shown(frame, start, self._end, after_gap)

    def resume(self, packet: Packet[VideoStream]) -> None:
        """Find the place again after packets were left out."""
        if self._times is not None and packet.dts is not None:
            # By the count alone all later pictures would come too early.
            self._count = int(np.searchsorted(self._times, self._video.seconds_of(packet.dts)))

    def describe(self, packet: Packet[VideoStream] | None, error: BaseException) -> str:
        """Say what happened and when."""
        ticks = None if packet is None else packet.pts if packet.pts is not None else packet.dts
        at = self._end if ticks is None else self._video.seconds_of(ticks)
        return f"damaged at {max(at, 0.0):.2f} s: {message_of(error)}"


def decode_through(
    video: OpenVideo, note: Callable[[str], None], times: NDArray[np.float64] | None
) -> Iterator[Shown]:
    """Decode the stream from its start; after damage go on at the next key frame.

    Args:
        video: freshly opened.
        note: told of damage as it is met.
        times: seconds of the pictures in the order of display, for streams without presentation times.

    Yields:
        Frames in the order in which they are shown.
    """
    if is_tiled(video):
        yield Shown(put_together(video), 0.0, 1.0, False)
        return
    clock = _Clock(video, times)
    packets = video.packets()
    waiting, after_gap, headless = False, False, None
    while True:
        packet: Packet[VideoStream] | None = None
        try:
            packet = next((packet for packet in packets if packet.size), None)
            if headless is None and packet is not None:
                headless = not packet.is_keyframe
            # What follows damage refers to what was lost, up to the next key frame.
            if packet is not None and waiting and not packet.is_keyframe:
                continue
            if packet is not None and waiting:
                clock.resume(packet)
                waiting = False
            frames = video.decoder.decode(packet)
            ended = packet is None
        except DECODE_ERRORS as error:
            note(clock.describe(packet, error))
            frames, ended, waiting = _drained(video), packet is None, True
        for frame in frames:
            shown = clock.place(frame, after_gap)
            if frame.is_corrupt:
                note(f"damaged at {shown.time_seconds:.2f} s: a picture is incomplete")
            if headless:
                note(f"begins without a key frame; its first picture is at {shown.time_seconds:.2f} s")
                headless = False
            yield shown
            after_gap = False
        after_gap = after_gap or waiting
        if ended:
            return


def _drained(video: OpenVideo) -> list[VideoFrame]:
    """Return the good frames that the decoder still holds, and make it ready to start anew."""
    try:
        frames = list(video.decoder.decode(None))
    except DECODE_ERRORS:
        frames = []
    video.decoder.flush_buffers()
    return frames
