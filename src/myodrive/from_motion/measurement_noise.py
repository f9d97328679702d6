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
BANDWIDTH_HZ = 100.0  # of surface EMG, (∫S)² / ∫S²; in most it is larger, and the noise less


def noise_share(
    errors: Sequence[Float[np.ndarray, "_time muscle"]],
    levels: Sequence[Float[np.ndarray, "_time muscle"]],
    rate_hz: float,
    cutoff_hz: float,
) -> Float[np.ndarray, " muscle"]:
    """The share of the mean squared held-out error that is sampling noise of the zero-phase envelope, from 0 to `MOST`.

    Rectified EMG is activity times noise that is nearly white, so the noise of its envelope has the spectrum of the
    envelope's filter, and can be read where the activity has little: just below the cut-off. Activity there that the
    movement does not explain would be taken for noise too. So the noise is held at what it is at most: of a Gaussian signal
    of the bandwidth B, rectified and smoothed by a filter of the noise bandwidth b, the variance is b / (2 B) of the
    squared level. 0 where no stretch of `SHORTEST_S` is known throughout.

    Parameters
    ----------
    errors : sequence of array (time, muscle)
        Measured envelope minus estimate in trials that were not learned from, divided by the predicted scale.
    levels : sequence of array (time, muscle)
        The measured envelope, divided by the same.
    rate_hz, cutoff_hz : float
        Of the errors, and of the envelope.

    References
    ----------
    Hogan N, Mann RW (1980) IEEE Trans Biomed Eng 27:382–395, 10.1109/TBME.1980.326652.
    """
    n_muscle = errors[0].shape[1] if errors else 0
    power, in_band, most, weight = np.zeros((4, n_muscle))
    sections = sps.butter(ORDER, cutoff_hz, fs=rate_hz, output="sos")
    for error, level in zip(errors, levels):
        if len(error) < SHORTEST_S * rate_hz:
            continue
        whole = np.isfinite(error).all(axis=0)
        error, level = np.where(whole, error, 0.0), np.where(whole, level, 0.0)
        frequency, density = sps.periodogram(error, rate_hz, "hann", axis=0)
        band = (frequency >= BAND[0] * cutoff_hz) & (frequency <= BAND[1] * cutoff_hz)
        passed = np.abs(sps.freqz_sos(sections, frequency, fs=rate_hz)[1]) ** 4  # forwards and backwards
        noise_hz = passed.sum() * frequency[1]
        power += (error**2).sum(axis=0)
        in_band += len(error) * density[band].mean(axis=0) / passed[band].mean() * noise_hz
        most += (level**2).sum(axis=0) * noise_hz / (2 * BANDWIDTH_HZ)
        weight += len(error) * whole
    share = np.minimum(in_band, most) / np.maximum(power, 1e-12)
    return np.where(weight > 0, np.clip(share, 0.0, MOST), 0.0)
