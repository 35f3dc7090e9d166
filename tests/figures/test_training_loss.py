"""Losses over steps, read from the logs of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidsift.figures.training_loss import draw_training_loss, read_losses

LOG = """\
{"step": 1, "loss": 4.0, "cdcr": 0.5}
{"step": 2, "loss": 3.0, "cdcr": 0.4}
{"step": 2, "validation": {"text_to_video": {"R@1": 3}}}
{"step": 2, "loss": 3.5, "cdcr": 0.3}
{"step": 3, "loss": 1.0, "cdcr": 0.2}
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "metrics.jsonl").write_text(LOG)
    return tmp_path


def test_a_step_counts_as_it_was_done_last(run: Path) -> None:
    assert read_losses(run) == [(1, 4.0), (2, 3.5), (3, 1.0)]
    assert read_losses(run / "metrics.jsonl", "cdcr") == [(1, 0.5), (2, 0.3), (3, 0.2)]


def test_what_holds_no_losses_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no 'on_diag'; it has loss, cdcr"):
        read_losses(run, "on_diag")
    with pytest.raises(ValueError, match=r"there is no .*absent"):
        read_losses(tmp_path / "absent")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ValueError, match="holds no losses"):
        read_losses(tmp_path / "empty.jsonl")
    (tmp_path / "cut.jsonl").write_text('{"step": 1, "lo')
    with pytest.raises(ValueError, match="is no log of a run"):
        read_losses(tmp_path / "cut.jsonl")


def test_lines_are_smoothed_around_their_middle(run: Path) -> None:
    drawing = draw_training_loss({"dp": read_losses(run), "wti": read_losses(run)}, smooth=3)
    [axes] = drawing.page.axes
    # Each run has a faint line as it is and one of means; at the ends of fewer.
    faint, means, *_ = axes.lines
    assert np.asarray(faint.get_ydata()).tolist() == [4.0, 3.5, 1.0]
    assert np.asarray(means.get_ydata()).tolist() == pytest.approx([3.75, 8.5 / 3, 2.25])
    assert [line.get_label() for line in axes.lines[1::2]] == ["dp", "wti"]
    with pytest.raises(ValueError, match="smooth is 0"):
        draw_training_loss({"dp": read_losses(run)}, smooth=0)
