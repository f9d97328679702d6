"""How close an estimate is to the truth: every metric with its definition, as pure functions on arrays.

All take the estimate first and the truth second, as arrays (time,) or (time, muscle), and give one number per muscle
(a plain number for (time,)). A sample counts where both are finite; with fewer than
two such samples the metric is NaN. A truth that does not vary has no correlation and no explained variance: NaN,
never 0. Nothing is shifted, scaled or centred unless the definition says so.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import special

from myodrive.errors import SignalError

Array = np.ndarray
PerMuscle = Any  # an array (muscle,), or one number for arrays (time,)


def pearson_r(estimate: Array, truth: Array) -> PerMuscle:
    """Pearson's correlation at zero lag: blind to gain and offset."""
    estimate, truth = _paired(estimate, truth)
    e, t = estimate - _mean(estimate), truth - _mean(truth)
    return _ratio(_mean(e * t), np.sqrt(_varying(e, estimate) * _varying(t, truth)))


def r2(estimate: Array, truth: Array, training_mean: Any = None) -> PerMuscle:
    """R² = 1 − Σ(truth − estimate)² / Σ(truth − training_mean)², which falls below 0 for what is worse than that mean.

    `training_mean` (one number, or one per muscle) is what somebody without a model would predict: the mean of the
    *training* data. Without one it is the mean of the truth itself, the usual definition.
    """
    estimate, truth = _paired(estimate, truth)
    mean = _mean(truth) if training_mean is None else np.asarray(training_mean, dtype=np.float64)
    return _ratio_below_one(_mean((truth - estimate) ** 2), _varying(truth - mean, truth))


def vaf(estimate: Array, truth: Array, *, centred: bool = False) -> PerMuscle:
    """Variance accounted for, in either of its two definitions.

    Not centred (the custom with synergies): 1 − Σ(truth − estimate)² / Σ truth². Centred (the custom with joint
    torque): 1 − var(truth − estimate) / var(truth), which forgives a constant offset.
    """
    estimate, truth = _paired(estimate, truth)
    error = truth - estimate
    if centred:
        error = error - _mean(error)
        return _ratio_below_one(_mean(error**2), _varying(truth - _mean(truth), truth))
    return _ratio_below_one(_mean(error**2), _mean(truth**2))


def rmse(estimate: Array, truth: Array) -> PerMuscle:
    """Root mean square error, in the unit of the truth."""
    estimate, truth = _paired(estimate, truth)
    return np.sqrt(_mean((truth - estimate) ** 2))


def nrmse(estimate: Array, truth: Array) -> PerMuscle:
    """Root mean square error divided by the range of the truth (maximum − minimum over the samples that count)."""
    return _ratio(rmse(estimate, truth), _range(_paired(estimate, truth)[1]))


def mae(estimate: Array, truth: Array) -> PerMuscle:
    """Mean absolute error, in the unit of the truth."""
    estimate, truth = _paired(estimate, truth)
    return _mean(np.abs(truth - estimate))


def peak_error(estimate: Array, truth: Array) -> PerMuscle:
    """Signed error of the highest value, relative to the truth's: (max estimate − max truth) / max truth.

    Negative where the peak is under-estimated. The two maxima may lie at different instants.
    """
    estimate, truth = _paired(estimate, truth)
    highest = _max(truth)
    return _ratio(_max(estimate) - highest, np.abs(highest))


def lagged_r(
    estimate: Array, truth: Array, rate_hz: float, max_lag_s: float = 0.1
) -> tuple[Float[np.ndarray, " lag"], Float[np.ndarray, "lag *muscle"]]:
    """Pearson's r for every whole-sample lag within ±`max_lag_s`: the lags in seconds, and r (lag, muscle).

    At a positive lag the estimate comes late: its sample at time t + lag is held against the truth at t. Each r is of
    the overlap alone.
    """
    estimate, truth = _paired(estimate, truth)
    n_time = len(truth)
    furthest = min(round(max_lag_s * rate_hz), max(n_time - 3, 0))
    shifts = np.arange(-furthest, furthest + 1)
    rows = []
    for late in shifts.tolist():
        e = estimate[max(late, 0) : n_time + min(late, 0)]
        rows.append(pearson_r(e, truth[max(-late, 0) : n_time - max(late, 0)]))
    return shifts / rate_hz, np.stack(rows)


def lag_s(estimate: Array, truth: Array, rate_hz: float, max_lag_s: float = 0.1) -> PerMuscle:
    """By how many seconds the estimate comes late: the lag of the highest r within ±`max_lag_s`, to a part of a sample.

    The peak is refined by a parabola through its neighbours. A value at the bound means that the best lag may lie
    beyond it. NaN where r is not defined.
    """
    lags, r = lagged_r(estimate, truth, rate_hz, max_lag_s)
    columns = r.reshape(len(lags), -1)
    found = np.array([_peak_place(column) for column in columns.T])
    return (lags[0] + found.reshape(r.shape[1:]) / rate_hz)[()]


def zero_line_score(estimate: Array, truth: Array) -> float:
    """Zero-line score: Zs = 100 · (1 − MSE / mean square of the truth), pooled over all muscles.

    The error relative to that of predicting zero throughout, so for an envelope it is never below 100 · R² of the
    pooled data. The form follows from Table 6 of Schmidt et al. 2023 (10.1186/s12938-023-01116-9); that its constant
    is the mean square of the truth is our reading.
    """
    estimate, truth = _paired(estimate, truth)
    return float(100.0 * _ratio_below_one(_mean((truth - estimate).ravel() ** 2), _mean(truth.ravel() ** 2)))


def gamma_bits_per_sample(
    observed: Array, shape: PerMuscle, rate: PerMuscle, *, null_from: Array | None = None, floor: float = 1e-3
) -> PerMuscle:
    """Log-likelihood of held-out rectified EMG under gamma densities, in bits per sample above a mean-rate null.

    mean over samples of [log₂ Gamma(x; shape, rate) − log₂ Gamma(x; null)], where the null is one gamma density for
    all samples of the muscle, its two parameters by maximum likelihood. The measure of co-smoothing for EMG: 0 for an
    estimate that knows no more than the muscle's overall distribution.

    Parameters
    ----------
    observed : array (time,) or (time, muscle)
        Rectified EMG that took no part in the estimate. Values below `floor` count as `floor`: rectified EMG has
        exact zeros, where a gamma density is zero or infinite.
    shape, rate : array
        The predicted density of each sample, of the shape of `observed` or such that it broadcasts; mean = shape/rate.
    null_from : array, optional
        The training samples that the null is fitted on; by default `observed` itself, which favours the null.
    floor : float
        In the unit of `observed`; the default is meant for EMG divided by its 95th percentile.
    """
    observed = np.asarray(observed, dtype=np.float64)
    shape, rate = np.broadcast_to(shape, observed.shape), np.broadcast_to(rate, observed.shape)
    x = np.maximum(observed, floor)
    null = fit_gamma(np.maximum(observed if null_from is None else null_from, floor))
    gain = gamma_log_density(x, shape, rate) - gamma_log_density(x, *null)
    return _mean(gain) / np.log(2.0)


def gamma_log_density(x: Array, shape: PerMuscle, rate: PerMuscle) -> Array:
    """log Gamma(x; shape, rate) = shape·log rate − log Γ(shape) + (shape − 1)·log x − rate·x, in nats."""
    return shape * np.log(rate) - special.gammaln(shape) + (shape - 1.0) * np.log(x) - rate * x


def fit_gamma(x: Array) -> tuple[PerMuscle, PerMuscle]:
    """Shape and rate of the gamma density that makes positive samples most likely, for each muscle.

    Newton steps on log shape − ψ(shape) = log mean − mean log, from Minka's start (Estimating a Gamma distribution,
    2002); NaN samples are left out.
    """
    x = np.asarray(x, dtype=np.float64)
    mean, gap = _mean(x), np.log(_mean(x)) - _mean(np.log(x))
    gap = np.maximum(gap, 1e-9)  # 0 for constant samples, whose shape would be infinite
    shape = (3.0 - gap + np.sqrt((gap - 3.0) ** 2 + 24.0 * gap)) / (12.0 * gap)
    for _ in range(8):
        slope = 1.0 / shape - special.polygamma(1, shape)
        shape = 1.0 / (1.0 / shape + (np.log(shape) - special.digamma(shape) - gap) / (shape**2 * slope))
    return shape, shape / mean


def coverage(lower: Array, upper: Array, truth: Array) -> PerMuscle:
    """Share of the samples with an interval and a truth for which lower ≤ truth ≤ upper."""
    lower, upper, truth = _same_shape(lower, upper, truth)
    known = np.isfinite(lower) & np.isfinite(upper) & np.isfinite(truth)
    return _mean(np.where(known, ((lower <= truth) & (truth <= upper)).astype(np.float64), np.nan))


def interval_width(lower: Array, upper: Array) -> PerMuscle:
    """Mean of upper − lower, in the unit of the estimate."""
    lower, upper = _same_shape(lower, upper)
    return _mean(upper - lower)


def coherence(
    first: Float[np.ndarray, " time"], second: Float[np.ndarray, " time"], rate_hz: float, segment_s: float = 1.0
) -> tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, " frequency"], float]:
    """Magnitude-squared coherence |S₁₂|² / (S₁₁·S₂₂) over Hann segments that overlap by half.

    Segments with a missing sample are left out, so nothing crosses a gap. NaN with fewer than two segments.

    Returns
    -------
    frequency : array
        In Hz.
    coherence : array
    level : float
        The value that unrelated noise exceeds at a given frequency with probability .05: 1 − .05^(1/(n − 1)) for n
        segments, where overlapping Hann segments count as 1/1.06 of as many that do not overlap (Welch 1967).
    """
    first, second = _same_shape(first, second)
    size = max(2, round(segment_s * rate_hz))
    frequency = np.fft.rfftfreq(size, 1.0 / rate_hz)
    if len(first) < size:
        return frequency, np.full(frequency.size, np.nan), float("nan")
    frames = np.lib.stride_tricks.sliding_window_view(np.stack([first, second]), size, axis=1)[:, :: size // 2]
    frames = frames[:, np.isfinite(frames).all(axis=(0, 2))]
    n_segment = frames.shape[1]
    if n_segment < 2:
        return frequency, np.full(frequency.size, np.nan), float("nan")
    spectra = np.fft.rfft((frames - frames.mean(axis=2, keepdims=True)) * np.hanning(size), axis=2)
    cross = np.mean(spectra[0] * np.conj(spectra[1]), axis=0)
    power = np.mean(np.abs(spectra) ** 2, axis=1)
    value = _ratio(np.abs(cross) ** 2, power[0] * power[1])
    return frequency, value, float(1.0 - 0.05 ** (1.0 / max(n_segment / 1.06 - 1.0, 1e-9)))


@dataclasses.dataclass(frozen=True)
class MonotoneCalibration:
    """A rising curve for each muscle that takes an estimate to the unit of the truth: isotonic regression.

    Fit it on one half of a recording and score on the other. Beyond the values that it has seen it stays constant.
    """

    # (estimate, truth) per muscle; each has as many knots as its curve needs
    knots: tuple[tuple[Float[np.ndarray, " _knot"], Float[np.ndarray, " _knot"]], ...]

    @classmethod
    def fit(
        cls, estimate: Float[np.ndarray, "time muscle"], truth: Float[np.ndarray, "time muscle"]
    ) -> MonotoneCalibration:
        """Learn from arrays (time, muscle); a muscle with fewer than two finite pairs maps to NaN."""
        from sklearn.isotonic import IsotonicRegression

        estimate, truth = _paired(estimate, truth)
        knots = []
        for e, t in zip(estimate.T, truth.T):
            known = np.isfinite(e)
            if known.sum() < 2:
                knots.append((np.zeros(1), np.full(1, np.nan)))
                continue
            fitted = IsotonicRegression(increasing=True, out_of_bounds="clip").fit(e[known], t[known])
            knots.append((fitted.X_thresholds_.astype(np.float64), fitted.y_thresholds_.astype(np.float64)))
        return cls(tuple(knots))

    def apply(self, estimate: Float[np.ndarray, "time muscle"]) -> Float[np.ndarray, "time muscle"]:
        """The calibrated estimate; NaN stays NaN."""
        return np.stack([np.interp(e, x, y) for e, (x, y) in zip(np.asarray(estimate, float).T, self.knots)], axis=1)

    def apply_to_bound(self, bound: Float[np.ndarray, "time muscle"]) -> Float[np.ndarray, "time muscle"]:
        """The same for a bound of an interval, which goes on in proportion beyond the estimates that the curve has seen.

        Held at the ends of the curve, no interval however wide could reach an activation beyond those of the first half.
        """
        curves = []
        for b, e, (x, _) in zip(np.asarray(bound, float).T, self.apply(bound).T, self.knots):
            end = np.clip(b, x[0], x[-1])
            curves.append(np.where((b != end) & (end > 0), e * b / np.where(end > 0, end, 1.0), e))
        return np.stack(curves, axis=1)


def _same_shape(*arrays: Array) -> list[Array]:
    given = [np.asarray(a, dtype=np.float64) for a in arrays]
    if given[0].ndim not in (1, 2) or any(a.shape != given[0].shape for a in given):
        raise SignalError(
            f"what is compared must have the same shape, (time,) or (time, muscle), not {[a.shape for a in given]}.",
            remedy="Put both on one clock first: conditioning.kinematics.resample_to.",
        )
    return given


def _paired(estimate: Array, truth: Array) -> list[Array]:
    """Both, with NaN wherever either is not finite."""
    estimate, truth = _same_shape(estimate, truth)
    both = np.isfinite(estimate) & np.isfinite(truth)
    return [np.where(both, estimate, np.nan), np.where(both, truth, np.nan)]


def _mean(x: Array) -> Any:
    """Mean over time of what is finite; NaN with fewer than two samples."""
    known = np.isfinite(x)
    count = known.sum(axis=0)
    return np.where(count > 1, np.where(known, x, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)[()]


def _max(x: Array) -> Any:
    known = np.isfinite(x)
    highest = np.where(known, x, -np.inf).max(axis=0, initial=-np.inf)
    return np.where(known.sum(axis=0) > 1, highest, np.nan)[()]


def _range(x: Array) -> Any:
    return _max(x) + _max(-x)


def _varying(deviation: Array, values: Array) -> Any:
    """Mean squared deviation; 0 where the values differ by rounding alone."""
    scale = _max(np.abs(values))
    return np.where(_range(values) > 1e-12 * scale, _mean(deviation**2), 0.0)[()]


def _ratio(above: Any, below: Any) -> Any:
    """above / below, NaN where below is not positive."""
    fine = np.asarray(below) > 0
    return np.where(fine, above / np.where(fine, below, 1.0), np.nan)[()]


def _ratio_below_one(error: Any, reference: Any) -> Any:
    return 1.0 - _ratio(error, reference)


def _peak_place(column: Array) -> float:
    """Index of the highest value, to a part of a sample; NaN if there is none."""
    if not np.isfinite(column).any():
        return float("nan")
    i = int(np.nanargmax(column))
    if not 0 < i < len(column) - 1 or not np.isfinite(column[i - 1 : i + 2]).all():
        return float(i)
    before, here, after = column[i - 1 : i + 2]
    bend = before - 2.0 * here + after
    return i + (0.5 * (before - after) / bend if bend < 0 else 0.0)
