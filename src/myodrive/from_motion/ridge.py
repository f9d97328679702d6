"""A linear filter from all features of the movement to each muscle: the reference that a network has to beat."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from pydantic import Field

from myodrive.conditioning.features import derivative_of
from myodrive.estimator import Context, Estimate
from myodrive.from_motion.base import MOTION, MotionConfig, MotionEstimator
from myodrive.learning.linear import hold_at_lag
from myodrive.learning.ridge_search import RidgeSearch, Trial, Tried
from myodrive.paired import Stretch, make_folds

PENALTIES = tuple(10.0 ** np.arange(-4.0, 2.6, 0.5))  # of standardised features, per sample
N_FOLDS = 5  # in which everything is chosen
LEAST_SPREAD = 1e-9  # of a feature that varies at all: derivatives of a constant are rounding errors


class RidgeFIRConfig(MotionConfig):
    """Options of `RidgeFIR`."""

    # Taps to either side, close together only near the instant itself, and how many of them are tried. Half a second is
    # far in a stride and near in an unhurried movement of the hand, where what was and comes tells which movement it is.
    taps_s: tuple[float, ...] = (0.04, 0.08, 0.12, 0.2, 0.3, 0.45, 0.65, 0.9, 1.2, 1.6, 2.1, 2.7)
    reaches_s: tuple[float, ...] = (0.12, 0.3, 0.65, 1.2, 1.6, 2.7)
    learn_hz: float = Field(default=25.0, gt=0)  # of the samples learned from: envelopes hold nothing above 12 Hz
    # What is left out while everything is chosen. "group": people, or trials of one person. "repetition": trials.
    choose_on: Literal["group", "repetition", "movement"] = "group"
    interval_level: float = Field(default=0.9, gt=0, lt=1)


class RidgeFIR(MotionEstimator):
    """Ridge regression from the features at taps within ±reach of each instant to each muscle.

    On folds of the training data are chosen: the reach and the highest derivative, by the mean share of variance over
    muscles that is left, and the penalty of each muscle. The interval is that of the residuals on the same held-out
    folds, one pair of quantiles a muscle.

    References
    ----------
    Hoerl AE, Kennard RW (1970) Technometrics 12:55–67, 10.1080/00401706.1970.10488634.
    """

    method = "ridge-fir"
    Config = RidgeFIRConfig
    config: RidgeFIRConfig
    references = ("Hoerl AE, Kennard RW (1970) Technometrics 12:55-67. doi:10.1080/00401706.1970.10488634",)
    weights_: np.ndarray  # (tap, feature, muscle); 0 for what was not chosen
    intercept_: np.ndarray  # (muscle,)
    penalty_: np.ndarray  # (muscle,)
    error_: np.ndarray  # ([low, high], muscle), quantiles of measured − estimated on held-out folds
    reach_s_: float
    derivatives_: int

    def _fit_stretches(self, stretches: list[Stretch]) -> None:
        inputs = np.concatenate([s.inputs for s in stretches])
        centre, spread = inputs.mean(axis=0), inputs.std(axis=0)
        spread = np.where(spread > LEAST_SPREAD, spread, np.inf)
        folds = make_folds(self._grouped(stretches), N_FOLDS)
        trials = []
        for i, s in enumerate(stretches):
            sides = [f.train[i].astype(np.int8) - f.test[i].astype(np.int8) for f in folds]
            side = np.stack(sides, axis=1) if sides else np.ones((s.time.size, 1), dtype=np.int8)
            trials.append(Trial((s.inputs - centre) / spread, s.targets, side))
        step = max(1, round(self.config.rate_hz / self.config.learn_hz))
        search = RidgeSearch(trials, self._lags(), step, PENALTIES)
        best = self._choose(search)
        fitted = search.fit(best)
        weights = np.zeros((len(self._lags()) * inputs.shape[1], fitted.intercept.size))
        weights[best.taps] = fitted.weights
        self.weights_ = weights.reshape(len(self._lags()), inputs.shape[1], -1) / spread[:, None]
        self.intercept_ = fitted.intercept - np.einsum("tfm,f->m", self.weights_, centre)
        self.penalty_ = np.asarray(PENALTIES)[best.penalty]
        measured, estimated = search.held_out(best)
        tails = 0.5 + 0.5 * self.config.interval_level * np.array([-1.0, 1.0])
        self.error_ = _quantiles(measured - np.maximum(estimated, 0.0), tails)

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        mean = np.tile(self.intercept_, (stretch.time.size, 1))
        for lag, weights in zip(self._lags(), self.weights_):
            if weights.any():
                mean += hold_at_lag(stretch.inputs, lag) @ weights
        mean = np.maximum(mean, 0.0)
        low, high = self.error_
        return Estimate(mean, mean + low, mean + high)  # a person's offset comes before the bounds end at 0

    def context(self) -> Context:
        reach = getattr(self, "reach_s_", max(self.config.reaches_s))
        return Context(left=reach, right=reach)

    def methods_text(self) -> str:
        return (
            f"The features within ±{1e3 * self.reach_s_:g} ms, with their derivatives up to order {self.derivatives_}, were "
            "combined linearly by ridge regression; reach, derivatives and the penalty of each muscle were chosen on folds "
            "of the training data (Hoerl & Kennard 1970)."
        )

    # -- inside ------------------------------------------------------------------------------------------------------

    def _lags(self) -> list[int]:
        one_side = {
            round(tap * self.config.rate_hz) for tap in self.config.taps_s if tap <= max(self.config.reaches_s) + 1e-9
        }
        return sorted({0, *one_side, *(-lag for lag in one_side)})

    def _grouped(self, stretches: list[Stretch]) -> list[Stretch]:
        """With what is left out together as their group."""
        if self.config.choose_on == "group":
            return stretches
        by_movement = self.config.choose_on == "movement"
        return [dataclasses.replace(s, group=s.movement if by_movement else s.trial) for s in stretches]

    def _choose(self, search: RidgeSearch) -> Tried:
        """The best reach with positions and velocities; at it, less or more derivatives for as long as that helps."""
        orders = np.array([derivative_of(label) for label in self.channels_[MOTION]])
        lags_s = np.abs(self._lags()) / self.config.rate_hz
        tried: dict[tuple[float, int], Tried] = {}

        def attempt(reach_s: float, order: int) -> None:
            taps = (lags_s[:, None] <= reach_s + 0.5 / self.config.rate_hz) & (orders <= order)
            tried[reach_s, order] = search.attempt(np.flatnonzero(taps))

        def least_left() -> tuple[float, int]:
            return min(tried, key=lambda key: tried[key].left)

        highest = int(orders.max())
        for reach_s in self.config.reaches_s:
            attempt(reach_s, min(1, highest))
        best_reach = least_left()[0]
        if highest >= 1:
            attempt(best_reach, 0)
        if highest == 2 and least_left()[1] == 1:
            attempt(best_reach, 2)
        self.reach_s_, self.derivatives_ = least_left()
        return tried[self.reach_s_, self.derivatives_]


def _quantiles(errors: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Of each column what is finite: (share, column); NaN where nothing is."""
    known = [e[np.isfinite(e)] for e in errors.T]
    return np.stack([np.quantile(e, shares) if e.size else np.full(shares.size, np.nan) for e in known], axis=1)
