"""Searches over HTTP measure chance by few questions too."""

from __future__ import annotations

from tests.search.conftest import _few_unrelated_questions

__all__ = ["_few_unrelated_questions"]
