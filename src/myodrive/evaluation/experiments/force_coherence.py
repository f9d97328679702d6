"""Do fast oscillations survive the estimate? Its coherence with force between 10 and 50 Hz, and what is left of them.

Wimalasena et al. 2022, 10.1088/1741-2552/ac6369: the estimate's correlation with force and its coherence from 10 to 50
Hz. Coherence is blind to gain: a filter that leaves a millionth of an oscillation leaves its coherence as it was. So
what is asked for as well is the share of it that is left, against the rectified EMG.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import xarray as xr
from jaxtyping import Bool, Complex, Float, Int

from myodrive.errors import SignalError
from myodrive.evaluation.decoding import decode
from myodrive.evaluation.experiments.contract import ALPHA, N_SURROGATES, Curve, Finding, Options, Panel
from myodrive.evaluation.experiments.decoding import SMOOTHING_HZ
from myodrive.evaluation.experiments.layout import (
    also_smoothed,
    chance,
    complete,
    lay_out,
    rectified_emg,
    same_channels,
)
from myodrive.learning.linear import mean_curve
from myodrive.recording import Recording
from myodrive.truth import simulate_for_analysis

RATE_HZ = 200.0
SEGMENT_S = 0.5
BAND_HZ = (10.0, 50.0)
LEAST_SURVIVAL = 0.1  # of the oscillation's amplitude in the rectified EMG
LEAST_SEGMENTS = 20
FORCE_LAGS_S = (0.0, 0.02, 0.04, 0.06, 0.1)


@dataclasses.dataclass(frozen=True)
class ForceCoherenceExperiment:
    """Magnitude-squared coherence of estimate and force over segments, against segments that are shuffled."""

    name = "force-coherence"
    question = "Do oscillations between 10 and 50 Hz that EMG shares with force survive the estimate?"
    needs = "forces of an isometric contraction"
    supports = "the estimate keeps an oscillation that the force has as well"
    limits = (
        "Coherence does not change with gain, so it is no sign that a filter keeps an oscillation: see how much survives. "
        "It does not show where the oscillation comes from; crosstalk of mains hum would look the same."
    )
    measures: ClassVar[Mapping[str, str]] = {
        "survival": "amplitude of the shared oscillation, relative to the rectified EMG",
        "coherence": "with force, where it stands out most between 10 and 50 Hz",
        "level_95": "which 5 % of shuffled segments exceed there",
        "peak_hz": "where that is",
        "r": "held-out correlation with force, by ridge at the best lag",
    }
    panels = (Panel("Coherence with force", "Hz", "coherence", BAND_HZ),)
    settings: ClassVar[Mapping[str, Sequence[Options]]] = {
        "lfads": [{"bin_s": 0.005, "window_s": 0.4, "overlap_s": 0.3, "block_s": 0.05}]
    }

    def simulate(self, seed: int, effect: bool) -> Recording:
        return simulate_for_analysis("force-coherence", seed=seed, effect=effect)

    def analyse(self, recordings: Sequence[Recording], candidates: Sequence[Sequence[xr.DataArray]]) -> Finding:
        forces = same_channels(recordings, "forces")
        rectified = [rectified_emg(r, e) for r, e in zip(recordings, candidates[0])]
        laid = lay_out(recordings, [forces, rectified, *also_smoothed(candidates, SMOOTHING_HZ)], RATE_HZ, SEGMENT_S)
        usable = complete(*laid.columns)
        whole = segments(usable)
        force, plain, estimate = (spectra(c, whole) for c in laid.columns[:3])
        if len(force) < LEAST_SEGMENTS:
            raise SignalError(
                f"{len(force)} whole segments of {SEGMENT_S:g} s are too few; {LEAST_SEGMENTS} are needed."
            )
        hz = band_hz()
        found = coherence(estimate, force)
        rng = np.random.default_rng(0)
        shuffled = np.array([coherence(estimate, force[rng.permutation(len(force))]) for _ in range(N_SURROGATES)])
        # Where few segments have power, chance alone gives more; so each frequency is compared with its own chance, and
        # the highest of them with the highest of each shuffling: no frequency is picked for free.
        usual = shuffled.mean(axis=0)
        highest = (shuffled / usual).max(axis=1)
        peak, level = int((found / usual).argmax()), np.quantile(highest, 0.95) * usual
        p = chance(float((found / usual).max()), highest)
        left = survival(estimate, plain, force)
        tracked = decode(laid.columns[2:], laid.columns[0], laid.time, lags_s=FORCE_LAGS_S)
        return Finding(
            found=p <= ALPHA and left >= LEAST_SURVIVAL,
            p=p,
            measures={
                "survival": left,
                "coherence": float(found[peak]),
                "level_95": float(level[peak]),
                "peak_hz": float(hz[peak]),
                "r": float(mean_curve(tracked.r)),
            },
            curves=[Curve(self.panels[0].title, hz.tolist(), found.tolist(), level.tolist())],
        )


def segments(usable: Bool[np.ndarray, " time"]) -> Int[np.ndarray, "segment sample"]:
    """The samples of every segment in which nothing is missing, without overlap, within each gap-free stretch."""
    length = round(SEGMENT_S * RATE_HZ)
    edges = np.flatnonzero(np.diff(np.r_[False, usable, False].astype(np.int8)))
    starts = [np.arange(a, b - length + 1, length) for a, b in zip(edges[::2], edges[1::2])]
    return np.concatenate([*starts, np.empty(0, dtype=int)])[:, None] + np.arange(length)


def band_hz() -> Float[np.ndarray, " hz"]:
    """The frequencies of the band."""
    hz = np.fft.rfftfreq(round(SEGMENT_S * RATE_HZ), 1 / RATE_HZ)
    return hz[_in_band(hz)]


def spectra(
    columns: Float[np.ndarray, "time column"], whole: Int[np.ndarray, "segment sample"]
) -> Complex[np.ndarray, "segment hz column"]:
    """The spectrum within the band of the changes of each segment, in units of the column's mean size, Hann taper.

    Of the changes from sample to sample, because the steps of a contraction are a thousand times what oscillates and
    would leak into the band. The same for all signals, this changes neither their coherence nor what survives.
    """
    pieces = np.diff(columns[whole], axis=1)
    taper = np.hanning(pieces.shape[1])[:, None]
    scale = np.maximum(np.abs(columns[whole]).mean(axis=(0, 1)), np.finfo(float).tiny)
    transformed = np.fft.rfft(pieces * taper, n=whole.shape[1], axis=1) / scale
    return transformed[:, _in_band(np.fft.rfftfreq(whole.shape[1], 1 / RATE_HZ))]


def coherence(
    estimate: Complex[np.ndarray, "segment hz muscle"], force: Complex[np.ndarray, "segment hz channel"]
) -> Float[np.ndarray, " hz"]:
    """|mean(F E*)|² / (mean |F|² mean |E|²) over segments, averaged over all muscles and channels.

    Each segment counts alike, whatever its power in the band: strong contractions are strong in EMG and force at once,
    so that otherwise fewer segments would decide than when they are shuffled, and chance would be taken for coherence.
    """
    estimate, force = (
        s / np.maximum(np.sqrt((np.abs(s) ** 2).mean(axis=1, keepdims=True)), np.finfo(float).tiny)
        for s in (estimate, force)
    )
    cross = np.abs(_cross(force, estimate)) ** 2  # (hz, channel, muscle)
    powers = [(np.abs(s) ** 2).mean(axis=0) for s in (force, estimate)]
    return (cross / np.maximum(powers[0][:, :, None] * powers[1][:, None, :], np.finfo(float).tiny)).mean(axis=(1, 2))


def survival(
    estimate: Complex[np.ndarray, "segment hz muscle"],
    rectified: Complex[np.ndarray, "segment hz muscle"],
    force: Complex[np.ndarray, "segment hz channel"],
) -> float:
    """Amplitude, in phase, of what the estimate shares with the force, relative to what the rectified EMG shares with it.

    The slope of the one cross-spectrum with force on the other, over the band, all muscles and channels: 1 for the
    rectified EMG itself, and the filter's gain for a zero-phase filter of it.
    """
    of_estimate, of_rectified = _cross(force, estimate), _cross(force, rectified)
    return float(np.real(np.vdot(of_rectified, of_estimate)) / np.real(np.vdot(of_rectified, of_rectified)))


def _cross(force: np.ndarray, muscles: np.ndarray) -> Complex[np.ndarray, "hz channel muscle"]:
    return np.einsum("shc,shm->hcm", force, muscles.conj()) / len(force)


def _in_band(hz: np.ndarray) -> Bool[np.ndarray, " hz"]:
    return (hz >= BAND_HZ[0]) & (hz <= BAND_HZ[1])


EXPERIMENT = ForceCoherenceExperiment()
