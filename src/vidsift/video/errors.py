"""The one error that reading a video raises."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PictureError", "VideoReadError"]


class VideoReadError(ValueError):
    """A video file gives no picture; the message is one line for the person whose file it is.

    Attributes:
        path: the file.
        reason: what is wrong with it, in plain words.
        at_seconds: where in the video it went wrong, when that is known.
    """

    def __init__(self, path: str | Path, reason: str, at_seconds: float | None = None) -> None:
        """Keep the parts and compose the line."""
        self.path = Path(path)
        self.reason = reason
        self.at_seconds = at_seconds
        where = "" if at_seconds is None else f" (at {at_seconds:.2f} s)"
        super().__init__(f"{path}: {reason}{where}")

    def __reduce__(self) -> tuple[type[VideoReadError], tuple[Path, str, float | None]]:
        """Travel whole between worker processes."""
        return type(self), (self.path, self.reason, self.at_seconds)


class PictureError(VideoReadError):
    """A file is a picture (JPEG, PNG, ...), whatever its name; no video is damaged."""
