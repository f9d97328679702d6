"""Smoothing and derivatives while a movement goes on: the filter of `differentiate`, with less of the future in it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import savgol_coeffs

from myodrive.conditioning.kinematics import POLYNOMIAL, half_window


def one_sided_taps(
    cutoff_hz: float, rate_hz: float, ahead: int, derivatives: int
) -> tuple[Float[np.ndarray, "order window"], int]:
    """The weights of the samples of a window for the smoothed value and each derivative, and how many of them follow.

    The polynomial is fitted to a window as long as that of `differentiate`, of which only `ahead` samples follow the
    instant that it is evaluated at; from half the window on the two are the same.
    """
    half = half_window(cutoff_hz, rate_hz)
    ahead = min(ahead, half)
    orders = range(derivatives + 1)
    place = 2 * half - ahead
    taps = [savgol_coeffs(2 * half + 1, POLYNOMIAL, deriv=o, delta=1 / rate_hz, pos=place, use="dot") for o in orders]
    return np.stack(taps), ahead


def causal_features(
    positions: Float[np.ndarray, "time channel"], taps: Float[np.ndarray, "order window"], ahead: int
) -> Float[np.ndarray, "time feature"]:
    """Positions, then velocities, then accelerations; the first and the last sample are held beyond the ends."""
    window = taps.shape[1]
    padded = np.pad(positions, ((window - 1 - ahead, ahead), (0, 0)), mode="edge")
    each = sliding_window_view(padded, window, axis=0) @ taps.T  # (time, channel, order)
    return np.moveaxis(each, 2, 1).reshape(len(positions), -1)
