"""Linear maps that every route shares: ridge, gain and offset, a lag, a filter over all channels, the mean curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float


@dataclasses.dataclass(frozen=True)
class LinearMap:
    """target = intercept + features · weights."""

    weights: Float[np.ndarray, "feature target"]
    intercept: Float[np.ndarray, " target"]

    def predict(self, features: Float[np.ndarray, "time feature"]) -> Float[np.ndarray, "time target"]:
        """NaN where a feature is missing."""
        return features @ self.weights + self.intercept


def fit_ridge(
    features: Float[np.ndarray, "time feature"],
    target: Float[np.ndarray, "time target"],
    penalties: Sequence[float],
) -> list[LinearMap]:
    """Ridge regression on standardised features, one map for each penalty.

    Minimises Σ (y − a − z·w)² / n + penalty · |w|², where z are the features with the mean and standard deviation of
    these very samples taken out; scikit-learn's ``alpha`` is n times the penalty. A feature that does not vary gets
    the weight 0.

    Parameters
    ----------
    features, target : array
        Finite throughout.
    penalties : sequence of float
        Not negative; one eigendecomposition serves them all.
    """
    mean, level = features.mean(axis=0), target.mean(axis=0)
    scale = features.std(axis=0)
    varies = scale > 1e-12 * (np.abs(mean) + 1e-300)
    scale = np.where(varies, scale, 1.0)
    z = (features - mean) / scale * varies
    values, vectors = np.linalg.eigh(z.T @ z / len(z))
    turned = vectors.T @ (z.T @ (target - level)) / len(z)
    maps = []
    for penalty in penalties:
        shrunk = np.maximum(values, 0.0)[:, None] + max(penalty, 1e-12)
        weights = (vectors @ (turned / shrunk)) * (varies / scale)[:, None]
        maps.append(LinearMap(weights, level - mean @ weights))
    return maps


def at_lag(features: Float[np.ndarray, "time *rest"], lag: int) -> Float[np.ndarray, "time *rest"]:
    """The features `lag` samples earlier, for a target that follows them by `lag` samples; NaN beyond the ends."""
    moved = np.full(features.shape, np.nan)
    n_time = len(features)
    if abs(lag) < n_time:
        moved[max(lag, 0) : n_time + min(lag, 0)] = features[max(-lag, 0) : n_time - max(lag, 0)]
    return moved


def hold_at_lag(features: Float[np.ndarray, "time *rest"], lag: int) -> Float[np.ndarray, "time *rest"]:
    """As `at_lag`, with the first and the last value held beyond the ends: short trials keep all their samples."""
    return features[np.clip(np.arange(len(features)) - lag, 0, len(features) - 1)]


def lagged(
    features: Float[np.ndarray, "time feature"], lags: Sequence[int], *, hold: bool = True
) -> Float[np.ndarray, "time tap"]:
    """The features at each of several lags in samples, side by side: the taps of a filter. Ends are held, or NaN."""
    moved = hold_at_lag if hold else at_lag
    return np.concatenate([moved(features, lag) for lag in lags], axis=1)


@dataclasses.dataclass(frozen=True)
class GainLag:
    """target(t) = offset + gain · x(t − lag), lag in samples."""

    gain: float
    offset: float
    lag: int = 0

    def predict(self, x: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        return self.offset + self.gain * hold_at_lag(x, self.lag)


def fit_gain_lag(
    x: Sequence[Float[np.ndarray, " _time"]], target: Sequence[Float[np.ndarray, " _time"]], lags: Sequence[int] = (0,)
) -> GainLag:
    """Gain, offset and lag of least squares over several trials, with a gain that is not negative.

    Parameters
    ----------
    x, target : sequence of array (time,)
        One of each for a trial; `x` finite, samples whose target is NaN do not count.
    lags : sequence of int
        Those tried, in samples; the first of the best is taken. Only 0 by default.
    """
    y = np.concatenate(list(target))
    known = np.isfinite(y)
    found: list[tuple[float, GainLag]] = []
    for lag in lags:
        moved = np.concatenate([hold_at_lag(one, lag) for one in x])[known]
        spread = float(np.var(moved))
        gain = max(float(np.mean((moved - moved.mean()) * y[known])) / spread, 0.0) if spread > 0 else 0.0
        fitted = GainLag(gain, float(y[known].mean() - gain * moved.mean()), lag)
        found.append((float(np.mean((y[known] - fitted.offset - gain * moved) ** 2)), fitted))
    return min(found, key=lambda pair: pair[0])[1]


def fit_ridge_by_folds(
    features: Float[np.ndarray, "time feature"],
    target: Float[np.ndarray, "time target"],
    folds: Sequence[tuple[Bool[np.ndarray, " time"], Bool[np.ndarray, " time"]]],
    penalties: Sequence[float],
) -> tuple[LinearMap, Float[np.ndarray, " target"]]:
    """Ridge regression with, for each target, the penalty of the least squared error on held-out folds; the penalties.

    Parameters
    ----------
    features, target : array
        Finite throughout.
    folds : sequence of (train, test)
        Which samples to learn from and which to score on; a fold without either does not count.
    penalties : sequence of float
        See `fit_ridge`. Without a usable fold the middle one is taken.
    """
    error = np.zeros((len(penalties), target.shape[1]))
    for train, test in folds:
        if train.sum() > 2 and test.any():
            for i, fitted in enumerate(fit_ridge(features[train], target[train], penalties)):
                error[i] += np.sum((fitted.predict(features[test]) - target[test]) ** 2, axis=0)
    best = error.argmin(axis=0) if error.any() else np.full(target.shape[1], len(penalties) // 2)
    maps = fit_ridge(features, target, penalties)
    weights = np.stack([maps[b].weights[:, i] for i, b in enumerate(best)], axis=1)
    intercept = np.array([maps[b].intercept[i] for i, b in enumerate(best)])
    return LinearMap(weights, intercept), np.asarray(penalties)[best]


def mean_curve(trials: Float[np.ndarray, "trial *rest"]) -> Float[np.ndarray, "*rest"]:
    """The mean over trials, of what is there: the same curve every time, the simplest of all predictions."""
    known = np.isfinite(trials)
    count = known.sum(axis=0)
    total = np.where(known, trials, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
