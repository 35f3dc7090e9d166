"""Searches of these tests measure chance by few questions: the whole bank takes longer than all else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vidsift.search import calibration, calibration_sentences


@pytest.fixture(autouse=True, scope="module")
def _few_unrelated_questions() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "CALIBRATION_SENTENCES", calibration_sentences.CALIBRATION_SENTENCES[:12])
        yield
