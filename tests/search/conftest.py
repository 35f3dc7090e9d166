"""Searches of these tests measure chance by few questions: the whole bank takes longer than all else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vidsift.search import calibration_sentences, confidence


@pytest.fixture(autouse=True, scope="module")
def _few_unrelated_questions() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confidence, "UNRELATED", calibration_sentences.UNRELATED[:12])
        yield
