"""Text in a line of a terminal: other people's, and times."""

from __future__ import annotations

import re

__all__ = ["clock", "one_line"]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    r"""Return a path or a reason as one line: what would steer the terminal is written out.

    Example:
        >>> one_line("a\nfilm.mp4")
        'a\\nfilm.mp4'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def clock(seconds: float) -> str:
    """Write seconds as people read them on a player.

    Example:
        >>> clock(62.5), clock(3605.0)
        ('1:02.5', '1:00:05.0')
    """
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02d}.{rest % 10}"
