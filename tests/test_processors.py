"""What depends on the processor is right on lesser ones: the marked tests, run imitating them.

The whole matrix of settings, and a search of many segments, are in ``make soak``.
"""

from __future__ import annotations

import re

import pytest
from tests.imitation import imitable, run_marked

pytestmark = pytest.mark.skipif(not imitable(), reason="only x86 processors imitate each other")


# AVX-512 without VNNI saturates as AVX2 does, and with VNNI is like the machines at hand.
@pytest.mark.parametrize("setting", ["AVX2", "SSE4.1"])
def test_marked_tests_pass_on_an_imitated_processor(setting: str) -> None:
    printed = run_marked(setting)
    passed = re.search(r"(\d+) passed", printed)
    assert passed
    assert int(passed[1]) > 100
