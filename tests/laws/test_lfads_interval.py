"""What an estimate of several networks is, and what its interval must do."""

import numpy as np

from myodrive.from_emg.lfads.posterior import Posterior, _mixture, interval

LEVEL = np.array([0.3, 0.3])


def posterior(mean, variance=0.01):
    mean = np.full((4, 3, 2), mean)
    return Posterior(mean, np.log(mean), np.full(mean.shape, variance))


def test_one_network_that_is_far_above_the_others_does_not_decide():
    mean, _, variance = _mixture([posterior(0.01), posterior(0.01), posterior(1.0)])
    np.testing.assert_allclose(mean, 0.01 ** (2 / 3))
    assert np.all(variance > 1), "they disagree by a factor of a hundred"


def test_networks_that_agree_leave_the_posterior_as_it_is_however_many_they_are():
    for n in (1, 2, 5):
        mean, _, variance = _mixture([posterior(0.5)] * n)
        np.testing.assert_allclose(mean, 0.5)
        np.testing.assert_allclose(variance, 0.01)


def test_what_a_mean_of_networks_is_uncertain_by_does_not_grow_with_their_number():
    rng = np.random.default_rng(0)
    drawn = [posterior(np.exp(0.2 * rng.normal(size=(4, 3, 2))), 0.0) for _ in range(400)]
    few = np.mean([_mixture(drawn[i : i + 2])[2] for i in range(0, 400, 2)])
    many = np.mean([_mixture(drawn[i : i + 8])[2] for i in range(0, 400, 8)])
    np.testing.assert_allclose([few, many], [0.2**2 / 2, 0.2**2 / 8], rtol=0.1)


def test_the_interval_is_around_the_estimate_never_below_zero_and_never_without_width():
    mean = np.array([[1e-6, 0.5], [0.01, 2.0]])
    lower, upper = interval(mean, np.full((2, 2), 0.01), LEVEL, 2, 1.64)
    assert np.all((lower >= 0) & (lower < mean) & (mean < upper))
    assert upper[0, 0] > 0.01


def test_the_interval_widens_with_variance_with_spread_and_for_a_network_alone():
    mean, variance = np.ones((1, 2)), np.full((1, 2), 0.01)

    def width(variance=variance, n=2, **options):
        lower, upper = interval(mean, variance, LEVEL, n, 1.64, **options)
        return float(np.mean(upper - lower))

    assert width(4 * variance) > width() and width(n=1) > width()
    assert width(spread=np.array([1.2, 5.0])) > width()
