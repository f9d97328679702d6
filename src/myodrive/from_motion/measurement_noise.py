"""How much of what an estimate misses is noise of the measured envelope, and not of the muscle's activity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import signal as sps

from myodrive.conditioning.envelope import ORDER

BAND = (0.6, 1.0)  # of the cut-off: faster than activity that a movement explains, and passed by the envelope's filter
SHORTEST_S = 1.0  # stretches that tell of so low a band
MOST = 0.9  # of the error may be put down to the measurement


def noise_share(
    errors: Sequence[Float[np.ndarray, "_time muscle"]], rate_hz: float, cutoff_hz: float
) -> Float[np.ndarray, " muscle"]:
    """The share of the mean squared held-out error that is sampling noise of the zero-phase envelope, from 0 to `MOST`.

    Rectified EMG is activity times noise that is nearly white, so the noise of its envelope has the spectrum of the
    envelope's filter, and can be read where the activity has little: just below the cut-off. Activity there that the
    movement does not explain is taken for noise too. 0 where no stretch of `SHORTEST_S` is known throughout.

    Parameters
    ----------
    errors : sequence of array (time, muscle)
        Measured envelope minus estimate in trials that were not learned from, divided by the predicted scale.
    rate_hz, cutoff_hz : float
        Of the errors, and of the envelope.
    """
    n_muscle = errors[0].shape[1] if errors else 0
    power, in_band, weight = np.zeros(n_muscle), np.zeros(n_muscle), np.zeros(n_muscle)
    sections = sps.butter(ORDER, cutoff_hz, fs=rate_hz, output="sos")
    for error in errors:
        if len(error) < SHORTEST_S * rate_hz:
            continue
        whole = np.isfinite(error).all(axis=0)
        frequency, density = sps.periodogram(np.where(whole, error, 0.0), rate_hz, "hann", axis=0)
        band = (frequency >= BAND[0] * cutoff_hz) & (frequency <= BAND[1] * cutoff_hz)
        passed = np.abs(sps.freqz_sos(sections, frequency, fs=rate_hz)[1]) ** 4  # forwards and backwards
        noise = density[band].mean(axis=0) / passed[band].mean() * passed.sum() * frequency[1]
        power += len(error) * np.where(whole, np.mean(np.where(whole, error, 0.0) ** 2, axis=0), 0.0)
        in_band += len(error) * np.where(whole, noise, 0.0)
        weight += len(error) * whole
    return np.where(weight > 0, np.clip(in_band / np.maximum(power, 1e-12), 0.0, MOST), 0.0)
