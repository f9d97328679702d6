"""By how much the EMG of each muscle comes before the movement that goes with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from myodrive.learning.linear import fit_ridge, hold_at_lag
from myodrive.paired import Stretch

EARLIEST_S, LATEST_S, STEP_S = -0.1, 0.3, 0.02  # of the movement after the EMG
PENALTY = 1e-2
MOST = 20000  # samples; more change nothing


def electromechanical_delay(stretches: Sequence[Stretch], rate_hz: float) -> Float[np.ndarray, " muscle"]:
    """The lag of the movement behind the EMG at which the features of one instant, combined linearly, tell most of it.

    A parabola through the errors of the best lag and its neighbours places it between them. It is what can be seen of the
    electromechanical delay; derivatives among the features can stand for a part of a shift. NaN for a muscle that was
    never measured.

    Parameters
    ----------
    stretches : sequence of Stretch
        With their targets.
    rate_hz : float
        Of their clock.
    """
    targets = np.concatenate([s.targets for s in stretches])
    every = max(1, len(targets) // MOST)
    lags = np.unique(np.round(np.arange(EARLIEST_S, LATEST_S + 1e-9, STEP_S) * rate_hz).astype(int))
    left = np.full((lags.size, targets.shape[1]), np.nan)
    patterns: dict[bytes, list[int]] = {}  # muscles that were measured at the same samples share a regression
    for i, known in enumerate(np.isfinite(targets).T):
        if known.sum() > 10:
            patterns.setdefault(known.tobytes(), []).append(i)
    for k, lag in enumerate(lags):
        features = np.concatenate([hold_at_lag(s.inputs, -int(lag)) for s in stretches])
        for muscles in patterns.values():
            known = np.flatnonzero(np.isfinite(targets[:, muscles[0]]))[::every]
            wanted = targets[known][:, muscles]
            (fitted,) = fit_ridge(features[known], wanted, [PENALTY])
            left[k, muscles] = ((fitted.predict(features[known]) - wanted) ** 2).mean(axis=0)
    return np.array([_lowest(lags / rate_hz, column) for column in left.T])


def _lowest(at: Float[np.ndarray, " lag"], values: Float[np.ndarray, " lag"]) -> float:
    if not np.isfinite(values).all():
        return float("nan")
    k = int(values.argmin())
    if k in (0, values.size - 1):
        return float(at[k])
    before, here, after = values[k - 1 : k + 2]
    curve = before - 2 * here + after
    return float(at[k] + (0.5 * (before - after) / curve if curve > 0 else 0.0) * (at[k + 1] - at[k]))
