"""How an estimate is scored against a known activation: one rule for every method.

Both are put on a clock of 100 Hz. A monotone calibration for each muscle is fitted on the first half of the recording;
the second half is scored. Without it the units would decide: an EMG's amplitude is not an activation, and the relation
between them is curved. With it nothing can be gained in the second half that was not there in the first. Bounds of an interval go
through the same curve, and on in proportion beyond its ends.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from jaxtyping import Float

from myodrive.activation import Activation
from myodrive.errors import SignalError
from myodrive.evaluation import metrics
from myodrive.recording import Recording
from myodrive.trials import to_clock

SCORING_HZ = 100.0
MAX_LAG_S = 0.25


@dataclasses.dataclass(frozen=True)
class TruthScore:
    """The means over muscles of one method on one recording; `coverage` is NaN without intervals."""

    r2: float  # against the mean of the truth in the first half
    nrmse: float  # relative to the range of the truth
    lag_s: float  # positive: the estimate comes late
    coverage: float
    width: float  # of the interval, in units of the activation
    r2_worst: float  # of the muscles
    coverage_q1: float = float("nan")  # where a muscle's true activation is in its lowest quarter
    coverage_q2: float = float("nan")
    coverage_q3: float = float("nan")
    coverage_q4: float = float("nan")


def score_against_truth(estimate: Activation, recording: Recording) -> TruthScore:
    """Score one estimate of a simulated recording.

    Raises
    ------
    SignalError
        If the recording has no true activation, or the estimate is nowhere finite in one of the halves.
    """
    truth = recording["activation"]
    clock = np.arange(0, float(truth.time[-1]), 1 / SCORING_HZ)
    true = to_clock(truth.values, truth.time.values, clock)

    def placed(name: str) -> Float[np.ndarray, "time muscle"]:
        values = estimate.dataset[name].where(estimate.valid).sel(muscle=truth.muscle.values)
        return to_clock(values.values, values.time.values, clock)

    return score_arrays(placed("activation"), true, placed("lower"), placed("upper"))


def score_arrays(
    estimate: Float[np.ndarray, "time muscle"],
    truth: Float[np.ndarray, "time muscle"],
    lower: Float[np.ndarray, "time muscle"],
    upper: Float[np.ndarray, "time muscle"],
) -> TruthScore:
    """The same on arrays that share a clock of 100 Hz; `lower` and `upper` are NaN where there is no interval."""
    half = len(truth) // 2
    first, second = slice(None, half), slice(half, None)
    for part, name in ((first, "first"), (second, "second")):
        if not (np.isfinite(estimate[part]) & np.isfinite(truth[part])).any():
            raise SignalError(f"the estimate is nowhere finite in the {name} half of the recording.")
    calibration = metrics.MonotoneCalibration.fit(estimate[first], truth[first])
    calibrated = calibration.apply(estimate[second])
    below, above = (calibration.apply_to_bound(values[second]) for values in (lower, upper))
    actual = truth[second]
    r2 = metrics.r2(calibrated, actual, training_mean=truth[first].mean(axis=0))
    return TruthScore(
        r2=_mean(r2),
        nrmse=_mean(metrics.nrmse(calibrated, actual)),
        lag_s=_mean(metrics.lag_s(calibrated, actual, SCORING_HZ, MAX_LAG_S)),
        coverage=_mean(metrics.coverage(below, above, actual)),
        width=_mean(metrics.interval_width(below, above)),
        r2_worst=float(np.min(r2)) if np.isfinite(r2).all() else float("nan"),
        **{f"coverage_q{i + 1}": c for i, c in enumerate(coverage_of_quarters(below, above, actual))},
    )


def coverage_of_quarters(
    lower: Float[np.ndarray, "time muscle"],
    upper: Float[np.ndarray, "time muscle"],
    truth: Float[np.ndarray, "time muscle"],
) -> list[float]:
    """Coverage where each muscle's truth lies between its own quartiles, the lowest quarter first; means over muscles.

    An interval that covers as a whole may still miss whenever a muscle is quiet, or whenever it is strong.
    """
    edges = np.nanquantile(truth, [0, 0.25, 0.5, 0.75, 1], axis=0)
    inside = [(low <= truth) & (truth <= high) for low, high in itertools.pairwise(edges)]
    return [_mean(metrics.coverage(np.where(i, lower, np.nan), upper, truth)) for i in inside]


def _mean(values: np.ndarray) -> float:
    """Mean over the muscles that have the metric; NaN if none has."""
    finite = np.isfinite(values)
    return float(np.mean(values[finite])) if finite.any() else float("nan")
