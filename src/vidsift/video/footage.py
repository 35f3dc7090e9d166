"""A picture or a video that somebody searches with, read alike wherever it comes from."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from vidsift.errors import QueryError
from vidsift.types import Frames, Span
from vidsift.video.decode import read_frames
from vidsift.video.preprocessing import Preprocessing
from vidsift.video.probe import probe
from vidsift.video.transforms import clip_pixels

__all__ = ["UNREADABLE_PICTURE", "is_picture", "read_footage"]

UNREADABLE_PICTURE = "the picture cannot be read; give a whole JPEG, PNG, WebP, GIF, BMP or TIFF file"

# No others: Pillow hands some to other programs (EPS to Ghostscript).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Moving pictures that FFmpeg reads as a video; it decodes no moving WebP, of which the first picture counts.
_MOVING_FORMATS = ("GIF", "PNG")
_MOST_PIXELS = 100_000_000


def read_footage(path: str | Path, preprocessing: Preprocessing, at_seconds: float | None = None) -> Frames:
    """Read a picture, a whole video, or the picture at a second of a video.

    Args:
        path: of a picture or a video; by its content, not its name, it is the one or the other.
        preprocessing: how the model looks: ``model.preprocessing``.
        at_seconds: which second of a video; the whole of it when None.

    Returns:
        Cropped pictures ``(F, S, S, 3)`` and their times; one picture, at 0 s, of a picture.

    Raises:
        QueryError: there is no such file, a picture is damaged, too large, or asked for a second.
        VideoReadError: it is neither a picture nor a video that can be read.
    """
    file, side = Path(path).expanduser(), preprocessing.size_px
    if not file.is_file():
        raise QueryError(f"{file}: there is no such file")
    picture = _read_picture(file)
    if picture is not None:
        if at_seconds is not None:
            raise QueryError(f"{file} is an image and has no second {at_seconds:g}; leave out @SECONDS")
        return Frames(clip_pixels(picture, side)[None], np.zeros(1))
    seconds = probe(file).duration_seconds
    if at_seconds is None:
        return read_frames(file, preprocessing.wanted_times(Span(0.0, seconds)), size_px=side)
    if not 0 <= at_seconds <= seconds:
        raise QueryError(f"{file} lasts {seconds:.1f} s; there is no second {at_seconds:g}")
    return read_frames(file, np.array([at_seconds]), size_px=side)


def is_picture(path: str | Path) -> bool:
    """Whether a file is a still picture of a kind that is read, by how it begins."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return not _moves(image)
    # SyntaxError is what Pillow raises at a broken PNG.
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError):
        return False


def _moves(image: Image.Image) -> bool:
    return image.format in _MOVING_FORMATS and bool(getattr(image, "is_animated", False))


def _read_picture(file: Path) -> NDArray[np.uint8] | None:
    """Upright RGB pixels of a still picture; None where the video decoder is to read the file."""
    try:
        with warnings.catch_warnings():
            # Pillow warns from 90 million pixels on; the limit below is ours.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=_FORMATS) as image:
                if _moves(image):
                    return None
                if image.width * image.height > _MOST_PIXELS:
                    raise QueryError(
                        f"{file}: the picture has {image.width} x {image.height} pixels; give one of at most "
                        f"{_MOST_PIXELS:,}"
                    )
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    except UnidentifiedImageError:
        return None
    # SyntaxError is what Pillow raises at a broken PNG.
    except (OSError, SyntaxError, Image.DecompressionBombError, EOFError) as error:
        raise QueryError(f"{file}: {UNREADABLE_PICTURE}") from error
