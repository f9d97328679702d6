"""What every metric promises, whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myodrive.errors import SignalError
from myodrive.evaluation import metrics as m

seeds = st.integers(0, 2**32 - 1)


def smooth(seed: int, n_time: int = 400, n_muscle: int = 2) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n_time + 40, n_muscle))
    kernel = np.hanning(41)
    return np.stack([np.convolve(c, kernel, "valid") for c in noise.T], axis=1) / 10 + 1.0


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_the_truth_itself_gets_full_marks(seed: int) -> None:
    truth = smooth(seed)
    for metric in (m.pearson_r, m.r2, m.vaf):
        np.testing.assert_allclose(metric(truth, truth), 1.0)
    for metric in (m.rmse, m.nrmse, m.mae, m.peak_error):
        np.testing.assert_allclose(metric(truth, truth), 0.0, atol=1e-12)
    assert m.zero_line_score(truth, truth) == pytest.approx(100.0)


@given(seeds, st.floats(0.2, 5), st.floats(-2, 2))
@settings(max_examples=20, deadline=None)
def test_gain_and_offset_leave_r_alone_and_scaling_both_leaves_all_ratios_alone(
    seed: int, gain: float, offset: float
) -> None:
    truth, estimate = smooth(seed), smooth(seed + 1)
    np.testing.assert_allclose(m.pearson_r(gain * estimate + offset, truth), m.pearson_r(estimate, truth), atol=1e-9)
    np.testing.assert_allclose(m.vaf(truth + offset, truth, centred=True), 1.0, atol=1e-9)
    for metric in (m.r2, m.vaf, m.nrmse, m.peak_error):
        np.testing.assert_allclose(metric(gain * estimate, gain * truth), metric(estimate, truth), atol=1e-9)


@given(seeds, st.integers(-9, 9))
@settings(max_examples=20, deadline=None)
def test_the_lag_of_a_shifted_copy_is_the_shift(seed: int, shift: int) -> None:
    whole = smooth(seed)
    estimate, truth = whole[20 - shift : 380 - shift], whole[20:380]
    np.testing.assert_allclose(m.lag_s(estimate, truth, 100.0), shift / 100.0, atol=2e-3)


def test_a_lag_between_two_samples_is_found() -> None:
    time = np.arange(0, 10, 0.01)
    wave = lambda t: np.exp(-(((t % 2.0) - 1.0) ** 2) / 0.05)  # noqa: E731
    assert float(m.lag_s(wave(time - 0.013), wave(time), 100.0)) == pytest.approx(0.013, abs=3e-4)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_missing_samples_count_for_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, estimate = smooth(seed), smooth(seed + 1)
    gone = rng.random(len(truth)) < 0.2
    holed = estimate.copy()
    holed[gone] = np.nan
    for metric in (m.pearson_r, m.r2, m.vaf, m.nrmse, m.mae, m.peak_error):
        np.testing.assert_allclose(metric(holed, truth), metric(estimate[~gone], truth[~gone]), rtol=1e-9)


def test_a_truth_that_does_not_vary_and_a_muscle_without_samples_give_nan_not_zero() -> None:
    estimate = smooth(0)
    constant = np.full(estimate.shape, 0.3)
    empty = np.full(estimate.shape, np.nan)
    for metric in (m.pearson_r, m.r2, m.nrmse):
        assert np.isnan(metric(estimate, constant)).all()
        assert np.isnan(metric(estimate, empty)).all()
    assert np.isnan(m.lag_s(estimate, constant, 100.0)).all()


def test_r2_against_the_training_mean_is_zero_for_that_mean() -> None:
    truth = smooth(3)
    mean = np.array([0.5, 2.0])
    np.testing.assert_allclose(m.r2(np.broadcast_to(mean, truth.shape), truth, mean), 0.0, atol=1e-12)
    assert (m.r2(np.broadcast_to(mean, truth.shape), truth) < 0).all()


def test_the_zero_line_scores_nothing_and_flatters_against_r2() -> None:
    truth = smooth(4) ** 2
    estimate = truth + 0.3
    assert m.zero_line_score(np.zeros_like(truth), truth) == pytest.approx(0.0)
    assert m.zero_line_score(estimate, truth) > 100 * float(m.r2(estimate.ravel(), truth.ravel()))


def test_a_calibrated_gaussian_interval_covers_what_it_says() -> None:
    rng = np.random.default_rng(5)
    mean = smooth(5, 20_000, 1)
    truth = mean + 0.2 * rng.normal(size=mean.shape)
    half = 0.2 * 1.6448536
    assert float(m.coverage(mean - half, mean + half, truth)[0]) == pytest.approx(0.9, abs=0.01)
    assert float(m.interval_width(mean - half, mean + half)[0]) == pytest.approx(2 * half)


def test_a_monotone_calibration_undoes_a_monotone_distortion_it_has_not_seen() -> None:
    truth = smooth(6, 1200)
    warped = np.exp(2 * truth)
    calibrated = m.MonotoneCalibration.fit(warped[:600], truth[:600]).apply(warped[600:])
    inside = (truth[600:] >= truth[:600].min(axis=0)) & (truth[600:] <= truth[:600].max(axis=0))
    np.testing.assert_allclose(calibrated[inside], truth[600:][inside], atol=0.03)
    assert np.isnan(m.MonotoneCalibration.fit(warped, truth).apply(warped * np.nan)).all()


def test_unequal_lengths_are_refused_by_name() -> None:
    with pytest.raises(SignalError, match="same shape"):
        m.r2(np.zeros(5), np.zeros(6))
