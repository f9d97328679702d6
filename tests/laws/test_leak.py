"""Recordings with noise or crosstalk that is known, and what is said of how much of it an estimate has."""

import numpy as np
import pytest

from myodrive.activation import Activation
from myodrive.errors import OptionError
from myodrive.evaluation.leak import leak
from myodrive.truth.leaks import LEAKS, simulate_leak

SHORT = {"seed": 1000, "n_muscles": 3, "duration_s": 20}


def estimate(recording, values):
    truth = recording["activation"]
    return Activation(truth.copy(data=values).assign_attrs(units="1"), method="low-pass", relative_to="q95")


def strength_on(recording):
    """Of the foreign EMG, on the clock of the activation."""
    truth, foreign = recording["activation"], recording["foreign"]
    smooth = np.apply_along_axis(lambda c: np.convolve(c**2, np.ones(100) / 100, "same"), 0, foreign.values) ** 0.5
    return np.stack([np.interp(truth.time.values, foreign.time.values, c) for c in smooth.T], axis=1)


@pytest.mark.parametrize("kind", LEAKS)
def test_an_estimate_that_errs_by_chance_has_no_leak_and_one_that_errs_as_the_foreign_strength_does_has_all(kind):
    recording = simulate_leak(kind, **SHORT)
    truth, strength = recording["activation"].values, strength_on(recording)
    chance = 0.01 * np.random.default_rng(0).normal(size=truth.shape)
    assert np.abs(leak(estimate(recording, truth + truth**2 + chance), recording)).max() < 0.08
    assert leak(estimate(recording, truth + 0.1 * strength / strength.std()), recording).min() > 0.9


def test_what_is_foreign_is_what_was_added():
    bursts, crosstalk = (simulate_leak(kind, **SHORT) for kind in LEAKS)
    clean = bursts["emg"] - bursts["foreign"]
    np.testing.assert_allclose(clean.values, (crosstalk["emg"] - crosstalk["foreign"]).values, atol=1e-12)
    shared = np.corrcoef(bursts["foreign"].values.T)
    np.testing.assert_allclose(shared, 1.0, atol=1e-6)
    silent = np.mean(np.abs(bursts["foreign"].values) < 1e-9)
    assert 0.5 < silent < 1


def test_an_unknown_leak_is_named():
    with pytest.raises(OptionError, match="bursts"):
        simulate_leak("rain")
