"""The table of an evaluation, as a person reads it: columns as wide as what stands in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["aligned", "score_table"]

_COLUMNS = ("R@1", "R@5", "R@10", "R@50", "MdR", "MnR", "nDCG@10")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows, the first column to the left and the others to the right, two spaces between them.

    Example:
        >>> aligned([["", "R@1"], ["text to video", "10000.0"]])
        ['                   R@1', 'text to video  10000.0']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]


def score_table(report: Mapping[str, Any]) -> list[str]:
    """Return the lines that a person reads of a report."""
    from vidsift.evaluation.missing import missing_note

    protocol, note = report["protocol"], missing_note(report)
    lines = [
        (
            f"{note}{'; ' if note else ''}"
            f"{protocol['model']} ({protocol['method']}), {protocol['frames']} frames; "
            f"split {protocol['split']}: {protocol['videos']} videos, {protocol['captions']} captions; "
            f"video to text: {protocol['video_to_text']}"
        )
    ]
    changed = protocol.get("changed_by_hand", {})
    if changed:
        words = ", ".join(f"{name} {after} in place of {before}" for name, (before, after) in changed.items())
        lines.append(f"changed by hand: {words}")
    lines += aligned([["", *_COLUMNS, "questions"], *_rows(report)])
    lines.append(_rsum(report))
    choice = report.get("choice")
    if choice:
        parts = {"all": choice["all"], **choice.get("by_tag", {})}
        lines.append(
            f"right among hard negatives (chance {choice['all']['chance']:.0f} %): "
            + ", ".join(f"{name} {values['right']:.1f} %" for name, values in parts.items())
        )
    return lines


def _rows(report: Mapping[str, Any]) -> list[list[str]]:
    intervals = report.get("intervals", {})
    rows = []
    for way, title in (("text_to_video", "text to video"), ("video_to_text", "video to text")):
        rows.append(_numbers(title, report[way]))
        if way in intervals:
            rows.append(_interval(f"  {intervals['level']:g} % interval", intervals[way]))
        # Tags and novelty are of captions that ask for videos.
        for kind in ("by_tag", "by_novelty") if way == "text_to_video" else ():
            rows += [_numbers(f"  {name}", values) for name, values in report.get(kind, {}).items()]
    several = report.get("positives")
    if several:
        for way, title in (("text_to_video", "text to video"), ("video_to_text", "video to text")):
            rows.append(_numbers(f"{title}, several right", several[way]))
    for name, row in report.get("post_processed", {}).items():
        label = f"{name} ({'transductive' if row['transductive'] else 'not transductive'})"
        for way, title in (("text_to_video", "t2v"), ("video_to_text", "v2t")):
            if row[way] is None:
                rows.append([f"{label} {title}", *("-" for _ in _COLUMNS), "no bank"])
            else:
                rows.append(_numbers(f"{label} {title}", row[way]))
    return rows


def _numbers(title: str, values: Mapping[str, float]) -> list[str]:
    return [title, *(f"{values[name]:.1f}" for name in _COLUMNS), f"{values['questions']:.0f}"]


def _interval(title: str, ends: Mapping[str, Sequence[float]]) -> list[str]:
    return [title, *(f"{ends[name][0]:.1f}-{ends[name][1]:.1f}" for name in _COLUMNS), ""]


def _rsum(report: Mapping[str, Any]) -> str:
    low, high = report.get("intervals", {}).get("rsum", (None, None))
    return f"rsum {report['rsum']:.1f}" + ("" if low is None else f" ({low:.1f}-{high:.1f})")
