"""Decoding: how much of a movement or a force a linear read-out of the activations predicts, beside its references.

The protocol of Wimalasena et al. 2022 (10.1088/1741-2552/ac6369: ridge, contiguous folds, best lag of a sweep) with
what it leaves open closed: the lag and the penalty are chosen inside the training folds, blocks are kept apart by a
gap, and the event mean and the single-trial residual always stand beside the score.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from myodrive.errors import OptionError, SignalError
from myodrive.evaluation import metrics
from myodrive.evaluation.references import Cycles, event_mean, residual
from myodrive.learning.linear import at_lag, fit_ridge
from myodrive.learning.time_blocks import TimeBlocks

LAGS_S = tuple(np.round(np.arange(-0.1, 0.301, 0.02), 3).tolist())  # EMG leads force by 30–120 ms, and angles by more
PENALTIES = tuple(10.0 ** np.arange(-5.0, 1.0))  # of standardised features, per sample
N_INNER = 4


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How well each target was decoded. All scores are of held-out samples, pooled over the folds.

    `r2` is against the mean of the training samples, so that predicting that mean scores 0. `event_mean_r2` is of the
    average training cycle, on the samples that lie in a cycle. `residual_r2` is of a decoder of the same kind for
    what is left of the target after its event mean, from what is left of the features after theirs, against zero:
    what is known of the single trial. Both are NaN where no fold has whole cycles to learn them from.
    """

    r2: Float[np.ndarray, " target"]
    r: Float[np.ndarray, " target"]
    event_mean_r2: Float[np.ndarray, " target"]
    residual_r2: Float[np.ndarray, " target"]
    lag_s: Float[np.ndarray, "fold target"]  # by which the target follows the features, chosen on training samples
    penalty: Float[np.ndarray, "fold target"]  # chosen on training samples
    candidate: Int[np.ndarray, "fold target"]  # of the features, chosen on training samples
    lags_s: Float[np.ndarray, " lag"]
    lag_curve: Float[np.ndarray, "lag target"]  # R² within the training samples at each lag, mean over the folds
    prediction: Float[np.ndarray, "time target"]  # held out; NaN where something is missing
    n_scored: int


def decode(
    features: Float[np.ndarray, "time feature"] | Sequence[Float[np.ndarray, "time _"]],
    target: Float[np.ndarray, "time target"],
    time: Float[np.ndarray, " time"],
    *,
    cycles: Cycles = (),
    lags_s: Sequence[float] = LAGS_S,
    penalties: Sequence[float] = PENALTIES,
    n_folds: int = 5,
    gap_s: float = 0.5,
) -> Decoding:
    """Predict targets from features by ridge regression, each block of time from the others.

    Nothing is fitted on what is scored: standardisation, lag, penalty, weights and event means come from the training
    samples of each fold, lag and penalty by an inner split of them into contiguous blocks.

    Parameters
    ----------
    features, target : array
        On one uniform clock. A sample with anything missing is neither learned from nor scored. Several arrays of
        features, such as one filter's estimates at different cut-offs, are candidates: chosen from as the lag is.
    time : array
        In seconds.
    cycles : sequence of (start_s, stop_s, label)
        Of one side, without overlap; for the event mean and the residual.
    lags_s : sequence of float
        By how much the target may follow the features; rounded to whole samples.
    penalties : sequence of float
        See `learning.linear.fit_ridge`.
    n_folds : int
    gap_s : float
        Between training and test samples, besides the longest lag.

    Raises
    ------
    SignalError
        If too little is there to learn from, or the blocks and gaps do not fit into the recording.
    """
    candidates = [features] if isinstance(features, np.ndarray) else list(features)
    step = float(np.median(np.diff(time))) if time.size > 1 else 1.0
    shifts = np.unique(np.round(np.asarray(lags_s) / step).astype(int))
    blocks = TimeBlocks(n_folds, gap_s + float(np.abs(shifts).max()) * step)
    inner = TimeBlocks(N_INNER, blocks.gap_s)
    shape = (n_folds, target.shape[1])
    prediction, level = np.full(target.shape, np.nan), np.full(target.shape, np.nan)
    mean, remainder, left = (np.full(target.shape, np.nan) for _ in range(3))
    lag, penalty, candidate, curves = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=int), []
    try:
        folds = [(train, test, inner.split(time[train])) for train, test in blocks.split(time)]
    except OptionError as error:
        raise SignalError(
            f"{step * time.size:.3g} s are too short to hold out {n_folds} blocks in turn with gaps of {blocks.gap_s:g} s."
        ) from error
    for k, (train, test, within) in enumerate(folds):
        chosen = _fit_predict(candidates, target, train, test, shifts, penalties, within)
        prediction[test] = chosen.prediction
        lag[k], penalty[k], candidate[k] = chosen.lag * step, chosen.penalty, chosen.candidate
        curves.append(chosen.curve)
        level[test] = _training_mean(target, train)
        if cycles:
            typical = event_mean(target, time, cycles, train)
            mean[test] = typical[test]
            y = residual(target, typical)
            x = [residual(one, event_mean(one, time, cycles, train)) for one in candidates]
            try:
                remainder[test] = _fit_predict(x, y, train, test, shifts, penalties, within).prediction
                left[test] = y[test]
            except SignalError:
                continue  # too few cycles in this fold: it has no part in the residual score
    scored = np.isfinite(prediction) & np.isfinite(target)
    return Decoding(
        r2=_skill(prediction, target, level),
        r=np.atleast_1d(metrics.pearson_r(prediction, target)),
        event_mean_r2=_skill(mean, target, level),
        residual_r2=_skill(remainder, left, np.zeros_like(left)),
        lag_s=lag,
        penalty=penalty,
        candidate=candidate,
        lags_s=shifts * step,
        lag_curve=np.mean(curves, axis=0),
        prediction=prediction,
        n_scored=int(scored.any(axis=1).sum()),
    )


@dataclasses.dataclass(frozen=True)
class _Fitted:
    prediction: np.ndarray  # (test sample, target)
    lag: np.ndarray  # (target,) in samples
    penalty: np.ndarray  # (target,)
    candidate: np.ndarray  # (target,)
    curve: np.ndarray  # (lag, target)


def _fit_predict(
    candidates: list[np.ndarray],
    target: np.ndarray,
    train: Bool[np.ndarray, " time"],
    test: Bool[np.ndarray, " time"],
    shifts: np.ndarray,
    penalties: Sequence[float],
    within: list[tuple[np.ndarray, np.ndarray]],  # the inner folds, as masks of the training samples
) -> _Fitted:
    """Choose features, lag and penalty of each target within the training samples, learn from all, predict the test."""
    place = np.flatnonzero(train)
    inside = np.array(
        [[_inner_r2(at_lag(x, s), target, place, within, penalties) for s in shifts.tolist()] for x in candidates]
    )  # (candidate, lag, penalty, target)
    if not np.isfinite(inside).all():
        raise SignalError("too little of features and target is there together to learn from.")
    best = np.array(np.unravel_index(inside.reshape(-1, target.shape[1]).argmax(axis=0), inside.shape[:3]))
    prediction = np.full((int(test.sum()), target.shape[1]), np.nan)
    for i, j in np.unique(best[:2], axis=1).T:
        moved = at_lag(candidates[i], int(shifts[j]))
        rows = train & _complete(moved, target)
        maps = fit_ridge(moved[rows], target[rows], penalties)
        for column in np.flatnonzero((best[0] == i) & (best[1] == j)):
            chosen = maps[best[2, column]]
            prediction[:, column] = moved[test] @ chosen.weights[:, column] + chosen.intercept[column]
    return _Fitted(prediction, shifts[best[1]], np.asarray(penalties)[best[2]], best[0], inside.max(axis=(0, 2)))


def _inner_r2(
    features: np.ndarray, target: np.ndarray, place: np.ndarray, within: list, penalties: Sequence[float]
) -> np.ndarray:
    """R² of each penalty and target (penalty, target), pooled over the inner blocks; NaN where too little is there."""
    complete = _complete(features, target)
    error, spread = np.zeros((len(penalties), target.shape[1])), np.zeros(target.shape[1])
    for inner_train, inner_test in within:
        train, test = (place[side][complete[place[side]]] for side in (inner_train, inner_test))
        if train.size < features.shape[1] + 3:
            continue
        level = target[train].mean(axis=0)
        wanted = target[test] - level
        power = np.sum(wanted**2, axis=0)
        spread += power
        given = np.column_stack([features[test], np.ones(test.size)])
        gram, cross = given.T @ given, given.T @ wanted  # the sums of squares of all predictions follow from these
        for i, m in enumerate(fit_ridge(features[train], target[train], penalties)):
            weights = np.vstack([m.weights, m.intercept - level])
            error[i] += power + np.sum(weights * (gram @ weights - 2 * cross), axis=0)
    return np.where(spread > 0, 1.0 - error / np.where(spread > 0, spread, 1.0), np.nan)


def _complete(features: np.ndarray, target: np.ndarray) -> Bool[np.ndarray, " time"]:
    return np.isfinite(features).all(axis=1) & np.isfinite(target).all(axis=1)


def _training_mean(target: np.ndarray, train: np.ndarray) -> np.ndarray:
    known = target[train]
    return np.array([c[np.isfinite(c)].mean() if np.isfinite(c).any() else np.nan for c in known.T])


def _skill(prediction: np.ndarray, target: np.ndarray, reference: np.ndarray) -> Float[np.ndarray, " target"]:
    """1 − Σ(target − prediction)² / Σ(target − reference)² over the samples that have all three."""
    known = np.isfinite(prediction) & np.isfinite(target) & np.isfinite(reference)
    error = np.where(known, (target - prediction) ** 2, 0.0).sum(axis=0)
    spread = np.where(known, (target - reference) ** 2, 0.0).sum(axis=0)
    fine = (known.sum(axis=0) > 1) & (spread > 0)
    return np.where(fine, 1.0 - error / np.where(fine, spread, 1.0), np.nan)
