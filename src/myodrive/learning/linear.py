"""Linear maps that every route shares: ridge, gain and offset, a lag, a filter over all channels, the mean curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class LinearMap:
    """target = intercept + features · weights."""

    weights: Float[np.ndarray, "feature target"]
    intercept: Float[np.ndarray, " target"]

    def predict(self, features: Float[np.ndarray, "time feature"]) -> Float[np.ndarray, "time target"]:
        """NaN where a feature is missing."""
        return features @ self.weights + self.intercept


@dataclasses.dataclass(frozen=True)
class Moments:
    """The sums over samples that ridge regression needs, so that data need not be in memory at once.

    What is far from zero compared to its spread loses digits: take a constant near the mean off first.
    """

    n: int
    features: Float[np.ndarray, " feature"]
    target: Float[np.ndarray, " target"]
    products: Float[np.ndarray, "feature feature"]
    cross: Float[np.ndarray, "feature target"]
    squares: Float[np.ndarray, " target"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "time feature"], target: Float[np.ndarray, "time target"]) -> Moments:
        """Of finite samples."""
        return cls(
            len(features),
            features.sum(axis=0),
            target.sum(axis=0),
            features.T @ features,
            features.T @ target,
            (target**2).sum(axis=0),
        )

    def __add__(self, other: Moments) -> Moments:
        return Moments(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))

    def __sub__(self, other: Moments) -> Moments:
        return Moments(*(getattr(self, f.name) - getattr(other, f.name) for f in dataclasses.fields(self)))

    def of_features(self, chosen: Int[np.ndarray, " chosen"]) -> Moments:
        """Of some of the features alone."""
        products = self.products[np.ix_(chosen, chosen)]
        return dataclasses.replace(self, features=self.features[chosen], products=products, cross=self.cross[chosen])

    def squared_error(self, fitted: LinearMap) -> Float[np.ndarray, " target"]:
        """The sum of (target − intercept − features · weights)² of each target."""
        w, a = fitted.weights, fitted.intercept
        explained = (w * (self.products @ w)).sum(axis=0) + 2 * a * (w.T @ self.features) + self.n * a**2
        return self.squares - 2 * ((w * self.cross).sum(axis=0) + a * self.target) + explained


def solve_ridge(moments: Moments, penalties: Sequence[float]) -> list[LinearMap]:
    """Ridge regression from its sums, one map for each penalty; see `fit_ridge`."""
    n, mean, level = moments.n, moments.features / moments.n, moments.target / moments.n
    covariance = moments.products / n - np.outer(mean, mean)
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    varies = scale > 1e-7 * np.sqrt(np.diag(moments.products) / n)  # below, rounding of the sums is what varies
    scale = np.where(varies, scale, np.inf)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    turned = vectors.T @ ((moments.cross / n - np.outer(mean, level)) / scale[:, None])
    maps = []
    for penalty in penalties:
        shrunk = np.maximum(values, 0.0)[:, None] + max(penalty, 1e-12)
        weights = (vectors @ (turned / shrunk)) / scale[:, None]
        maps.append(LinearMap(weights, level - mean @ weights))
    return maps


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
    varies = features.std(axis=0) > 1e-12 * (np.abs(mean) + 1e-300)
    found = solve_ridge(Moments.of((features - mean) * varies, target - level), penalties)
    return [LinearMap(m.weights, level + m.intercept - mean @ m.weights) for m in found]


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
    features : array
        Finite throughout.
    target : array
        NaN where not measured; the map of a target that never was is NaN.
    folds : sequence of (train, test)
        Which samples to learn from and which to score on; a fold without either does not count.
    penalties : sequence of float
        See `fit_ridge`. Without a usable fold the middle one is taken.
    """
    weights = np.full((features.shape[1], target.shape[1]), np.nan)
    intercept, chosen = np.full((2, target.shape[1]), np.nan)
    for known, columns in measured_together(target):
        some = target[np.ix_(known, columns)]
        inner = [(train[known], test[known]) for train, test in folds]
        error = np.zeros((len(penalties), columns.size))
        for train, test in inner:
            if train.sum() > 2 and test.any():
                for i, fitted in enumerate(fit_ridge(features[known][train], some[train], penalties)):
                    error[i] += np.sum((fitted.predict(features[known][test]) - some[test]) ** 2, axis=0)
        best = least(error)
        fitted = take_best(fit_ridge(features[known], some, penalties), best)
        weights[:, columns], intercept[columns], chosen[columns] = (
            fitted.weights, fitted.intercept, np.asarray(penalties)[best],
        )  # fmt: skip
    return LinearMap(weights, intercept), chosen


def measured_together(
    target: Float[np.ndarray, "time target"],
) -> list[tuple[Bool[np.ndarray, " time"], Int[np.ndarray, " some"]]]:
    """The targets that were measured at the same samples, with those samples; a target never measured is in none."""
    patterns, which = np.unique(np.isfinite(target), axis=1, return_inverse=True)
    together = [(known, np.flatnonzero(which.ravel() == i)) for i, known in enumerate(patterns.T)]
    return [(known, columns) for known, columns in together if known.any()]


def least(error: Float[np.ndarray, "penalty target"]) -> Int[np.ndarray, " target"]:
    """Which penalty errs least for each target; the middle one where no fold gave an error."""
    return error.argmin(axis=0) if error.any() else np.full(error.shape[1], len(error) // 2)


def take_best(maps: Sequence[LinearMap], best: Int[np.ndarray, " target"]) -> LinearMap:
    """Of each target the map of its own penalty."""
    weights = np.stack([maps[b].weights[:, i] for i, b in enumerate(best)], axis=1)
    return LinearMap(weights, np.array([maps[b].intercept[i] for i, b in enumerate(best)]))


def mean_curve(trials: Float[np.ndarray, "trial *rest"]) -> Float[np.ndarray, "*rest"]:
    """The mean over trials, of what is there: the same curve every time, the simplest of all predictions."""
    known = np.isfinite(trials)
    count = known.sum(axis=0)
    total = np.where(known, trials, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
