"""How much of what is not its own muscle is left in the estimate of a muscle."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from myodrive.activation import Activation
from myodrive.evaluation.truth_scoring import SCORING_HZ
from myodrive.recording import Recording
from myodrive.trials import to_clock

STRENGTH_S = 0.05  # over which the strength of what is foreign is taken


def leak(estimate: Activation, recording: Recording) -> Float[np.ndarray, " muscle"]:
    """Partial correlation of the estimate with the strength of the foreign EMG, given the true activation.

    Parameters
    ----------
    estimate : Activation
    recording : Recording
        Of `truth.leaks.simulate_leak`.

    Returns
    -------
    array (muscle,)
        0 for an estimate that depends on the activation alone, along a curve of third order; 1 for one that differs
        from that curve as the foreign strength does.
    """
    truth, foreign = recording["activation"], recording["foreign"]
    clock = np.arange(0, float(truth.time[-1]), 1 / SCORING_HZ)
    half = STRENGTH_S / 2
    power = np.cumsum(np.pad(foreign.values**2, ((1, 0), (0, 0))), axis=0)
    ends = [np.clip(np.searchsorted(foreign.time.values, clock + side), 0, len(power) - 1) for side in (-half, half)]
    strength = np.sqrt((power[ends[1]] - power[ends[0]]) / np.maximum(ends[1] - ends[0], 1)[:, None])
    values = estimate.activation.sel(muscle=truth.muscle.values)
    placed = to_clock(values.values, values.time.values, clock)
    actual = to_clock(truth.values, truth.time.values, clock)
    return np.array([_partial_correlation(*columns) for columns in zip(placed.T, strength.T, actual.T)])


def _partial_correlation(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(given)
    if known.sum() < 10:
        return float("nan")
    curve = np.vander(given[known], 4)
    pair = np.stack([x[known], y[known]], axis=1)
    left = pair - curve @ np.linalg.lstsq(curve, pair, rcond=None)[0]
    return float(np.corrcoef(left.T)[0, 1])
