"""Linear maps that every route shares: ridge with its penalty as an argument, features at a lag, the mean curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


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


def mean_curve(trials: Float[np.ndarray, "trial *rest"]) -> Float[np.ndarray, "*rest"]:
    """The mean over trials, of what is there: the same curve every time, the simplest of all predictions."""
    known = np.isfinite(trials)
    count = known.sum(axis=0)
    total = np.where(known, trials, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
