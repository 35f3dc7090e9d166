"""What an error says to people who are not at the machine: the remedy, without the insides."""

from __future__ import annotations

import logging

from vidsift.errors import VidsiftError
from vidsift.files.disk_errors import is_disk_full

__all__ = ["words_for"]

_LOG = logging.getLogger(__name__)
_MARKS = ("is damaged", "could not be written", "cannot be read")


def words_for(error: Exception) -> str:
    """Return the words of an error; a library's own words, and paths of ours, go to the log instead."""
    if is_disk_full(error):
        _LOG.error("no room", exc_info=error)
        return "the disk of the service is full; what was there before is whole: make room and ask again"
    if isinstance(error, OSError) and error.strerror:
        _LOG.error("trouble with a file", exc_info=error)
        return f"{error.strerror}; look at the disk and the folder of the index, then ask again"
    text = str(error) or type(error).__name__
    cause = error.__cause__
    if cause is not None and not isinstance(cause, VidsiftError):
        for mark in _MARKS:
            before, found, _ = text.partition(mark)
            if found:
                _LOG.error("trouble with the index", exc_info=error)
                return f"{before}{mark}; the log of the service says how: run vidsift index check --repair"
    if isinstance(error, OSError):
        return f"{text}; look at the disk and the folder of the index, then ask again"
    return text
