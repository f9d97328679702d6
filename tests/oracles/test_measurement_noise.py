"""The noise of measured envelopes, found in errors that were made with a known share of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal as sps

from myodrive.from_motion.measurement_noise import noise_share

RATE, CUTOFF = 100.0, 6.0


def made_errors(share: float, seed: int = 0) -> list[np.ndarray]:
    """Errors of two muscles in sixty trials: slow ones of an estimate, and white noise through the envelope's filter."""
    rng = np.random.default_rng(seed)

    def passed(cutoff_hz: float) -> np.ndarray:
        sections = sps.butter(4, cutoff_hz, fs=RATE, output="sos")
        filtered = sps.sosfiltfilt(sections, rng.standard_normal((60 * 300, 2)), axis=0)
        return filtered / filtered.std()

    both = np.sqrt(1 - share) * passed(1.5) + np.sqrt(share) * passed(CUTOFF)
    return list(both.reshape(60, 300, 2))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_the_share_of_the_noise_is_found(share: float) -> None:
    np.testing.assert_allclose(noise_share(made_errors(share), RATE, CUTOFF), share, atol=0.05)


def test_a_muscle_that_is_not_known_throughout_tells_nothing() -> None:
    errors = [np.where([True, False], e, np.nan) for e in made_errors(0.5)]
    found = noise_share(errors, RATE, CUTOFF)
    assert found[0] > 0.4 and found[1] == 0


def test_short_stretches_tell_nothing() -> None:
    assert np.all(noise_share([e[:80] for e in made_errors(0.5)], RATE, CUTOFF) == 0)
