"""The noise of measured envelopes, found in errors that were made with a known share of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal as sps

from myodrive.conditioning.envelope import smooth_run
from myodrive.from_motion.measurement_noise import BANDWIDTH_HZ, noise_share

RATE, CUTOFF = 100.0, 6.0
LOUD = [np.full((300, 2), 100.0)] * 60  # levels of which any error is a small part


def made_errors(share: float, seed: int = 0) -> list[np.ndarray]:
    """Errors of two muscles in sixty trials: slow ones of an estimate, and white noise through the envelope's filter."""
    rng = np.random.default_rng(seed)

    def passed(cutoff_hz: float) -> np.ndarray:
        sections = sps.butter(4, cutoff_hz, fs=RATE, output="sos")
        filtered = sps.sosfiltfilt(sections, rng.standard_normal((60 * 300, 2)), axis=0)
        return filtered / filtered.std()

    both = np.sqrt(1 - share) * passed(1.5) + np.sqrt(share) * passed(CUTOFF)
    return list(both.reshape(60, 300, 2))


def envelope_of_noise(level: np.ndarray, bandwidth_hz: float, seed: int = 0) -> np.ndarray:
    """Of Gaussian noise of that bandwidth, 20 Hz upwards, whose size is the level (at 1 kHz); at 100 Hz."""
    white = np.random.default_rng(seed).standard_normal(level.size)
    sections = sps.butter(10, (20.0, 20.0 + bandwidth_hz), "bandpass", fs=1000.0, output="sos")
    carrier = sps.sosfiltfilt(sections, white)
    rectified = np.abs(level * carrier / carrier.std()) / np.sqrt(2 / np.pi)
    return smooth_run(rectified, 1000.0, CUTOFF)[::10]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_the_share_of_the_noise_is_found(share: float) -> None:
    np.testing.assert_allclose(noise_share(made_errors(share), LOUD, RATE, CUTOFF), share, atol=0.05)


@pytest.mark.parametrize("bandwidth_hz", [BANDWIDTH_HZ, 2 * BANDWIDTH_HZ])
def test_the_noise_of_an_envelope_is_all_found_beside_a_slow_error(bandwidth_hz: float) -> None:
    time = np.arange(200_000) / 1000.0
    level = 1.0 + 0.5 * np.sin(2 * np.pi * 0.3 * time)
    measured = envelope_of_noise(level, bandwidth_hz)
    noise, slow = measured - level[::10], 0.1 * np.sin(2 * np.pi * 0.5 * time[::10])
    pieces = [np.split((noise + slow)[:, None], 50), np.split(measured[:, None], 50)]
    true = np.mean(noise**2) / np.mean((noise + slow) ** 2)
    np.testing.assert_allclose(noise_share(*pieces, RATE, CUTOFF), true, atol=0.08)


def test_activity_that_is_fast_and_unexplained_is_not_taken_for_noise() -> None:
    """Errors all just below the cut-off and as large as the activity: no EMG is so noisy."""
    errors = made_errors(1.0)
    found = noise_share(errors, [np.ones_like(e) for e in errors], RATE, CUTOFF)
    assert np.all(found < 0.05)


def test_a_muscle_that_is_not_known_throughout_tells_nothing() -> None:
    errors = [np.where([True, False], e, np.nan) for e in made_errors(0.5)]
    found = noise_share(errors, LOUD, RATE, CUTOFF)
    assert found[0] > 0.4 and found[1] == 0


def test_short_stretches_tell_nothing() -> None:
    short = ([values[:80] for values in made] for made in (made_errors(0.5), LOUD))
    assert np.all(noise_share(*short, RATE, CUTOFF) == 0)
