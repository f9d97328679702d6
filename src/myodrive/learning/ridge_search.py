"""Lagged ridge regressions on any choice of taps and features, all of them from sums that are taken once."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence
from functools import reduce

import numpy as np
from jaxtyping import Float, Int

from myodrive.learning.linear import (
    LinearMap,
    Moments,
    hold_at_lag,
    least,
    measured_together,
    solve_ridge,
    take_best,
)

Sides = tuple[int, ...]  # of a sample, one for each fold


@dataclasses.dataclass(frozen=True)
class Trial:
    """One stretch of data; `side` says for each fold whether a sample is learned from (1), scored on (−1) or neither."""

    inputs: Float[np.ndarray, "time feature"]  # finite, of about unit spread
    targets: Float[np.ndarray, "time target"]  # NaN where not measured
    side: Int[np.ndarray, "time fold"]


@dataclasses.dataclass(frozen=True)
class Tried:
    """Ridge regressions on some of the taps: of each target the penalty that errs least on held-out folds."""

    taps: Int[np.ndarray, " tap"]
    penalty: Int[np.ndarray, " target"]  # which of the penalties
    left: float  # the share of the variance that is left on held-out folds, mean over targets
    maps: list[LinearMap]  # learned without each fold


class RidgeSearch:
    """Sums over trials for ridge regressions on lagged inputs.

    A tap is one input at one lag, number ``lag · n_feature + feature``.

    Parameters
    ----------
    trials : sequence of Trial
    lags : sequence of int
        In samples, as of `hold_at_lag`.
    step : int
        Every so many samples are learned from and scored on; all of them are read by the taps.
    penalties : sequence of float
        See `fit_ridge`.
    """

    def __init__(self, trials: Sequence[Trial], lags: Sequence[int], step: int, penalties: Sequence[float]) -> None:
        self.trials, self.lags, self.step, self.penalties = trials, lags, step, penalties
        self.n_fold = trials[0].side.shape[1]
        targets = np.concatenate([t.targets[self._rows(t)] for t in trials])
        self.n_target = targets.shape[1]
        # (targets measured at the same samples, sums of all samples on the same sides)
        self.sums = [(columns, self._sums(columns)) for _, columns in measured_together(targets)]

    def attempt(self, taps: Int[np.ndarray, " tap"]) -> Tried:
        """Learn without each fold, and score there; without a usable fold the middle penalty is taken."""
        error = np.zeros((len(self.penalties), self.n_target))
        variance = np.full(self.n_target, np.nan)
        found: list[list[tuple[np.ndarray, list[LinearMap]]]] = [[] for _ in range(self.n_fold)]
        for columns, sums in self.sums:
            parts = {side: moments.of_features(taps) for side, moments in sums.items()}
            total = reduce(operator.add, parts.values())
            variance[columns] = total.squares - total.target**2 / total.n
            for fold in range(self.n_fold):
                train, test = (_sum([m for side, m in parts.items() if side[fold] == which]) for which in (1, -1))
                if train is None or test is None or train.n < 3:
                    continue
                maps = solve_ridge(train, self.penalties)
                error[:, columns] += [test.squared_error(fitted) for fitted in maps]
                found[fold].append((columns, maps))
        best = least(error)
        left = float(np.nanmean(error[best, np.arange(self.n_target)] / variance))
        return Tried(taps, best, left, [self._joined(pairs, best, taps.size) for pairs in found])

    def fit(self, tried: Tried) -> LinearMap:
        """Learn from all samples."""
        pairs = [
            (columns, solve_ridge(reduce(operator.add, sums.values()).of_features(tried.taps), self.penalties))
            for columns, sums in self.sums
        ]
        return self._joined(pairs, tried.penalty, tried.taps.size)

    def held_out(self, tried: Tried) -> tuple[Float[np.ndarray, "row target"], Float[np.ndarray, "row target"]]:
        """What was measured where a fold scores, and what is estimated there without it."""
        measured, estimated = [], []
        for trial in self.trials:
            taps = self._taps(trial)[:, tried.taps]
            for fold, fitted in enumerate(tried.maps):
                rows = trial.side[self._rows(trial), fold] == -1
                measured.append(trial.targets[self._rows(trial)][rows])
                estimated.append(fitted.predict(taps[rows]))
        return np.concatenate(measured), np.concatenate(estimated)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _rows(self, trial: Trial) -> slice:
        return slice(self.step // 2 if len(trial.inputs) > self.step else 0, None, self.step)

    def _taps(self, trial: Trial) -> Float[np.ndarray, "row tap"]:
        return np.concatenate([hold_at_lag(trial.inputs, lag)[self._rows(trial)] for lag in self.lags], axis=1)

    def _sums(self, columns: Int[np.ndarray, " some"]) -> dict[Sides, Moments]:
        """Of the samples that stand on the same side in every fold, so that each product is taken once."""
        found: dict[Sides, Moments] = {}
        for trial in self.trials:
            targets, side = trial.targets[self._rows(trial)][:, columns], trial.side[self._rows(trial)]
            known = np.isfinite(targets).all(axis=1)
            taps = self._taps(trial) if known.any() else np.empty((0, 0))
            for kind in np.unique(side[known], axis=0):
                rows = known & (side == kind).all(axis=1)
                key, moments = tuple(kind.tolist()), Moments.of(taps[rows], targets[rows])
                found[key] = found[key] + moments if key in found else moments
        return found

    def _joined(self, pairs: Sequence[tuple[np.ndarray, list[LinearMap]]], best: np.ndarray, n_tap: int) -> LinearMap:
        """Of each target the map of its penalty; NaN for one that was not learned."""
        joined = LinearMap(np.full((n_tap, self.n_target), np.nan), np.full(self.n_target, np.nan))
        for columns, maps in pairs:
            fitted = take_best(maps, best[columns])
            joined.weights[:, columns], joined.intercept[columns] = fitted.weights, fitted.intercept
        return joined


def _sum(moments: Sequence[Moments]) -> Moments | None:
    return reduce(operator.add, moments) if moments else None
