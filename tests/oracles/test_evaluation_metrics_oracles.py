"""The metrics against independent implementations and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import scipy.stats
import sklearn.metrics

from myodrive.evaluation import metrics as m

rng = np.random.default_rng(0)
TRUTH = rng.gamma(2.0, size=(300, 3))
ESTIMATE = TRUTH + rng.normal(size=(300, 3))


def test_r_r2_and_errors_agree_with_scipy_and_scikit_learn() -> None:
    for i in range(3):
        e, t = ESTIMATE[:, i], TRUTH[:, i]
        assert float(m.pearson_r(e, t)) == pytest.approx(scipy.stats.pearsonr(e, t).statistic)
        assert float(m.r2(e, t)) == pytest.approx(sklearn.metrics.r2_score(t, e))
        assert float(m.mae(e, t)) == pytest.approx(sklearn.metrics.mean_absolute_error(t, e))
        assert float(m.rmse(e, t)) == pytest.approx(sklearn.metrics.root_mean_squared_error(t, e))
        assert float(m.vaf(e, t, centred=True)) == pytest.approx(sklearn.metrics.explained_variance_score(t, e))
        assert float(m.vaf(e, t)) == pytest.approx(1 - np.sum((t - e) ** 2) / np.sum(t**2))
        assert float(m.nrmse(e, t)) == pytest.approx(float(m.rmse(e, t)) / np.ptp(t))


def test_the_gamma_density_and_its_fit_agree_with_scipy() -> None:
    x = TRUTH[:, 0]
    density = m.gamma_log_density(x, np.array(1.7), np.array(0.6))
    np.testing.assert_allclose(density, scipy.stats.gamma.logpdf(x, 1.7, scale=1 / 0.6))
    shape, rate = m.fit_gamma(x)
    a, _, scale = scipy.stats.gamma.fit(x, floc=0)
    assert float(shape) == pytest.approx(a, rel=1e-4)
    assert float(rate) == pytest.approx(1 / scale, rel=1e-4)


def test_bits_per_sample_is_zero_for_the_null_and_the_relative_entropy_for_the_true_densities() -> None:
    mean = np.where(np.arange(200_000) % 2, 0.5, 2.0)
    x = np.random.default_rng(1).gamma(3.0, mean / 3.0)
    shape, rate = m.fit_gamma(np.maximum(x, 1e-3))
    assert float(m.gamma_bits_per_sample(x, shape, rate)) == pytest.approx(0.0, abs=1e-12)
    grid = np.linspace(1e-4, 40, 400_001)
    gain = 0.0
    for level in (0.5, 2.0):
        p = scipy.stats.gamma.pdf(grid, 3.0, scale=level / 3.0)
        log_ratio = scipy.stats.gamma.logpdf(grid, 3.0, scale=level / 3.0)
        log_ratio -= scipy.stats.gamma.logpdf(grid, float(shape), scale=1 / float(rate))
        gain += 0.5 * float(np.trapezoid(p * log_ratio, grid)) / np.log(2)
    found = m.gamma_bits_per_sample(x, np.full(x.shape, 3.0), 3.0 / mean)
    assert float(found) == pytest.approx(gain, abs=0.01)


def test_coherence_agrees_with_scipy_and_its_level_is_exceeded_by_noise_one_time_in_twenty() -> None:
    noise = np.random.default_rng(2).normal(size=(2, 60_000))
    mixed = noise[1] + scipy.signal.lfilter([1.0, 0.5], [1.0], noise[0])
    frequency, value, _ = m.coherence(noise[0], mixed, 1000.0, 0.2)
    f, c = scipy.signal.coherence(noise[0], mixed, 1000.0, window=np.hanning(200), nperseg=200, noverlap=100)
    np.testing.assert_allclose(frequency, f)
    np.testing.assert_allclose(value[1:-1], c[1:-1], atol=1e-6)
    _, unrelated, level = m.coherence(noise[0], noise[1], 1000.0, 0.2)
    assert np.mean(unrelated[1:-1] > level) < 0.12
