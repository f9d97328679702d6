"""The linear envelope: rectified EMG through a Butterworth low-pass, as a function of one gap-free stretch."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import signal as sps

from myodrive.errors import SignalError

ORDER = 4  # of each of the two passes, as in the published chains
CAUSAL_ORDER = 2  # of the one pass: order 4 lags almost twice as long


def smooth_run(
    values: Float[np.ndarray, " time"], rate_hz: float, cutoff_hz: float, *, causal: bool = False
) -> Float[np.ndarray, " time"]:
    """Low-pass one gap-free stretch of non-negative values, zero-phase or causal; never below 0.

    Raises
    ------
    SignalError
        If the cut-off is not below half the sampling rate.
    """
    if cutoff_hz >= rate_hz / 2:
        raise SignalError(
            f"a low-pass filter at {cutoff_hz:g} Hz needs a sampling rate above {2 * cutoff_hz:g} Hz, and this is {rate_hz:g} Hz.",
            remedy="Lower cutoff_hz, or take the input as it is.",
        )
    sections = sps.butter(CAUSAL_ORDER if causal else ORDER, cutoff_hz, fs=rate_hz, output="sos")
    if causal:
        # Divided by what a constant gives, so that the envelope does not rise from 0 where a recording starts.
        smoothed = sps.sosfilt(sections, values) / sps.sosfilt(sections, np.ones(values.size))
    else:
        # Mirrored at the ends. The usual odd extension turns on the very last sample, which is mostly noise.
        padding = min(int(np.ceil(rate_hz / cutoff_hz)), values.size - 1)
        smoothed = sps.sosfiltfilt(sections, values, padtype="even", padlen=padding)
    return np.maximum(smoothed, 0.0)


def group_delay_s(cutoff_hz: float) -> float:
    """By how much the causal filter lags at 0 Hz: √2 / (2π fc), that of the Butterworth filter of order 2."""
    return float(np.sqrt(2) / (2 * np.pi * cutoff_hz))
