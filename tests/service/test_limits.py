from __future__ import annotations

import pytest

from vidsift.service.limits import Slots
from vidsift.service.problems import ProblemError


def test_slots_run_out_and_come_back() -> None:
    slots = Slots(2, "clips")
    release = slots.acquire()
    with slots.hold(), pytest.raises(ProblemError, match="2 clips are under way") as refused:
        slots.acquire()
    assert (refused.value.status_code, refused.value.headers) == (429, {"retry-after": "5"})
    release()
    release()  # a second time changes nothing
    with slots.hold(), slots.hold():
        pass
    with pytest.raises(ZeroDivisionError), slots.hold():
        raise ZeroDivisionError
    with slots.hold(), slots.hold():
        pass
