"""What is wrong with a question."""

from __future__ import annotations

__all__ = ["QueryError"]


class QueryError(ValueError):
    """The question cannot be answered as it is; the message says what to change."""
