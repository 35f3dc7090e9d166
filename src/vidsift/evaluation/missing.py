"""What a video counts that captions name and nobody can look at: it is not there, or gives no picture.

Leaving it out in silence makes the gallery smaller and every number better. So whoever makes numbers chooses
one of three policies, and the result says which one and how many videos it met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from vidsift.errors import MissingVideosError

__all__ = ["LISTED", "RULES", "MissingPolicy", "missing_note", "refuse_missing"]

MissingPolicy = Literal["refuse", "miss", "skip"]

RULES: Mapping[MissingPolicy, str] = {
    "refuse": "nothing is evaluated where a video is missing",
    "miss": (
        "the captions of a missing video are not found: in no R@K, one rank behind all videos, wrong among "
        "hard negatives; the video finds no caption, one rank behind all of them; for other captions it "
        "stands behind every video that is there"
    ),
    "skip": "missing videos are left out with their captions",
}
"""What each policy does to the numbers; part of every protocol."""

LISTED = 24
"""Missing videos that a refusal names one by one."""


def refuse_missing(missing: Sequence[tuple[str, str]], total: int, remedy: str) -> None:
    """Refuse to go on where a video is missing.

    Args:
        missing: path and reason of each.
        total: videos that were named, the missing ones included.
        remedy: what a person can do about it.

    Raises:
        MissingVideosError: if there is one; names at most 24 of them.
    """
    if missing:
        # Some of them: thousands in one line would hide what to do about it.
        named = "; ".join(f"{path}: {reason}" for path, reason in missing[:LISTED])
        more = len(missing) - LISTED
        rest = f"; and {more} more" if more > 0 else ""
        message = f"{_count(len(missing), total)} missing: {named}{rest}. {remedy}"
        raise MissingVideosError(message, missing, total)


def missing_note(report: Mapping[str, Any]) -> str:
    """Say in a few words how many videos of a report are missing and what they count; "" where none is.

    Example:
        >>> missing_note({"protocol": {"missing_policy": "skip", "missing": {"count": 3, "of": 1000}}})
        '3 of 1000 videos missing, left out'
    """
    protocol = report.get("protocol", {})
    missing = protocol.get("missing", {"count": 0})
    if not missing["count"]:
        return ""
    counted = {"miss": "counted as not found", "skip": "left out"}[protocol["missing_policy"]]
    return f"{_count(missing['count'], missing['of'])} missing, {counted}"


def _count(missing: int, total: int) -> str:
    return f"{missing} of {total} videos"
