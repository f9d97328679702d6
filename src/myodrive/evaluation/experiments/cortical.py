"""Is the estimate related to what motor cortex did at the same time? Spikes, binned and smoothed, by ridge.

Wimalasena et al. 2022, 10.1088/1741-2552/ac6369, predict each estimate from the spikes. A smoother estimate is then
easier to predict, so what is tested here is the other direction: the population's activity, the same for every method,
from the estimates. The published direction stands beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from myodrive.errors import SignalError
from myodrive.evaluation.decoding import Decoding, decode
from myodrive.evaluation.experiments.contract import ALPHA, N_SURROGATES, Curve, Finding, Options, Panel
from myodrive.evaluation.experiments.decoding import FILTERS, PENALTIES, SMOOTHING_HZ
from myodrive.evaluation.experiments.layout import (
    against_chance,
    also_smoothed,
    complete,
    lay_out,
)
from myodrive.learning.linear import mean_curve
from myodrive.recording import Recording, sampling_rate
from myodrive.truth import simulate_for_analysis

RATE_HZ = 50.0
SMOOTHING_S = 0.05  # standard deviation of the Gaussian over the spikes
N_COMPONENTS = 4  # of the population's activity
LAGS_S = (0.0, 0.04, 0.08, 0.12, 0.16)  # by which the muscles follow the cortex
GAP_S = 0.3
LEAST_SHIFT_S = 2.0


@dataclasses.dataclass(frozen=True)
class CorticalExperiment:
    """Ridge regression between the estimates and the activity of cortical units, on held-out blocks of time."""

    name = "cortical"
    question = "Is the estimate related to simultaneously recorded cortical spikes, and more closely than a filter's?"
    needs = "spikes (time, neuron), counted in bins"
    supports = "the estimate varies with the activity of the recorded units"
    limits = (
        "It does not show that the cortex drives the muscles: both may follow a third thing, such as the task. "
        "The R² of an estimate predicted from spikes rises with its smoothness and is no measure of quality."
    )
    measures: ClassVar[Mapping[str, str]] = {
        "r2": "held-out R² of the population's activity, from the estimate",
        "r2_from_spikes": "held-out R² of the estimate, from the spikes",
        "lag_s": "by which the muscles follow (s)",
    }
    panels = (Panel("R² within the training blocks at each lag", "lag (s)", "R²", (0.0, LAGS_S[-1])),)
    settings: ClassVar[Mapping[str, Sequence[Options]]] = FILTERS

    def simulate(self, seed: int, effect: bool) -> Recording:
        return simulate_for_analysis("cortical", seed=seed, effect=effect)

    def analyse(self, recordings: Sequence[Recording], candidates: Sequence[Sequence[xr.DataArray]]) -> Finding:
        signals = [[smoothed(r["spikes"]) for r in recordings], *also_smoothed(candidates, SMOOTHING_HZ)]
        laid = lay_out(recordings, signals, RATE_HZ, LAGS_S[-1])
        rates, *features = laid.columns
        usable = complete(*laid.columns)
        population = principal_components(np.where(usable[:, None], rates, np.nan), N_COMPONENTS)

        def score(columns: np.ndarray) -> Decoding:  # the cortex leads: a negative lag
            lags_s = tuple(-lag for lag in LAGS_S)
            return decode(features, columns, laid.time, lags_s=lags_s, penalties=PENALTIES, gap_s=GAP_S)

        found, value, p = against_chance(score, population, usable, N_SURROGATES, round(LEAST_SHIFT_S * RATE_HZ))
        chosen = features[int(np.bincount(found.candidate.ravel()).argmax())]
        published = decode(population, chosen, laid.time, lags_s=LAGS_S, penalties=PENALTIES, gap_s=GAP_S)
        curve = found.lag_curve.mean(axis=1)[::-1]
        return Finding(
            found=p <= ALPHA and value > 0,
            p=p,
            measures={
                "r2": value,
                "r2_from_spikes": float(mean_curve(published.r2)),
                "lag_s": -float(np.median(found.lag_s)),
            },
            curves=[Curve(self.panels[0].title, (-found.lags_s[::-1]).tolist(), curve.tolist())],
        )


def smoothed(spikes: xr.DataArray) -> xr.DataArray:
    """Rates in Hz: the spikes of each bin, smoothed by a Gaussian.

    Raises
    ------
    SignalError
        If the signal is not (time, neuron), or no unit fires.
    """
    if len(spikes.dims) != 2:
        raise SignalError(f"spikes are counts (time, neuron), not {tuple(spikes.dims)}.")
    spikes = spikes.transpose("time", ...)
    rate = sampling_rate(spikes)
    spikes = spikes[:, (spikes.sum("time") > 0).values]
    if not spikes.sizes[spikes.dims[1]]:
        raise SignalError("no unit has a spike.")
    values = gaussian_filter1d(np.nan_to_num(spikes.values.astype(np.float64)), SMOOTHING_S * rate, axis=0) * rate
    return spikes.copy(data=values)


def principal_components(
    rates: Float[np.ndarray, "time unit"], n_components: int
) -> Float[np.ndarray, "time component"]:
    """The directions in which the square-rooted rates of all units vary most; NaN where anything is missing."""
    roots = np.sqrt(np.maximum(rates, 0.0))
    known = np.isfinite(roots).all(axis=1)
    centred = roots[known] - roots[known].mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:n_components]
    components = np.full((len(rates), len(axes)), np.nan)
    components[known] = centred @ axes.T
    return components


EXPERIMENT = CorticalExperiment()
