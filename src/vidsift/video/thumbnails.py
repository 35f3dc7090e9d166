"""What the service's decoding processes do with a file: a thumbnail at a second, the frames of an upload.

No torch and no web framework here: the processes stay light.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from vidsift.errors import VideoChangedError
from vidsift.types import Frames, Span
from vidsift.video import probe, read_frames
from vidsift.video.container import open_video
from vidsift.video.preprocessing import Preprocessing
from vidsift.video.transforms import clip_pixels, shown_size, thumbnail

__all__ = [
    "Source",
    "check_unchanged",
    "frames_of",
    "segment_frames",
    "start_seconds",
    "thumbnail_at",
]

_KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_MOST_PIXELS = 100_000_000


class Source(NamedTuple):
    """A file as it was when it was indexed."""

    path: str
    size_bytes: int
    modified_ns: int


def check_unchanged(source: Source) -> None:
    """Refuse a file that is not the one that was indexed.

    Raises:
        VideoChangedError: it is another one by its size or its time of change.
        OSError: it is not there, or cannot be looked at.
    """
    status = Path(source.path).stat()
    if (status.st_size, status.st_mtime_ns) != (source.size_bytes, source.modified_ns):
        raise VideoChangedError(f"{source.path} is not the file that was indexed; index its folder again")


def thumbnail_at(source: Source, at_seconds: float, width_px: int) -> bytes:
    """Return the picture shown at a second as a JPEG, no wider than ``width_px``.

    Raises:
        VideoChangedError: the file is not the one that was indexed.
        VideoReadError: it gives no picture.
    """
    check_unchanged(source)
    frames = read_frames(source.path, [at_seconds], hold=True)
    height, width = shown_size(frames.pixels.shape[1], frames.pixels.shape[2], frames.pixel_aspect)
    # The longer side is what is limited: an upright picture may be higher than it is wide.
    side_px = max(1, round(width_px * max(1.0, height / width)))
    return thumbnail(frames.pixels[0], side_px, pixel_aspect=frames.pixel_aspect)


def start_seconds(source: Source) -> float:
    """Return where a file's own clock stands at second 0: what a player that goes by it counts from.

    Raises:
        VideoChangedError: the file is not the one that was indexed.
        VideoReadError: it cannot be read.
    """
    check_unchanged(source)
    with open_video(source.path) as video:
        return float(video.origin_ticks * video.tick)


def segment_frames(source: Source, span: Span, preprocessing: Preprocessing) -> Frames:
    """Read what a model looked at in a stretch of an indexed file.

    Raises:
        VideoChangedError: the file is not the one that was indexed.
        VideoReadError: it gives no picture.
    """
    check_unchanged(source)
    return read_frames(source.path, preprocessing.wanted_times(span), size_px=preprocessing.size_px)


def frames_of(path: str, kind: Literal["image", "video"], preprocessing: Preprocessing) -> Frames:
    """Read what a model looks at in an uploaded file.

    Args:
        path: of the file.
        kind: an image is a video of one frame.
        preprocessing: how the model looks.

    Returns:
        Cropped pictures ``(F, S, S, 3)`` and their times.

    Raises:
        ValueError: it is no image or video that can be read.
    """
    if kind == "video":
        span = Span(0.0, probe(path).duration_seconds)
        return read_frames(path, preprocessing.wanted_times(span), size_px=preprocessing.size_px)
    pixels_1SS3 = clip_pixels(_read_image(Path(path)), preprocessing.size_px)[None]
    return Frames(pixels_1SS3, np.zeros(1))


def _read_image(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(path.read_bytes()), formats=_KINDS) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise ValueError(
                        f"the picture has {image.width} x {image.height} pixels; send one of at most "
                        f"{_MOST_PIXELS:,}"
                    )
                upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError, EOFError) as error:
        raise ValueError(
            "the picture cannot be read; send a whole JPEG, PNG, WebP, GIF or BMP file"
        ) from error
    return np.asarray(upright, np.uint8)
