from __future__ import annotations

import pytest

from vidsift.service.problems import ProblemError
from vidsift.service.transfer import byte_range, content_disposition


def test_ranges_by_themselves() -> None:
    assert byte_range(None, 10) is None
    assert byte_range("bytes=0-", 10) == (0, 10)
    assert byte_range("bytes=-100", 10) == (0, 10)
    with pytest.raises(ProblemError):
        byte_range("bytes=0-", 0)
    assert content_disposition("attachment", "\udcff\n\r;") == "attachment; filename*=UTF-8''%3F%0A%0D%3B"
