"""The facts of a video file, without reading it through where the headers suffice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vidsift.errors import VideoReadError
from vidsift.video.completeness import is_single_picture
from vidsift.video.container import DECODE_ERRORS, OpenVideo
from vidsift.video.decoder_loops import Shown, decode_through
from vidsift.video.file_parts import starts_of_parts
from vidsift.video.picture import rotation_of, upright_aspect
from vidsift.video.timed import open_timed, seek_before, table_of
from vidsift.video.unreadable import why_no_picture

__all__ = ["VideoInfo", "probe"]

_NEAR_THE_END_SECONDS, _SLACK_SECONDS = 10.0, 0.5


@dataclass(frozen=True)
class VideoInfo:
    """What a file says about its video stream, and its first picture confirms.

    Attributes:
        path: the file.
        duration_seconds: from time 0 to the end of the last picture.
        start_seconds: the file's own timestamp that counts as time 0.
        width_px, height_px: size as shown, after rotation; pixels that are not square are not stretched.
        rotation_degrees: the turn to the upright picture, clockwise.
        codec: FFmpeg's name of the decoder.
        container: FFmpeg's name of the file format.
        average_fps: pictures per second on average, or nominal; None where the file does not say.
        frames: how many pictures the headers announce; None where they do not.
        pixel_aspect: width of a pixel over its height as shown, after rotation; 1 for square ones.
        single_picture: the file was made to hold one picture: a photo or a drawing, no video.
    """

    path: Path
    duration_seconds: float
    start_seconds: float
    width_px: int
    height_px: int
    rotation_degrees: int
    codec: str
    container: str
    average_fps: float | None
    frames: int | None
    pixel_aspect: float
    single_picture: bool = False


def probe(path: str | Path, *, on_progress: Callable[[], None] | None = None) -> VideoInfo:
    """Read the facts of a video file; its first picture is decoded, so a file without any is found out.

    Args:
        path: the file.
        on_progress: called whenever more of the file has been read.

    Raises:
        VideoReadError: the file gives no picture.
    """
    with open_timed(path, on_progress) as video:
        damage: list[str] = []
        pictures = decode_through(video, damage.append, None)
        shown = next(pictures, None)
        if shown is None:
            raise VideoReadError(path, why_no_picture(video, next(iter(damage), None)))
        duration = _announced_seconds(video)
        if duration is None:
            duration = _read_seconds(path, on_progress)
        elif _means_sound_too(video):
            duration = _last_picture_seconds(path, duration, on_progress)
        # The frame goes back to the decoder's hands with the next one: its facts come first.
        info = _info(video, shown, duration)
        return replace(info, single_picture=is_single_picture(video, shown, pictures, damage))


def _announced_seconds(video: OpenVideo) -> float | None:
    if video.clock_may_jump or video.starts_late or video.clock is not None:
        return None  # the pictures themselves say it
    if "avi" in video.format_names and len(starts_of_parts(video.path)) > 1:
        return None  # each part tells its own length, and FFmpeg reads them all
    end = video.announced_end_seconds()
    # Of what has no clock it is guessed by the bit rate.
    if end is None and video.container.duration and not video.bare:
        end = video.container.duration / 1_000_000
    return end if end is not None and end > 0 else None


def _read_seconds(path: str | Path, on_progress: Callable[[], None] | None) -> float:
    with open_timed(path, on_progress) as video:
        return video.seconds_of(table_of(video).end_ticks)


def _means_sound_too(video: OpenVideo) -> bool:
    """Whether the length that the headers tell is that of the whole file, which holds more than pictures."""
    of_pictures = video.announced_end_seconds() is not None and "asf" not in video.format_names
    return not of_pictures and not video.bare and len(video.container.streams) > 1


def _last_picture_seconds(
    path: str | Path, file_seconds: float, on_progress: Callable[[], None] | None
) -> float:
    """Where the last picture of a file of some length ends; sound may go on long after it."""
    last: float | None = None
    with open_timed(path, on_progress) as video, suppress(*DECODE_ERRORS):
        # FFmpeg lands at a key frame before; where none of its packets follows, all are read below.
        seek_before(video, file_seconds - _NEAR_THE_END_SECONDS)
        for packet in video.packets():
            ticks = packet.pts if packet.pts is not None else packet.dts
            if packet.size and ticks is not None:
                end = video.seconds_of(ticks + (packet.duration or video.step_ticks))
                last = end if last is None else max(last, end)
    if last is None:
        last = _read_seconds(path, on_progress)
    return last if 0 < last < file_seconds - _SLACK_SECONDS else file_seconds


def _info(video: OpenVideo, shown: Shown, duration_seconds: float) -> VideoInfo:
    frame, stream = shown.frame, video.stream
    rotation = rotation_of(frame)
    sideways = rotation in (90, 270)
    rated = stream.average_rate or stream.guessed_rate
    return VideoInfo(
        path=video.path,
        duration_seconds=duration_seconds,
        start_seconds=float(video.origin_ticks * video.tick),
        width_px=frame.height if sideways else frame.width,
        height_px=frame.width if sideways else frame.height,
        rotation_degrees=rotation,
        codec=video.decoder.name,
        container=video.container.format.name,
        average_fps=float(video.frames_per_second) if rated else None,
        frames=stream.frames or None,
        pixel_aspect=upright_aspect(video.pixel_aspect, frame),
    )
