"""Clips as new files of a folder: cut in a limited process, named after video and seconds."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from vidsift.errors import VideoReadError
from vidsift.files.new_names import place_new, portable_name
from vidsift.files.whole import temporary_path
from vidsift.types import Span
from vidsift.video.clips import Clip, cut_clip
from vidsift.video.indexed_file import IndexedFile, check_unchanged
from vidsift.video.probe import probe
from vidsift.workers.sandbox import Sandbox

__all__ = ["SavedClip", "as_it_is", "clip_name", "padded", "write_clip"]

_SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class SavedClip:
    """A clip that was written.

    Attributes:
        path: of the clip.
        span: the seconds of the video that were wanted, within its length.
        clip: what was cut.
    """

    path: Path
    span: Span
    clip: Clip


def as_it_is(path: str | Path) -> IndexedFile:
    """A file as it is now, for what is not in an index.

    Raises:
        VideoReadError: it is not there, or cannot be looked at.
    """
    try:
        status = Path(path).stat()
    except OSError as error:
        raise VideoReadError(path, f"cannot be read: {error.strerror}") from error
    return IndexedFile(os.path.abspath(path), status.st_size, status.st_mtime_ns)  # noqa: PTH100 - keeps links


def padded(span: Span, pad_seconds: float, length_seconds: float) -> Span:
    """A stretch with some seconds more at both sides, within its video."""
    return Span(
        max(0.0, span.start_seconds - pad_seconds), min(length_seconds, span.end_seconds + pad_seconds)
    )


def clip_name(path: str | Path, span: Span) -> str:
    """Call a clip after its video and its seconds, to the tenth, and finer where tenths would be alike.

    Example:
        >>> clip_name("/films/holiday.mov", Span(3.62, 4.41)), clip_name("dawn.mp4", Span(62.5, 3605.0))
        ('holiday 3.6s-4.4s.mp4', 'dawn 1m02.5s-1h00m05.0s.mp4')
        >>> clip_name("dawn.mp4", Span(4.01, 4.04))
        'dawn 4.01s-4.04s.mp4'
    """
    for decimals in (1, 2, 3):
        start, end = (_stamp(seconds, decimals) for seconds in span)
        if start != end:
            break
    return f"{portable_name(Path(path).stem)} {start}-{end}.mp4"


def _stamp(seconds: float, decimals: int) -> str:
    # Rounded once and then parted, so that no minute has 60 seconds.
    parts = round(seconds * 10**decimals)
    minutes, rest = divmod(parts, 60 * 10**decimals)
    hours, minutes = divmod(minutes, 60)
    whole, fraction = divmod(rest, 10**decimals)
    if hours:
        return f"{hours}h{minutes:02d}m{whole:02d}.{fraction:0{decimals}d}s"
    if minutes:
        return f"{minutes}m{whole:02d}.{fraction:0{decimals}d}s"
    return f"{whole}.{fraction:0{decimals}d}s"


def write_clip(
    sandbox: Sandbox,
    source: IndexedFile,
    span: Span,
    folder: Path,
    *,
    pad_seconds: float = 0.0,
    exact: bool = True,
    most_bytes: int | None = None,
) -> SavedClip:
    """Cut a stretch of a video into a new file of a folder, which is made if it is not there.

    Args:
        sandbox: whose process cuts.
        source: the video.
        span: which seconds, on the video's clock.
        folder: where the clip goes.
        pad_seconds: so much more at both sides.
        exact: see :func:`~vidsift.video.clips.cut_clip`.
        most_bytes: of the clip; as many as the disk has room for when None.

    Raises:
        VideoChangedError, VideoReadError: as :func:`~vidsift.video.clips.cut_clip`; also where the video ends
            before the stretch begins.
        ClipTooLargeError: the clip has more bytes than it may.
        SandboxError: the process crashed, or passed its limits.
        OSError: the clip cannot be written.
    """
    length = sandbox.run(_length_seconds, source)
    if span.start_seconds >= length:
        raise VideoReadError(
            source.path, f"is {length:.1f} s long, so nothing can be cut from {span.start_seconds:g} s on"
        )
    wanted = padded(span, pad_seconds, length)
    folder.mkdir(parents=True, exist_ok=True)
    room = shutil.disk_usage(folder).free - _SPARE_BYTES
    if room < _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    target = folder / clip_name(source.path, wanted)
    temporary = temporary_path(target)
    limit = room if most_bytes is None else min(room, most_bytes)
    try:
        clip = sandbox.run(cut_clip, source, *wanted, str(temporary), limit, exact=exact)
        return SavedClip(place_new(temporary, target), wanted, clip)
    finally:
        temporary.unlink(missing_ok=True)


def _length_seconds(source: IndexedFile) -> float:
    check_unchanged(source)
    return probe(source.path).duration_seconds
