"""Other people's text in a line of a terminal."""

from __future__ import annotations

import re

__all__ = ["one_line"]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    r"""Return a path or a reason as one line: what would steer the terminal is written out.

    Example:
        >>> one_line("a\nfilm.mp4")
        'a\\nfilm.mp4'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
