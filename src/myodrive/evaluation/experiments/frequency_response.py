"""Does the estimate's frequency response change with the phase of behaviour? A linear filter's cannot.

Wimalasena et al. 2022, 10.1088/1741-2552/ac6369, show that it does, by spectra in short windows. A short window cuts off
a filter's memory, so that the power of a burst leaks into the spectrum of the pause beside it, and a fixed filter would
seem to adapt. Here the response is the regression of the estimate on the rectified EMG before and after each
instant, for the instants of each phase: what lies outside the phase is part of the regression, not of an edge.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from myodrive.errors import SignalError
from myodrive.evaluation.experiments.contract import ALPHA, N_SURROGATES, Curve, Finding, Options, Panel
from myodrive.evaluation.experiments.layout import chance, lay_out, rectified_emg
from myodrive.evaluation.references import Cycles
from myodrive.learning.linear import at_lag
from myodrive.recording import Recording
from myodrive.truth import simulate_for_analysis

RATE_HZ = 50.0
REACH_S = 0.3  # of the response, to both sides: a 3 Hz low-pass has lost nine tenths of its weight by then
N_PHASES = 4
LEAST_OCTAVES = 0.5  # between the narrowest and the widest response: less is not called a change
LEAST_CYCLES = 8
PENALTY = 1e-3  # relative to the mean power of the rectified EMG


@dataclasses.dataclass(frozen=True)
class FrequencyResponseExperiment:
    """The response from rectified EMG to estimate in each quarter of the cycle, and the change of its bandwidth."""

    name = "frequency-response"
    question = "Does the estimate's frequency response adapt across phases of behaviour, as no linear filter's can?"
    needs = "a movement that repeats (events, angles or EMG tell the cycles)"
    supports = "the estimate smooths the EMG of some phases more than that of others"
    limits = (
        "Adapting is not the same as being right: only on a simulated recording is it known which phase is the faster. "
        "Anything that is not linear adapts in this sense, such as a compression of the amplitude."
    )
    measures: ClassVar[Mapping[str, str]] = {
        "octaves": "between the narrowest and the widest bandwidth of the phases",
        "narrowest_hz": "the lowest bandwidth of a phase",
        "widest_hz": "the highest bandwidth of a phase",
    }
    panels = tuple(
        Panel(f"Gain, {100 * k // N_PHASES}–{100 * (k + 1) // N_PHASES} % of the cycle", "Hz", "gain", (0.0, 15.0))
        for k in range(N_PHASES)
    )
    settings: ClassVar[Mapping[str, Sequence[Options]]] = {}

    def simulate(self, seed: int, effect: bool) -> Recording:
        return simulate_for_analysis("frequency-response", seed=seed, effect=effect)

    def analyse(self, recordings: Sequence[Recording], candidates: Sequence[Sequence[xr.DataArray]]) -> Finding:
        rectified = [rectified_emg(r, e) for r, e in zip(recordings, candidates[0])]
        laid = lay_out(recordings, [rectified, candidates[0]], RATE_HZ, REACH_S)
        if len(laid.cycles) < LEAST_CYCLES:
            raise SignalError(f"{len(laid.cycles)} repetitions are too few; {LEAST_CYCLES} are needed.")
        x, y = (c / np.nanmean(c, axis=0) for c in laid.columns)
        cycle, phase = place_in_cycles(laid.time, laid.cycles)
        lagged = [lags_of(column) for column in x.T]

        def responses_at(phases: Float[np.ndarray, " time"]) -> list[Response]:
            label = np.where(cycle >= 0, np.floor(phases * N_PHASES) % N_PHASES, -1)
            return [response(lagged, y, label == k) for k in range(N_PHASES)]

        def spread(found: list[Response]) -> float:
            return float(np.std([np.log2(r.bandwidth_hz) for r in found]))

        found, rng = responses_at(phase), np.random.default_rng(0)
        # Where the response is the same throughout, it does not matter where in its cycle a sample is said to lie.
        turned = [spread(responses_at(phase + rng.random(len(laid.cycles))[cycle])) for _ in range(N_SURROGATES)]
        p, widths = chance(spread(found), np.array(turned)), [r.bandwidth_hz for r in found]
        octaves = float(np.log2(max(widths) / min(widths)))
        return Finding(
            found=p <= ALPHA and octaves >= LEAST_OCTAVES,
            p=p,
            measures={"octaves": octaves, "narrowest_hz": min(widths), "widest_hz": max(widths)},
            curves=[Curve(panel.title, HZ.tolist(), r.gain.tolist()) for panel, r in zip(self.panels, found)],
        )


@dataclasses.dataclass(frozen=True)
class Response:
    """The linear response from rectified EMG to estimate over some samples."""

    bandwidth_hz: float  # of the noise that passes: ∫|H|² df / |H(0)|²
    gain: Float[np.ndarray, " hz"]  # |H| at `HZ`, relative to that at 0


def place_in_cycles(
    time: Float[np.ndarray, " time"], cycles: Cycles
) -> tuple[Int[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """For each sample the number of its cycle, −1 outside, and where in it the sample lies, from 0 to 1."""
    number, phase = np.full(time.size, -1), np.zeros(time.size)
    for k, (start, stop, _) in enumerate(cycles):
        inside = (time >= start) & (time < stop)
        number[inside], phase[inside] = k, (time[inside] - start) / (stop - start)
    return number, phase


def lags_of(column: Float[np.ndarray, " time"]) -> Float[np.ndarray, "time lag"]:
    """The samples around each instant, from `REACH_S` before to as much after it."""
    reach = round(REACH_S * RATE_HZ)
    return np.stack([at_lag(column, lag) for lag in range(-reach, reach + 1)], axis=1)


def response(
    lagged: Sequence[Float[np.ndarray, "time lag"]], estimate: Float[np.ndarray, "time muscle"], chosen: np.ndarray
) -> Response:
    """Regress the estimates on the rectified EMG around each of the chosen instants, one response for all muscles.

    What chance adds to the squares of the weights is taken off the bandwidth; so noise alone does not widen it.
    """
    n_lag = lagged[0].shape[1]
    gram, cross, power, n_rows = np.zeros((n_lag, n_lag)), np.zeros(n_lag), 0.0, 0
    for x, y in zip(lagged, estimate.T):
        rows = chosen & np.isfinite(x).all(axis=1) & np.isfinite(y)
        if rows.any():
            z, t = x[rows] - x[rows].mean(axis=0), y[rows] - y[rows].mean()
            gram, cross, power, n_rows = gram + z.T @ z, cross + z.T @ t, power + float(t @ t), n_rows + len(t)
    if n_rows < 10 * n_lag:
        raise SignalError(f"{n_rows} samples of one phase are too few for a frequency response.")
    inverse = np.linalg.inv(gram + PENALTY * np.trace(gram) / n_lag * np.eye(n_lag))
    weights = inverse @ cross
    error = max(power - 2 * float(weights @ cross) + float(weights @ gram @ weights), 0.0) / n_rows
    spread = error * inverse @ gram @ inverse  # covariance of the weights
    passed = float(weights @ weights - np.trace(spread))
    at_zero = float(weights.sum() ** 2 - spread.sum())
    width = 0.5 * RATE_HZ * passed / at_zero if passed > 0 and at_zero > 0 else 0.0
    lowest = 0.25 / REACH_S  # nothing narrower can be told from what reaches this far
    gain = np.abs(TURNS @ weights) / max(abs(float(weights.sum())), np.finfo(float).tiny)
    return Response(float(np.clip(width, lowest, RATE_HZ / 2)), gain)


HZ = np.arange(0.0, 15.01, 0.5)
TURNS = np.exp(-2j * np.pi * np.outer(HZ, np.arange(-round(REACH_S * RATE_HZ), round(REACH_S * RATE_HZ) + 1)) / RATE_HZ)

EXPERIMENT = FrequencyResponseExperiment()
