"""Excerpts as a timeline of OpenTimelineIO, and by its adapter as an edit decision list (CMX 3600)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.export.excerpts import Placed, printable
from vidsift.video.frame_timing import DROP_FRAME_RATES

if TYPE_CHECKING:
    import opentimelineio as otio

__all__ = ["edl_text", "otio_text"]

_REEL_LETTERS = 8  # all that the format has room for


def otio_text(placed: Sequence[Placed], title: str, rate: Fraction) -> str:
    """Return a timeline as JSON of OpenTimelineIO.

    A clip begins at a whole picture of its file, counted at the file's own rate from the timecode that it
    carries, and lasts for whole pictures of the timeline.

    Raises:
        ImportError: OpenTimelineIO is not installed.
    """
    otio = _library()
    text: str = otio.adapters.write_to_string(_timeline(placed, title, rate, own_rates=True), "otio_json")
    return text


def edl_text(placed: Sequence[Placed], title: str, rate: Fraction) -> str:
    """Return a timeline as an edit decision list, CMX 3600, of pictures without sound.

    The format knows one rate, which it does not even name: files of other rates are counted in that of the
    timeline, to the nearest picture.

    Raises:
        ImportError: OpenTimelineIO or its adapter is not installed.
    """
    otio = _library()
    text: str = otio.adapters.write_to_string(
        _timeline(placed, title, rate, own_rates=False), "cmx_3600", rate=float(rate), style="nucoda"
    )
    # The adapter leaves out the line that says how its timecodes count.
    mode = "DROP FRAME" if rate in DROP_FRAME_RATES else "NON-DROP FRAME"
    return text.replace("\n\n", f"\nFCM: {mode}\n\n", 1)


def _library() -> Any:
    try:
        import opentimelineio
        import otio_cmx3600_adapter  # noqa: F401 - found by the library, which says less of it when it is missing
    except ImportError as error:
        raise ImportError(
            f"timelines need {error.name}, which is not installed; install vidsift[export]"
        ) from error
    return opentimelineio


def _timeline(
    placed: Sequence[Placed], title: str, rate: Fraction, *, own_rates: bool
) -> otio.schema.Timeline:
    otio = _library()
    schema, opentime = otio.schema, otio.opentime
    timeline = schema.Timeline(title, global_start_time=opentime.RationalTime(0, float(rate)))
    track = schema.Track("V1", kind=schema.TrackKind.Video)
    timeline.tracks.append(track)
    reels = _reels([piece.excerpt.path for piece in placed])
    for piece in placed:
        excerpt, timing = piece.excerpt, piece.excerpt.timing
        counted = timing.rate if own_rates else rate

        def at(frame: int, counted: Fraction = counted, of_file: Fraction = timing.rate) -> Any:
            """A number of the file's pictures, at the rate in which this timeline counts them."""
            number = frame if counted == of_file else floor(frame / of_file * counted + Fraction(1, 2))
            return opentime.RationalTime(number, float(counted))

        # A path in an EDL is for people and editors, which read no percent signs there.
        where = Path(excerpt.path).as_uri() if own_rates else printable(excerpt.path)
        available = opentime.TimeRange(at(timing.first_frame), at(timing.frames))
        clip = schema.Clip(
            excerpt.name,
            schema.ExternalReference(where, available),
            opentime.TimeRange(
                at(timing.first_frame + excerpt.first), opentime.RationalTime(piece.length, float(rate))
            ),
        )
        clip.metadata["cmx_3600"] = {"reel": reels[excerpt.path]}
        clip.metadata["vidsift"] = {
            "rank": excerpt.rank,
            "score": excerpt.score,
            "start_seconds": excerpt.span.start_seconds,
            "end_seconds": excerpt.span.end_seconds,
            "variable_rate": not timing.constant,
        }
        track.append(clip)
    return timeline


def _reels(paths: Sequence[str]) -> dict[str, str]:
    """Name the source of each file in the letters that the format allows, no two alike."""
    reels: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        plain = re.sub(r"[^A-Z0-9]", "", Path(path).stem.upper()) or "REEL"
        name, number = plain[:_REEL_LETTERS], 1
        while name in reels.values():
            number += 1
            name = plain[: _REEL_LETTERS - len(str(number))] + str(number)
        reels[path] = name
    return reels
