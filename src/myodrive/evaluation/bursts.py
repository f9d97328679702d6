"""When a muscle switches on and off: two published detectors of bursts.

Both mark where a signal stays above the mean of its baseline plus a number of standard deviations, and both then apply
a second threshold, on time: pauses that are too short are closed and bursts that are too short are dropped. They
differ in the signal: the rectified EMG or an envelope (`double_threshold_bursts`), or the energy of the raw EMG
(`energy_operator_bursts`).

Nothing crosses a gap: a burst that a gap cuts ends at the gap.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float
from scipy import signal as sps

from myodrive.errors import OptionError, SignalError
from myodrive.recording import gap_free_runs, sampling_rate

COLUMNS = ("muscle", "onset_s", "offset_s")

REFERENCES = {
    "double threshold": (
        "Hodges PW, Bui BH (1996). A comparison of computer-based methods for the determination of onset of muscle "
        "contraction using electromyography. Electroencephalogr Clin Neurophysiol 101:511–519. "
        "https://doi.org/10.1016/S0921-884X(96)95190-5",
        "Bonato P, D'Alessio T, Knaflitz M (1998). A statistical method for the measurement of muscle activation "
        "intervals from surface myoelectric signal during gait. IEEE Trans Biomed Eng 45:287–299. "
        "https://doi.org/10.1109/10.661154",
    ),
    "energy operator": (
        "Li X, Zhou P, Aruin AS (2007). Teager–Kaiser energy operation of surface EMG improves muscle activity onset "
        "detection. Ann Biomed Eng 35:1532–1538. https://doi.org/10.1007/s10439-007-9320-z",
        "Solnik S, Rider P, Steinweg K, DeVita P, Hortobágyi T (2010). Teager–Kaiser energy operator signal "
        "conditioning improves EMG onset detection. Eur J Appl Physiol 110:489–498. "
        "https://doi.org/10.1007/s00421-010-1521-8",
    ),
}


def double_threshold_bursts(
    envelope: xr.DataArray,
    *,
    threshold_sd: float = 4.0,
    minimum_s: float = 0.05,
    gap_s: float = 0.05,
    smooth_hz: float | None = None,
    baseline: tuple[float, float] | None = None,
    baseline_s: float = 0.2,
    least_fraction: float = 0.2,
) -> pd.DataFrame:
    """Bursts of an envelope, or of rectified EMG, above ``mean + threshold_sd · sd`` of its baseline.

    Parameters
    ----------
    envelope : DataArray (time, muscle)
        Any unit. Raw EMG is rectified. NaN is a gap.
    threshold_sd : float
        First threshold, in standard deviations of the baseline. Hodges and Bui compared 1, 2 and 3 over a baseline
        that they chose; the quietest stretch of a recording is by selection quieter than that. At 6 dB, 3 found 1.43
        bursts for each true one and 4 found 1.09 (benchmarks/bursts.py).
    minimum_s, gap_s : float
        Second threshold: the shortest burst that is kept, and the longest pause that is closed.
    smooth_hz : float, optional
        Zero-phase low-pass filter before detection: 50 Hz for rectified EMG (Hodges and Bui); none for an envelope.
    baseline : (start, stop) in seconds, optional
        Where every muscle is at rest. Without it each muscle's quietest `baseline_s` seconds are used.
    baseline_s : float
        Length of that quietest stretch.
    least_fraction : float
        The threshold lies at least this fraction of the way from the baseline to the 99th percentile. The quietest
        stretch of a smooth envelope has next to no spread, so that without this every ripple is a burst: in a 6 Hz
        envelope at 10 dB, .1 found 1.7 bursts for each true one and .2 found one.

    Returns
    -------
    DataFrame
        Columns ``muscle``, ``onset_s``, ``offset_s``, in the order of muscle and time.

    Raises
    ------
    SignalError
        If the dimensions are others, or nothing finite lies within `baseline`.

    Notes
    -----
    Source: `REFERENCES["double threshold"]`. The second threshold follows Bonato et al. in its purpose; their
    statistic for whitened EMG is not computed.
    """
    rule = _Rule(threshold_sd, minimum_s, gap_s, baseline, baseline_s, least_fraction)
    rate = sampling_rate(envelope)

    def detect(values: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        rectified = np.abs(values)
        return rectified if smooth_hz is None else np.maximum(_low_pass(rectified, smooth_hz, rate), 0.0)

    return _bursts(envelope, detect, rule)


def energy_operator_bursts(
    emg: xr.DataArray,
    *,
    threshold_sd: float = 8.0,
    minimum_s: float = 0.05,
    gap_s: float = 0.05,
    band_hz: tuple[float, float] = (30.0, 300.0),
    smooth_hz: float = 50.0,
    baseline: tuple[float, float] | None = None,
    baseline_s: float = 0.2,
    least_fraction: float = 0.04,
) -> pd.DataFrame:
    """Bursts of raw EMG in the energy ``psi[n] = x[n]² − x[n−1]·x[n+1]`` of Teager and Kaiser.

    The energy follows amplitude and frequency together, so that a burst stands out further from the baseline than it
    does in the amplitude. The order is that of Solnik et al.: band-pass, energy operator, rectify, low-pass, threshold.

    Parameters
    ----------
    emg : DataArray (time, muscle)
        Raw or filtered EMG with its sign. NaN is a gap.
    band_hz : (low, high)
        Zero-phase band-pass filter; the upper edge is lowered to .45 of the sampling rate where it lies above.
    smooth_hz : float
        Zero-phase low-pass filter of the rectified energy.
    threshold_sd : float
        As in `double_threshold_bursts`; higher, since the energy of noise spreads wider than its amplitude.
    least_fraction : float
        As in `double_threshold_bursts`; energy is a square, and so is the fraction.
    minimum_s, gap_s, baseline, baseline_s
        As in `double_threshold_bursts`.

    Returns
    -------
    DataFrame
        Columns ``muscle``, ``onset_s``, ``offset_s``.

    Raises
    ------
    SignalError
        If the input has no sign any more (rectified or an envelope), or the sampling rate is too low for the band.

    Notes
    -----
    Source: `REFERENCES["energy operator"]`.
    """
    rule = _Rule(threshold_sd, minimum_s, gap_s, baseline, baseline_s, least_fraction)
    if emg.attrs.get("stage", "raw") in ("rectified", "envelope"):
        raise SignalError(
            f"the energy operator needs raw EMG, and this is {emg.attrs['stage']} already.",
            remedy="Use double_threshold_bursts for it.",
        )
    rate = sampling_rate(emg)
    high = min(band_hz[1], 0.45 * rate)
    if not 0 < band_hz[0] < high:
        raise SignalError(f"a band of {band_hz[0]:g} to {band_hz[1]:g} Hz does not fit a sampling rate of {rate:g} Hz.")
    band = sps.butter(3, (band_hz[0], high), "bandpass", fs=rate, output="sos")

    def detect(values: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        energy = np.abs(teager_kaiser(_zero_phase(band, values)))
        return np.maximum(_low_pass(energy, smooth_hz, rate), 0.0)

    return _bursts(emg, detect, rule)


def teager_kaiser(values: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """The energy ``x[n]² − x[n−1]·x[n+1]``; the first and last sample take their neighbour's.

    Of a sinusoid of amplitude A and angular frequency w per sample it is A² sin²(w), at every sample.
    """
    if values.size < 3:
        return np.zeros_like(values)
    return np.pad(values[1:-1] ** 2 - values[:-2] * values[2:], 1, mode="edge")


@dataclasses.dataclass(frozen=True)
class _Rule:
    """When a stretch is a burst; see `double_threshold_bursts`."""

    threshold_sd: float
    minimum_s: float
    gap_s: float
    baseline: tuple[float, float] | None
    baseline_s: float
    least_fraction: float

    def __post_init__(self) -> None:
        if self.minimum_s < 0 or self.gap_s < 0 or not self.baseline_s > 0:
            raise OptionError(
                f"minimum_s ({self.minimum_s:g}) and gap_s ({self.gap_s:g}) are 0 or more, "
                f"and baseline_s ({self.baseline_s:g}) is above 0."
            )

    def threshold(self, values: Float[np.ndarray, " time"], rest: Float[np.ndarray, " rest"]) -> float:
        mean, sd = float(np.mean(rest)), float(np.std(rest))
        return mean + max(self.threshold_sd * sd, self.least_fraction * (float(np.nanquantile(values, 0.99)) - mean))


def _bursts(signal: xr.DataArray, detect: Callable[[np.ndarray], np.ndarray], rule: _Rule) -> pd.DataFrame:
    """Muscle by muscle: the signal to detect in, its baseline, the threshold on it, the threshold on time."""
    if signal.dims != ("time", "muscle"):
        raise SignalError(f"bursts are found in (time, muscle), not {tuple(signal.dims)}.")
    time, rate = signal.time.values, sampling_rate(signal)
    gap, shortest = round(rule.gap_s * rate), round(rule.minimum_s * rate)
    rows = []
    for column, muscle in enumerate(signal.muscle.values):
        values = np.asarray(signal.values[:, column], dtype=np.float64)
        runs = gap_free_runs(time, np.isfinite(values))
        detected = np.full(values.size, np.nan)
        for run in runs:
            detected[run] = detect(values[run])
        rest = _rest(detected, time, runs, rule.baseline, round(rule.baseline_s * rate))
        if rest.size == 0:
            continue
        active = detected > rule.threshold(detected, rest)
        for run in runs:
            for start, stop in _intervals(active[run], gap, shortest):
                rows.append((str(muscle), float(time[run][start]), float(time[run][stop - 1]) + 1 / rate))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"muscle": "object", "onset_s": "float64", "offset_s": "float64"})


def _rest(
    values: Float[np.ndarray, " time"],
    time: Float[np.ndarray, " time"],
    runs: list[slice],
    baseline: tuple[float, float] | None,
    n: int,
) -> Float[np.ndarray, " rest"]:
    """The samples of the baseline: those asked for, or the `n` in a row with the lowest mean; none of an all-NaN muscle."""
    if not runs:
        return values[:0]
    if baseline is not None:
        chosen = values[(time >= baseline[0]) & (time < baseline[1]) & np.isfinite(values)]
        if not chosen.size:
            raise SignalError(f"there is no sample in the baseline of {baseline[0]:g} to {baseline[1]:g} s.")
        return chosen
    n = max(1, min(n, max(run.stop - run.start for run in runs)))
    lowest, best = np.inf, runs[0]
    for run in runs:
        if run.stop - run.start >= n:
            total = np.cumsum(np.r_[0.0, values[run]])
            means = total[n:] - total[:-n]
            at = int(np.argmin(means))
            if means[at] < lowest:
                lowest, best = float(means[at]), slice(run.start + at, run.start + at + n)
    return values[best]


def _intervals(active: Bool[np.ndarray, " time"], gap: int, shortest: int) -> list[tuple[int, int]]:
    """Borders [start, stop) of the active stretches, once pauses up to `gap` are closed and what is too short is gone."""
    edges = np.flatnonzero(np.diff(np.r_[False, active, False].astype(np.int8)))
    closed: list[tuple[int, int]] = []
    for start, stop in zip(edges[::2], edges[1::2]):
        if closed and start - closed[-1][1] <= gap:
            closed[-1] = (closed[-1][0], int(stop))
        else:
            closed.append((int(start), int(stop)))
    return [(start, stop) for start, stop in closed if stop - start >= max(shortest, 1)]


def _low_pass(values: Float[np.ndarray, " time"], cutoff_hz: float, rate: float) -> Float[np.ndarray, " time"]:
    if cutoff_hz >= rate / 2:
        return values
    return _zero_phase(sps.butter(2, cutoff_hz, fs=rate, output="sos"), values)


def _zero_phase(sections: np.ndarray, values: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    pad = min(3 * (2 * len(sections) + 1), values.size - 1)
    return sps.sosfiltfilt(sections, values, padlen=max(pad, 0))
