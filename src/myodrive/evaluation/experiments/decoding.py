"""Does the estimate tell of the movement, and of the single stride? Joint angle, acceleration or moment by ridge.

Wimalasena et al. 2022, 10.1088/1741-2552/ac6369: joint kinematics from the estimates, best lag of a sweep. Here lag
and penalty, and the cut-off of a filter, are chosen within the training folds, and the part that repeats in every
cycle is scored apart from what differs between cycles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import xarray as xr
from jaxtyping import Float
from pydantic import Field

from myodrive.conditioning.kinematics import differentiate
from myodrive.evaluation.decoding import Decoding, decode
from myodrive.evaluation.experiments.contract import ALPHA, N_SURROGATES, Curve, Finding, Options, Panel
from myodrive.evaluation.experiments.layout import (
    against_chance,
    also_smoothed,
    complete,
    lay_out,
    same_channels,
)
from myodrive.learning.linear import lagged, mean_curve
from myodrive.recording import Recording
from myodrive.truth import simulate_for_analysis

RATE_HZ = 50.0
LAGS_S = tuple(np.round(np.arange(0.0, 0.301, 0.06), 3).tolist())  # by which the movement follows the muscles
PENALTIES = (1e-4, 1e-2, 1e-1, 1.0)
GAP_S = 0.2  # between training and test, besides the longest lag
LEAST_CYCLES = 5  # for the single-trial residual
LEAST_SHIFT_S = 1.0  # of surrogates
SMOOTHING_HZ = (2.0, 4.0, 8.0)
HISTORY_STEP_S = 0.1
FILTERS = {
    "low-pass": [{"cutoff_hz": 20.0}]
}  # with the above: the cut-off is chosen on training samples; published 2 to 40


@dataclasses.dataclass(frozen=True)
class DecodingExperiment:
    """Ridge regression from the estimates to the movement, on held-out blocks of time."""

    target: Literal["angle", "acceleration", "moment"] = "angle"
    cutoff_hz: Annotated[float, Field(gt=0)] = 6.0  # of the acceleration, see `differentiate`
    channels: tuple[str, ...] = ()  # joints to decode; by default those that vary most
    smoothing_hz: tuple[Annotated[float, Field(gt=0)], ...] = (
        SMOOTHING_HZ  # offered to every method; without any: the published protocol
    )
    history_s: Annotated[float, Field(ge=0)] = (
        0.0  # to both sides: what every method estimates around an instant is offered as well
    )

    name = "decoding"
    question = "Does the estimate of single trials tell of the movement, and does it tell more than a filter's?"
    needs = "joint angles (or moments)"
    supports = "the estimate carries what moved the joint, beyond what repeats in every cycle"
    limits = (
        "Decoding does not show that the estimate is the activation: a wrong gain is undone by the regression. "
        "A high plain R² of a movement that repeats says little: see the R² of the event mean beside it."
    )
    measures: ClassVar[Mapping[str, str]] = {
        "residual_r2": "held-out R² of what differs from cycle to cycle",
        "r2": "held-out R²",
        "r": "held-out correlation, which an artefact in one block moves less",
        "event_mean_r2": "held-out R² of the mean cycle, which needs no EMG",
        "lag_s": "by which the movement follows (s)",
    }
    panels = (Panel("R² within the training blocks at each lag", "lag (s)", "R²", (0.0, LAGS_S[-1])),)

    settings: ClassVar[Mapping[str, Sequence[Options]]] = FILTERS

    def simulate(self, seed: int, effect: bool) -> Recording:
        return simulate_for_analysis("decoding", seed=seed, effect=effect)

    def analyse(self, recordings: Sequence[Recording], candidates: Sequence[Sequence[xr.DataArray]]) -> Finding:
        targets = self._targets(recordings)
        laid = lay_out(recordings, [targets, *also_smoothed(candidates, self.smoothing_hz)], RATE_HZ, LAGS_S[-1])
        target, *features = laid.columns
        if self.history_s:
            features += [_surroundings(f, self.history_s) for f in features]
        usable = complete(*laid.columns)
        target = np.where(usable[:, None], target, np.nan)
        cycles = laid.cycles if len(laid.cycles) >= LEAST_CYCLES else []

        def score(columns: np.ndarray) -> Decoding:
            return decode(features, columns, laid.time, cycles=cycles, lags_s=LAGS_S, penalties=PENALTIES, gap_s=GAP_S)

        found, value, p = against_chance(score, target, usable, N_SURROGATES, round(LEAST_SHIFT_S * RATE_HZ))
        return Finding(
            found=p <= ALPHA and value > 0,
            p=p,
            measures={
                "residual_r2": float(mean_curve(found.residual_r2)),
                "r2": float(mean_curve(found.r2)),
                "r": float(mean_curve(found.r)),
                "event_mean_r2": float(mean_curve(found.event_mean_r2)),
                "lag_s": float(np.median(found.lag_s)),
            },
            curves=[Curve(self.panels[0].title, found.lags_s.tolist(), found.lag_curve.mean(axis=1).tolist())],
        )

    def _targets(self, recordings: Sequence[Recording]) -> list[xr.DataArray]:
        """The target of each recording, with the same channels in all."""
        name = "moments" if self.target == "moment" else "angles"
        signals = same_channels(recordings, name, self.channels)
        return [differentiate(s, 2, self.cutoff_hz) for s in signals] if self.target == "acceleration" else signals


def _surroundings(features: Float[np.ndarray, "time muscle"], history_s: float) -> Float[np.ndarray, "time feature"]:
    """The features at instants `HISTORY_STEP_S` apart, to both sides of each."""
    n, step = int(history_s / HISTORY_STEP_S), round(HISTORY_STEP_S * RATE_HZ)
    return lagged(features, range(-n * step, n * step + 1, step), hold=False)


EXPERIMENT = DecodingExperiment()
