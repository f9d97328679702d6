"""What every score stands beside: predictions that know nothing of the trial, and how well the data agree with themselves.

When trials are locked to an event, the average of the other trials often predicts as well as a published network, so
a score without these references says little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from myodrive.errors import SignalError
from myodrive.evaluation import metrics
from myodrive.learning.linear import mean_curve

Cycles = Sequence[tuple[float, float, str]]
N_POINTS = 101  # of a time-normalised cycle


def event_mean(
    values: Float[np.ndarray, "time column"],
    time: Float[np.ndarray, " time"],
    cycles: Cycles,
    train: Bool[np.ndarray, " time"] | None = None,
) -> Float[np.ndarray, "time column"]:
    """The same curve in every cycle: the mean of the training cycles, placed in each cycle by its phase.

    Parameters
    ----------
    values : array (time, column)
        What is to be predicted. Missing samples are NaN; a column's cycle with one of them is not averaged.
    time : array
        In seconds, rising.
    cycles : sequence of (start_s, stop_s, label)
        Without overlap: of one side, `one_label`.
    train : array of bool, optional
        Average only cycles that lie wholly in these samples. Without it each cycle gets the mean of all *others*.

    Returns
    -------
    array (time, column)
        NaN outside the cycles, and where there is no cycle to average.
    """
    predicted = np.full(values.shape, np.nan)
    if not cycles:
        return predicted
    inside = [(time >= start) & (time <= stop) for start, stop, _ in cycles]
    curves = _curves(values, time, cycles)
    whole = np.isfinite(curves).all(axis=1, keepdims=True)  # (cycle, 1, column)
    curves = np.where(whole, curves, np.nan)
    learned = None if train is None else mean_curve(curves[[bool(train[i].all()) for i in inside]])
    for k, (start, stop, _) in enumerate(cycles):
        curve = mean_curve(np.delete(curves, k, axis=0)) if learned is None else learned
        phase = (time[inside[k]] - start) / (stop - start) * (N_POINTS - 1)
        for column in range(values.shape[1]):
            predicted[inside[k], column] = np.interp(phase, np.arange(N_POINTS), curve[:, column])
    return predicted


def others_mean(curves: Float[np.ndarray, "subject point muscle"]) -> Float[np.ndarray, "subject point muscle"]:
    """For each subject the mean curve of all other subjects; NaN where no other subject has one."""
    keep = ~np.eye(len(curves), dtype=bool)
    return np.stack([mean_curve(curves[k]) for k in keep]) if len(curves) else curves


def odd_even_r(cycles: Float[np.ndarray, "cycle point muscle"]) -> Float[np.ndarray, " muscle"]:
    """Reliability: r between the mean of the odd and the mean of the even cycles, whole ones only.

    What a mean curve can be predicted to at best by anything that does not know which cycles went into which half.
    NaN with fewer than two whole cycles in either half.
    """
    result = np.full(cycles.shape[2], np.nan)
    for muscle in range(cycles.shape[2]):
        whole = cycles[np.isfinite(cycles[:, :, muscle]).all(axis=1), :, muscle]
        if len(whole) >= 4:
            result[muscle] = metrics.pearson_r(whole[::2].mean(axis=0), whole[1::2].mean(axis=0))
    return result


def single_trial_r2(
    trials: Float[np.ndarray, "trial point muscle"], predicted: Float[np.ndarray, "trial point muscle"] | None = None
) -> Float[np.ndarray, " muscle"]:
    """R² of single trials, all points of all trials pooled, against the mean over them.

    Without a prediction, of the mean of the other trials: the share of the variance that repeats from trial to trial.
    One minus that is what there is to know of a single trial.
    """
    predicted = others_mean(trials) if predicted is None else predicted
    n = trials.shape[2]
    return np.atleast_1d(metrics.r2(predicted.reshape(-1, n), trials.reshape(-1, n)))


def residual(values: Float[np.ndarray, "time column"], mean: Float[np.ndarray, "time column"]) -> np.ndarray:
    """What is left of a signal after its event mean is taken away: what differs from trial to trial."""
    if values.shape != mean.shape:
        raise SignalError(f"a signal of shape {values.shape} cannot lose an event mean of shape {mean.shape}.")
    return values - mean


def one_label(cycles: Cycles) -> list[tuple[float, float, str]]:
    """The cycles of the label that has most of them, without those that begin before the last one ended."""
    labels = [c[2] for c in cycles]
    most = max(dict.fromkeys(labels), key=labels.count, default="")
    kept: list[tuple[float, float, str]] = []
    for start, stop, label in sorted(cycles):
        if label == most and (not kept or start >= kept[-1][1] - 1e-9):
            kept.append((start, stop, label))
    return kept


def _curves(values: np.ndarray, time: np.ndarray, cycles: Cycles) -> np.ndarray:
    """The cycles (cycle, point, column); NaN where one reaches beyond the samples or into a gap."""
    instants = np.concatenate([np.linspace(start, stop, N_POINTS) for start, stop, _ in cycles])
    step = np.median(np.diff(time)) if time.size > 1 else 0.0
    known = (instants >= time[0] - step) & (instants <= time[-1] + step)  # a cycle may end between two samples
    columns = [np.where(known, np.interp(instants, time, c), np.nan) for c in values.T]
    return np.stack(columns, axis=1).reshape(len(cycles), N_POINTS, values.shape[1])
