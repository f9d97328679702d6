"""How near estimates come to what is known: sums over the samples of each trial and muscle, and what follows from them.

Sums can be pooled over any trials: R² is of all samples of a muscle together, then averaged over muscles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from myodrive.evaluation.metrics import MonotoneCalibration

Values = Float[np.ndarray, "_time muscle"]  # of one trial; trials are of different lengths
MEASURES = {
    "r2": "R², against the mean of the training data",
    "residual_r2": "R² of what differs from the mean curve of the same person doing the same movement",
    "r": "correlation",
    "mse": "mean squared error",
    "coverage": "share of the samples within the interval",
    "peak_error": "median |difference of the peaks| over the highest value in training",
}
SUMS = (
    "n", "error", "spread", "e", "t", "ee", "tt", "et",
    "n_interval", "n_covered", "error_beside_curve", "error_of_curve", "peak_error",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Yardstick:
    """What scores are relative to: of each muscle the mean and the highest value of the truth in training."""

    mean: Float[np.ndarray, " muscle"]
    highest: Float[np.ndarray, " muscle"]

    @classmethod
    def of(cls, truths: Sequence[Values]) -> Yardstick:
        """Over all samples; NaN for a muscle without any."""
        together = np.concatenate(truths)
        known = np.isfinite(together)
        n = known.sum(axis=0)
        mean = np.where(known, together, 0.0).sum(axis=0) / np.maximum(n, 1)
        highest = np.where(known, together, -np.inf).max(axis=0)
        return cls(np.where(n > 0, mean, np.nan), np.where(n > 0, highest, np.nan))


@dataclasses.dataclass(frozen=True)
class Said:
    """What a method says of one trial."""

    mean: Values
    lower: Values  # NaN for a method without an interval
    upper: Values

    def through(self, curves: MonotoneCalibration) -> Said:
        """In the unit of the truth."""
        return Said(curves.apply(self.mean), curves.apply_to_bound(self.lower), curves.apply_to_bound(self.upper))


def trial_sums(
    said: Said, truth: Values, curve: Values, yardstick: Yardstick
) -> dict[str, Float[np.ndarray, " muscle"]]:
    """Of one trial, for each muscle: the sums from which `measures` makes scores.

    Parameters
    ----------
    curve : array
        The mean curve of the same person's other repetitions of the movement; NaN without any.
    """
    e, t = said.mean, truth
    both = np.isfinite(e) & np.isfinite(t)

    def total(values: np.ndarray, known: np.ndarray = both) -> Float[np.ndarray, " muscle"]:
        return np.where(known, values, 0.0).sum(axis=0)

    def highest(values: np.ndarray) -> Float[np.ndarray, " muscle"]:
        top = np.where(both, values, -np.inf).max(axis=0)
        return np.where(np.isfinite(top), top, np.nan)

    with_interval = both & np.isfinite(said.lower) & np.isfinite(said.upper)
    covered = (said.lower <= t) & (t <= said.upper)
    with_curve = both & np.isfinite(curve)
    peak_error = np.abs(highest(e) - highest(t)) / yardstick.highest
    return {
        "n": total(np.ones(t.shape)),
        "error": total((t - e) ** 2),
        "spread": total((t - yardstick.mean) ** 2),
        "e": total(e),
        "t": total(t),
        "ee": total(e**2),
        "tt": total(t**2),
        "et": total(e * t),
        "n_interval": total(np.ones(t.shape), with_interval),
        "n_covered": total(covered, with_interval),
        "error_beside_curve": total((t - e) ** 2, with_curve),
        "error_of_curve": total((t - curve) ** 2, with_curve),
        "peak_error": np.where(both.any(axis=0), peak_error, np.nan),
    }


def measures(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The `MEASURES` of each group of rows: of each muscle over all its trials together, then the mean over muscles.

    Returns
    -------
    DataFrame
        One row a group, with the columns `by` and the measures; NaN for what cannot be said.
    """
    each = muscle_measures(rows, by)
    return each.groupby(list(by), sort=False)[list(MEASURES)].mean().reset_index()


def muscle_measures(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The same before the mean over muscles: one row for each group and muscle."""
    groups = rows.groupby([*by, "muscle"], sort=False)
    s = groups[[c for c in rows if c in SUMS and c != "peak_error"]].sum()
    n = s["n"].where(s["n"] > 1)
    spread_e, spread_t = (s[f"{c}{c}"] / n - (s[c] / n) ** 2 for c in ("e", "t"))
    product = (spread_e * spread_t).where((spread_e > 1e-12 * s["ee"] / n) & (spread_t > 1e-12 * s["tt"] / n))
    found = pd.DataFrame(
        {
            "r2": 1.0 - s["error"] / s["spread"].where(s["spread"] > 0),
            "residual_r2": 1.0 - s["error_beside_curve"] / s["error_of_curve"].where(s["error_of_curve"] > 0),
            "r": (s["et"] / n - s["e"] * s["t"] / n**2) / np.sqrt(product),
            "mse": s["error"] / n,
            "coverage": s["n_covered"] / s["n_interval"].where(s["n_interval"] > 0),
            "peak_error": groups["peak_error"].median(),
        }
    )
    return found.reset_index()


def other_repetitions(
    curves: Float[np.ndarray, "trial phase muscle"],
) -> Float[np.ndarray, "trial phase muscle"]:
    """For each trial the mean of the others; NaN where there is none."""
    known = np.isfinite(curves)
    total, n = np.where(known, curves, 0.0).sum(axis=0), known.sum(axis=0)
    left = n - known
    return np.where(left > 0, (total - np.where(known, curves, 0.0)) / np.maximum(left, 1), np.nan)


def auroc(inside: Float[np.ndarray, " _trial"], outside: Float[np.ndarray, " _trial"]) -> float:
    """The probability that a trial from outside has a higher score than one from inside, ties half; NaN without either."""
    from scipy.stats import rankdata

    n, m = inside.size, outside.size
    if not n or not m:
        return float("nan")
    ranks = rankdata(np.concatenate([outside, inside]))[:m]
    return float((ranks.sum() - m * (m + 1) / 2) / (n * m))
