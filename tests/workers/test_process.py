from __future__ import annotations

import pytest

from vidsift.workers.process import ProcessLimits, SilenceTimer


def test_time_asleep_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("vidsift.workers.process.time.monotonic", lambda: now[0])
    silence = SilenceTimer()
    now[0] += 0.5
    assert silence.seconds() == pytest.approx(0.5)
    now[0] += 8 * 3600
    assert silence.seconds() == pytest.approx(1.5)
    silence.restart()
    assert silence.seconds() == 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_impossible_limits_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="expected seconds above 0"):
        ProcessLimits(seconds)
    with pytest.raises(ValueError, match="at least 1 MiB"):
        ProcessLimits(1.0, 5)
