"""Plain corrections of simulated activity towards EMG, that a network has to beat: as is, gain, lag, filter, template.

Each learns from all training trials together, its lag and penalty included, and is applied to a new recording that has
no EMG.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field

from myodrive.estimator import Context, Estimate
from myodrive.from_simulation.time_warping import warp
from myodrive.learning.curves import PHASES, cycle_spans, stretched
from myodrive.learning.linear import GainLag, LinearMap, fit_gain_lag, fit_ridge_by_folds, lagged, mean_curve
from myodrive.paired import PairedConfig, PairedEstimator, Stretch, make_folds

PENALTIES = tuple(10.0 ** np.arange(-4.0, 2.6, 0.5))  # of standardised features, per sample
N_FOLDS = 5  # in which the penalty is chosen


class CorrectionConfig(PairedConfig):
    """Options of the corrections that take each muscle's own simulated activity."""

    # Simulated muscles whose mean stands for a measured one: {"hamstrings": ("semimem_r", "bflh_r")}. One that is not
    # named here has the channel of its own name.
    pairs: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 (pydantic copies it)


class Correction(PairedEstimator):
    """Base of the corrections of each muscle by its own simulated activity."""

    Config = CorrectionConfig
    config: CorrectionConfig
    signals: ClassVar[tuple[str, ...]] = ("simulated",)

    def _own(self, stretch: Stretch) -> Float[np.ndarray, "time muscle"]:
        """The simulated activity of each measured muscle; NaN for one that the simulation does not have."""
        labels = self.channels_.get("simulated", [])
        own = np.full(stretch.targets.shape, np.nan)
        for i, muscle in enumerate(self.muscles_):
            wanted = self.config.pairs.get(muscle, (muscle,))
            if set(wanted) <= set(labels):
                own[:, i] = stretch.inputs[:, [labels.index(w) for w in wanted]].mean(axis=1)
        return own

    def _reservations(self) -> list[str]:
        labels = self.channels_["simulated"]
        alone = [m for m in self.muscles_ if not set(self.config.pairs.get(m, (m,))) <= set(labels)]
        return (
            [f"No simulated muscle is paired with {', '.join(alone)}: not estimated (option pairs)."] if alone else []
        )

    def context(self) -> Context:
        return Context(left=0.0, right=0.0)


class SimulatedAsIs(Correction):
    """The simulated activity of each muscle, unchanged: what every correction has to improve.

    References
    ----------
    Crowninshield RD, Brand RA (1981) J Biomech 14:793–801, 10.1016/0021-9290(81)90035-X.
    """

    method = "simulated-as-is"
    references = ("Crowninshield RD, Brand RA (1981) J Biomech 14:793-801. doi:10.1016/0021-9290(81)90035-X",)

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        return Estimate(self._own(stretch))

    def methods_text(self) -> str:
        return "The simulated activity of each muscle was taken as it is."


class GainOffset(Correction):
    """Gain and offset of each muscle's simulated activity, by least squares; the gain is not negative."""

    method = "gain-offset"
    references = SimulatedAsIs.references
    gain_: np.ndarray  # (muscle, [gain, offset, lag in samples])

    def _lags(self) -> list[int]:
        return [0]

    def _fit_stretches(self, stretches: list[Stretch]) -> None:
        self.gain_ = fit_gains([self._own(s) for s in stretches], stretches, self._lags())

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        return Estimate(np.maximum(apply_gains(self.gain_, self._own(stretch)), 0.0))

    def methods_text(self) -> str:
        return "Each muscle's simulated activity was given the gain and offset that fit the training envelopes best."


class GainLagConfig(CorrectionConfig):
    """Options of `GainLagCorrection`."""

    max_lag_s: float = Field(default=0.2, ge=0)  # to either side; EMG leads force by 30 to 120 ms


class GainLagCorrection(GainOffset):
    """Gain, offset and one constant lag for each muscle, of least squares over the training trials."""

    method = "gain-lag"
    Config = GainLagConfig
    config: GainLagConfig

    def _lags(self) -> list[int]:
        return lags_within(self.config.max_lag_s, self.config.rate_hz)

    def context(self) -> Context:
        return Context(left=self.config.max_lag_s, right=self.config.max_lag_s)

    def methods_text(self) -> str:
        return (
            "Each muscle's simulated activity was given the gain, offset and lag (within "
            f"±{1e3 * self.config.max_lag_s:g} ms) that fit the training envelopes best."
        )


class RidgeFIRConfig(PairedConfig):
    """Options of `RidgeFIR`."""

    reach_s: float = Field(default=0.2, ge=0)  # of the filter to either side
    tap_s: float = Field(default=0.02, gt=0)  # between its taps; simulated activity changes little in 20 ms


class RidgeFIR(PairedEstimator):
    """A linear filter from all simulated channels to each muscle: ridge regression over taps within ±`reach_s`.

    The penalty of each muscle is chosen inside the training data, on folds of subjects, trials or blocks of time.

    References
    ----------
    Hoerl AE, Kennard RW (1970) Technometrics 12:55–67, 10.1080/00401706.1970.10488634.
    """

    method = "ridge-fir"
    Config = RidgeFIRConfig
    config: RidgeFIRConfig
    signals: ClassVar[tuple[str, ...]] = ("simulated",)
    references = ("Hoerl AE, Kennard RW (1970) Technometrics 12:55-67. doi:10.1080/00401706.1970.10488634",)
    weights_: np.ndarray  # (1 + tap, muscle); the first row is the intercept
    penalty_: np.ndarray  # (muscle,)

    def _taps(self, stretch: Stretch) -> Float[np.ndarray, "time tap"]:
        step = max(1, round(self.config.tap_s * self.config.rate_hz))
        n = int(self.config.reach_s * self.config.rate_hz / step + 1e-9)
        return lagged(stretch.inputs, [step * k for k in range(-n, n + 1)])

    def _fit_stretches(self, stretches: list[Stretch]) -> None:
        taps = [self._taps(s) for s in stretches]
        features, target = np.concatenate(taps), np.concatenate([s.targets for s in stretches])
        folds = [(np.concatenate(f.train), np.concatenate(f.test)) for f in make_folds(stretches, N_FOLDS)]
        fitted, self.penalty_ = fit_ridge_by_folds(features, target, folds, PENALTIES)
        self.weights_ = np.vstack([fitted.intercept, fitted.weights])

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        fitted = LinearMap(self.weights_[1:], self.weights_[0])
        return Estimate(np.maximum(fitted.predict(self._taps(stretch)), 0.0))

    def context(self) -> Context:
        return Context(left=self.config.reach_s, right=self.config.reach_s)

    def methods_text(self) -> str:
        return (
            f"All simulated channels within ±{1e3 * self.config.reach_s:g} ms were combined linearly by ridge regression, its "
            "penalty chosen for each muscle on folds of the training data (Hoerl & Kennard 1970)."
        )


class WarpedMean(PairedEstimator):
    """The mean training cycle of the EMG, warped in time to the simulated activity of each new cycle.

    The mean cycle of the simulated channels is laid over those of a new cycle by dynamic time warping, and the mean
    envelopes go along. A stretch without cycle events is one cycle. What lies before the first and after the last event
    is part of a cycle: its open end may lie anywhere in the template.

    References
    ----------
    Sakoe H, Chiba S (1978) IEEE Trans Acoust 26:43–49, 10.1109/TASSP.1978.1163055.
    """

    method = "dtw-mean"
    signals: ClassVar[tuple[str, ...]] = ("simulated",)
    references = ("Sakoe H, Chiba S (1978) IEEE Trans Acoust 26:43-49. doi:10.1109/TASSP.1978.1163055",)
    template_: np.ndarray  # (phase, channel), standardised
    envelope_: np.ndarray  # (phase, muscle)
    centre_: np.ndarray  # (channel,)
    spread_: np.ndarray  # (channel,)

    def _fit_stretches(self, stretches: list[Stretch]) -> None:
        inputs = np.concatenate([s.inputs for s in stretches])
        self.centre_, spread = inputs.mean(axis=0), inputs.std(axis=0)
        self.spread_ = np.where(spread > 0, spread, 1.0)
        whole = [(s, a, b) for s in stretches for a, b, kind in cycle_spans(s.time, s.starts) if kind == "whole"]
        whole = whole or [(s, 0, len(s.time)) for s in stretches]
        self.template_ = mean_curve(
            np.stack([stretched((s.inputs[a:b] - self.centre_) / self.spread_) for s, a, b in whole])
        )
        self.envelope_ = mean_curve(np.stack([stretched(s.targets[a:b]) for s, a, b in whole]))

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        mean = np.full(stretch.targets.shape, np.nan)
        for a, b, kind in cycle_spans(stretch.time, stretch.starts):
            scaled = (stretch.inputs[a:b] - self.centre_) / self.spread_
            phase = warp(self.template_, scaled, open_start=kind == "last part", open_end=kind == "first part")
            for i, envelope in enumerate(self.envelope_.T):
                mean[a:b, i] = np.interp(phase, np.arange(PHASES), envelope)
        return Estimate(mean)

    def context(self) -> Context:
        return Context(left=np.inf, right=np.inf)

    def methods_text(self) -> str:
        return (
            "The mean training cycle of each muscle's envelope was warped in time to each new cycle, as the mean simulated "
            "cycle was laid over that cycle's simulated activity by dynamic time warping (Sakoe & Chiba 1978)."
        )


def lags_within(reach_s: float, rate_hz: float) -> list[int]:
    """Lags in samples to either side, the shortest first."""
    furthest = round(reach_s * rate_hz)
    return sorted(range(-furthest, furthest + 1), key=abs)


def fit_gains(
    own: Sequence[Float[np.ndarray, "_time muscle"]], stretches: Sequence[Stretch], lags: Sequence[int]
) -> Float[np.ndarray, "muscle 3"]:
    """Gain, offset and lag of each muscle; NaN for one without a simulated activity or without a measured one."""
    found = np.full((own[0].shape[1], 3), np.nan)
    for i in range(len(found)):
        targets = [s.targets[:, i] for s in stretches]
        if np.isfinite(np.concatenate(targets)).any() and np.isfinite(own[0][0, i]):
            fitted = fit_gain_lag([o[:, i] for o in own], targets, lags)
            found[i] = fitted.gain, fitted.offset, fitted.lag
    return found


def apply_gains(
    gains: Float[np.ndarray, "muscle 3"], own: Float[np.ndarray, "time muscle"]
) -> Float[np.ndarray, "time muscle"]:
    """What `fit_gains` found, applied to the simulated activity of each muscle."""
    result = np.full(own.shape, np.nan)
    for i, (gain, offset, lag) in enumerate(gains):
        if np.isfinite(gain):
            result[:, i] = GainLag(gain, offset, int(lag)).predict(own[:, i])
    return result
