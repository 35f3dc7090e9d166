"""What a score is worth beside the best scores of unrelated questions: the fits by themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vidsift.search.confidence import Calibration, Gumbel, fit_gumbel, fits_of, growth


def test_a_fit_leaves_out_what_stands_out() -> None:
    usual = np.random.default_rng(0).gumbel(2.0, 0.5, 2000)
    clean = fit_gumbel(usual)
    assert clean == pytest.approx((2.0, 0.5), abs=0.08)
    some_fit = fit_gumbel(np.concatenate([usual, np.full(80, 30.0)]))
    assert some_fit == pytest.approx(clean, abs=0.1)
    assert fit_gumbel(np.ones(10)).scale > 0


def test_confidence_is_the_share_of_unrelated_questions_that_score_less() -> None:
    standard = Gumbel(0.0, 1.0)
    calibration = Calibration(Gumbel(10.0, 2.0), Gumbel(1.0, 0.5), standard, 40)
    # Two scales above by its score, four by what exceeds the mean: the better counts.
    assert calibration.confidence(14.0, 11.0) == pytest.approx(math.exp(-math.exp(-4)))
    # A question that fits everything has a high mean: its score alone says enough.
    assert calibration.confidence(18.0, 18.0) == pytest.approx(math.exp(-math.exp(-4)))
    assert calibration.confidence(-1e9, 0) < 1e-9
    sure = [calibration.confidence(score, 5.0) for score in np.linspace(0, 20, 50)]
    assert sure == sorted(sure)


def test_growth_is_that_of_one_question_over_different_segments() -> None:
    random = np.random.default_rng(0)
    offsets = random.normal(0.0, 5.0, 4000)  # some sentences score high with everything
    halves = offsets + random.gumbel(0.0, 0.5, (2, 4000))
    assert growth(*halves) == pytest.approx(0.5, rel=0.05)
    halves[0, :200] += 30.0  # these fit something in one half
    assert growth(*halves) == pytest.approx(0.5, rel=0.12)


def test_fits_lie_higher_where_more_segments_were_to_be_asked() -> None:
    random = np.random.default_rng(1)
    best, means = random.gumbel(2.0, 0.5, 400), random.normal(0.0, 0.1, 400)
    measured, extrapolated = fits_of(best, means, 0.0), fits_of(best, means, 0.25)
    assert extrapolated.plain.location - measured.plain.location == pytest.approx(0.25)
    assert extrapolated.centred.location - measured.centred.location == pytest.approx(0.25)
    assert (extrapolated.plain.scale, extrapolated.better) == (measured.plain.scale, measured.better)
    assert measured.questions == 400
    # By the same score a hit among more segments is less sure.
    assert extrapolated.confidence(4.0, 0.0) < measured.confidence(4.0, 0.0)


def test_a_lead_is_counted_in_scales_of_chance() -> None:
    fits = Calibration(Gumbel(10.0, 2.0), Gumbel(1.0, 0.5), Gumbel(0.0, 1.0), 40)
    assert fits.lead(14.0, 13.0) == 2.0
    assert fits.lead(14.0, 14.0) == fits.lead(13.0, 14.0) == 0.0
