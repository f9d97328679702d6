"""Where the repetitions are: from events, from the speed of the hand, or from what repeats in the signal itself."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from scipy import signal as sps

from myodrive.conditioning.emg import filter_emg, rectify_emg
from myodrive.conditioning.kinematics import differentiate, low_pass, resample_to, uniform_clock
from myodrive.conditioning.options import EmgConditioning
from myodrive.errors import MyodriveError, SignalError
from myodrive.recording import Recording, sampling_rate

# Words that start a cycle, in the order of preference; the first that occurs often enough is used.
CYCLE_STARTS = (
    r"strike|touch.?down|initial.?contact|\b[lr]?hs\b|\b[lr]?fs\b|\b[lr]?ic\b",
    r"on.?burst|burst.?on",
    r"lift.?off|foot.?off|toe.?off|\b[lr]?to\b",
)
START, STOP = r"start|begin|onset", r"stop|end|offset"
HAND = r"hand|wrist|finger|\b[lr]?(fin|wri|wrb|wra)\b"
PERIOD_S = (0.3, 12.0)  # from clapping hands and running mice to slow exercises
PERIODIC_R = 0.3  # least correlation of the signal with itself one period later; unrelated envelopes stay below
CLOCK_HZ = 100.0  # on which periodicity is looked for


class Cycle(NamedTuple):
    """One repetition. `label` is the side ("left", "right") where it is known, else what repeats, or ""."""

    start_s: float
    stop_s: float
    label: str


def find_cycles(recording: Recording) -> list[Cycle]:
    """The repetitions of a recording, by the first of these that gives any: events, hand speed, periodicity.

    Periodicity is looked for in ``angles``, then in the EMG. A recording in which nothing repeats gives an empty list.
    Cycles of the two sides overlap; choose by label.
    """
    for search in (_by_events, _by_hand_speed, _by_angles, _by_emg):
        try:
            cycles = search(recording)
        except MyodriveError:  # this signal is too short, too slow or too uneven to tell
            continue
        if cycles:
            return cycles
    return []


def cycles_from_events(events: pd.DataFrame) -> list[Cycle]:
    """From each start to its stop, or from one foot strike (touch-down, burst onset, …) to the next of the same side.

    An interval between strikes that is longer than 1.8 times the side's median has an event missing, one shorter than
    half of it has one too many: both are left out. Movements of which only the starts are known (three or more) get
    one length, the tenth percentile of the intervals between them.
    """
    paired = _starts_and_stops(events)
    if paired:
        return paired
    for words in CYCLE_STARTS:
        chosen = events[events["label"].str.contains(words, case=False, regex=True)]
        cycles = []
        for side, own in chosen.groupby("side"):
            name = str(side) or str(own["label"].iloc[0])
            cycles += _between(np.unique(own["time"].to_numpy(dtype=np.float64)), name)
        if cycles:
            return sorted(cycles)
    return _after_starts(events)


def movements_from_speed(
    speed: xr.DataArray, *, high: float = 0.2, low: float = 0.05, shortest_s: float = 0.2
) -> list[Cycle]:
    """Movements by hand speed with hysteresis: one begins and ends at `low`, and has to exceed `high` in between.

    Parameters
    ----------
    speed : DataArray (time,)
        Not negative; smooth. Missing samples end a movement.
    high, low : float
        Shares of the peak, which is the 99th percentile of the speed.
    shortest_s : float
        What is shorter is no movement. So are all if the hand never rests: then the signal is not made of movements.
    """
    found = _faster_than_rest(speed, high, low, shortest_s, "movement")
    return found if len(found) > 1 else []


def segment_movements(
    recording: Recording, *, high: float = 0.2, low: float = 0.05, shortest_s: float = 0.2
) -> list[Cycle]:
    """The elements of a movement: from rest to rest, by the speed of the hand; see `movement_speed`.

    An element begins and ends where the speed passes `low` of its peak and exceeds `high` in between, so that a tremor at
    rest is none and a slow stretch within an element does not cut it. The peak is the 99th percentile over the recording;
    both shares are usual in studies of reaching. A recording that never rests is one element.

    Returns
    -------
    list of Cycle
        ``start_s``, ``stop_s`` and the label "element", in order of time.

    Raises
    ------
    SignalError
        If nothing in the recording shows a movement.
    """
    return _faster_than_rest(movement_speed(recording), high, low, shortest_s, "element")


def movement_speed(recording: Recording, cutoff_hz: float = 6.0) -> xr.DataArray:
    """How fast a movement is (time,): the hand's speed, else that of the joints.

    Of ``pose`` where there is one; of the marker of a hand, wrist or finger that travels furthest; else the length of the
    vector of all joints' velocities. Smoothed as of `differentiate`.

    Raises
    ------
    SignalError
        If there are neither markers of a hand, nor a pose, nor angles.
    """
    if "pose" in recording:
        pose = recording["pose"]
        dim = next(str(d) for d in pose.dims if d != "time")
        return _length(differentiate(pose.sel({dim: list("xyz")}), 1, cutoff_hz), dim)
    speeds = _hand_speeds(recording, cutoff_hz)
    if speeds is not None:
        return speeds
    if "angles" not in recording:
        raise SignalError(
            "nothing shows how fast the movement is: neither markers of a hand, nor a pose, nor angles.",
            where=recording.label,
        )
    return _length(differentiate(recording["angles"], 1, cutoff_hz), "joint")


def cycles_from_periodicity(signal: xr.DataArray, period_s: tuple[float, float] = PERIOD_S) -> list[Cycle]:
    """Cycles of a signal that repeats, each from one crest of its fundamental oscillation to the next.

    The period is the lag of the highest first peak of the autocorrelation, averaged over the columns; it has to reach
    `PERIODIC_R` for there to be cycles at all. The fundamental is the columns' first principal component, low-passed
    at 1.3 times the cycle's frequency. Cycles that differ from the period by more than 40 % are left out.

    Parameters
    ----------
    signal : DataArray (time, …)
        Angles, or envelopes. Columns with missing samples are not used; samples at the ends that all lack are left off.
    period_s : tuple of float
        Shortest and longest period to look for.
    """
    clock, values = _standardised(signal)
    if not values.size or clock[-1] - clock[0] < 2.5 * period_s[0]:
        return []
    furthest = min(round(period_s[1] * CLOCK_HZ), len(values) // 2)  # at least two whole periods
    period = find_period(values, round(period_s[0] * CLOCK_HZ), furthest)
    if period is None:
        return []
    component = values @ np.linalg.svd(values, full_matrices=False)[2][0]
    component *= np.sign(np.mean(component**3)) or 1.0  # crests are the sharper side: activity, swing
    trace = xr.DataArray(component, dims="time", coords={"time": clock})
    slow = low_pass(trace, min(1.3 * CLOCK_HZ / period, 0.45 * CLOCK_HZ)).values
    crests, _ = sps.find_peaks(slow, distance=max(1, round(0.6 * period)), prominence=0.3 * slow.std())
    pairs = [(a, b) for a, b in itertools.pairwise(crests) if abs((b - a) / period - 1) <= 0.4]
    return [Cycle(float(clock[a]), float(clock[b]), "cycle") for a, b in pairs] if len(pairs) > 1 else []


def time_normalise(
    signal: xr.DataArray, cycles: Sequence[tuple[float, float, str]], n_points: int = 101
) -> xr.DataArray:
    """Every cycle stretched to the same number of points: the cycle matrix.

    Linear between samples. Points in a gap, or before the first or after the last sample, are NaN; a cycle that is
    not whole therefore has NaN in it.

    Parameters
    ----------
    signal : DataArray (time, …)
        Smooth at the scale of one point: an envelope or an angle, not raw EMG.
    cycles : sequence of (start_s, stop_s, label)
    n_points : int

    Returns
    -------
    DataArray (cycle, phase, …)
        ``phase`` in percent from 0 to 100; coordinates ``start_s``, ``stop_s`` and ``label`` along ``cycle``.
    """
    phase = np.linspace(0.0, 100.0, n_points)
    instants = [np.linspace(start, stop, n_points) for start, stop, _ in cycles]
    time = np.concatenate(instants) if instants else np.empty(0)
    # One column of instants for all cycles: they need not rise, since each is only looked up.
    values = resample_to(signal, time, cutoff_hz=np.inf).values
    rest = [d for d in signal.dims if d != "time"]
    coords = {k: v for k, v in signal.coords.items() if "time" not in v.dims}
    matrix = values.reshape(len(instants), n_points, *values.shape[1:])
    return xr.DataArray(
        matrix,
        dims=("cycle", "phase", *rest),
        coords={
            **coords,
            "phase": ("phase", phase, {"units": "%"}),
            "start_s": ("cycle", np.array([c[0] for c in cycles], dtype=np.float64)),
            "stop_s": ("cycle", np.array([c[1] for c in cycles], dtype=np.float64)),
            "label": ("cycle", np.array([c[2] for c in cycles], dtype=str)),
        },
        attrs=signal.attrs,
    )


def rectified_envelope(emg: xr.DataArray, cutoff_hz: float, rate_hz: float = CLOCK_HZ) -> xr.DataArray:
    """The plain envelope: filtered and rectified as the stage of the EMG needs it, low-passed, at `rate_hz`.

    Raises
    ------
    SignalError, OptionError
        If the EMG is too slow for that.
    """
    rate = sampling_rate(emg)
    options = EmgConditioning(highpass_hz=min(65.0, rate / 4), resample_hz=None)
    rectified = rectify_emg(filter_emg(emg, options), options)
    clock = uniform_clock(float(emg.time[0]), float(emg.time[-1]), min(rate_hz, rate))
    return resample_to(rectified, clock, cutoff_hz=cutoff_hz)


def _starts_and_stops(events: pd.DataFrame) -> list[Cycle]:
    events = events[~events["label"].str.contains("burst", case=False)]  # a burst is part of a cycle
    starts = events[events["label"].str.contains(START, case=False, regex=True)]
    stops = events[events["label"].str.contains(STOP, case=False, regex=True)]["time"].to_numpy(dtype=np.float64)
    cycles = []
    for time, label, side in starts[["time", "label", "side"]].itertuples(index=False):
        later = stops[stops > time]
        if later.size:
            name = side or re.sub(START, "", label, flags=re.IGNORECASE).strip(" _-:")
            cycles.append(Cycle(float(time), float(later[0]), name))
    overlap = any(b.start_s < a.stop_s for a, b in itertools.pairwise(cycles))
    return [] if overlap or len(cycles) < 2 else cycles


def _after_starts(events: pd.DataFrame) -> list[Cycle]:
    """A stretch of one length after each start, where at least three starts and no stop are known."""
    starts = events[events["label"].str.contains(START, case=False, regex=True)]
    times = np.unique(starts["time"].to_numpy(dtype=np.float64))
    if times.size < 3:
        return []
    length = float(np.quantile(np.diff(times), 0.1))
    name = re.sub(START, "", str(starts["label"].iloc[0]), flags=re.IGNORECASE).strip(" _-:")
    free = np.append(np.diff(times), np.inf) >= length
    return [Cycle(float(t), float(t) + length, name) for t in times[free]]


def _between(times: Float[np.ndarray, " event"], label: str) -> list[Cycle]:
    lengths = np.diff(times)
    if not lengths.size:
        return []
    usual = float(np.median(lengths))
    return [Cycle(float(a), float(b), label) for a, b in itertools.pairwise(times) if 0.5 <= (b - a) / usual <= 1.8]


def _by_events(recording: Recording) -> list[Cycle]:
    return cycles_from_events(recording.events)


def _by_hand_speed(recording: Recording) -> list[Cycle]:
    speed = _hand_speeds(recording, 6.0)
    return movements_from_speed(speed) if speed is not None else []


def _hand_speeds(recording: Recording, cutoff_hz: float) -> xr.DataArray | None:
    """The speed of the hand marker that travels furthest; nothing without one."""
    if "markers" not in recording:
        return None
    markers = recording["markers"]
    hands = [str(m) for m in markers.marker.values if re.search(HAND, str(m), re.IGNORECASE)]
    if not hands:
        return None
    speed = _length(differentiate(markers.sel(marker=hands), 1, cutoff_hz), "axis")
    travelled = speed.fillna(0.0).mean("time")
    return speed.isel(marker=int(np.argmax(travelled.values))).drop_vars("marker")


def _length(velocity: xr.DataArray, dim: str) -> xr.DataArray:
    return ((velocity**2).sum(dim, skipna=False) ** 0.5).assign_attrs(units=velocity.attrs["units"])


def _faster_than_rest(speed: xr.DataArray, high: float, low: float, shortest_s: float, label: str) -> list[Cycle]:
    """By hysteresis, see `movements_from_speed`."""
    values, time = speed.values, speed.time.values
    known = np.isfinite(values)
    if known.sum() < 3:
        return []
    peak = float(np.quantile(values[known], 0.99))
    moving = known & (values > low * peak)
    edges = np.flatnonzero(np.diff(np.r_[False, moving, False].astype(np.int8)))
    found = []
    for start, stop in zip(edges[::2], edges[1::2]):
        if values[start:stop].max() > high * peak and time[stop - 1] - time[start] >= shortest_s:
            found.append(Cycle(float(time[start]), float(time[stop - 1]), label))
    return found


def _by_angles(recording: Recording) -> list[Cycle]:
    return cycles_from_periodicity(recording["angles"]) if "angles" in recording else []


def _by_emg(recording: Recording) -> list[Cycle]:
    return cycles_from_periodicity(rectified_envelope(recording["emg"], 5.0)) if "emg" in recording else []


def _standardised(signal: xr.DataArray) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, "time column"]]:
    """The columns that are there throughout and vary, slower than 10 Hz, in units of their spread; no column if none is."""
    rate = sampling_rate(signal)
    if not rate > 20.0:
        return np.empty(0), np.empty((0, 0))
    clock = uniform_clock(float(signal.time[0]), float(signal.time[-1]), CLOCK_HZ)
    values = resample_to(signal, clock, cutoff_hz=min(10.0, 0.45 * rate)).values.reshape(clock.size, -1)
    there = np.flatnonzero(np.isfinite(values).any(axis=1))
    whole = slice(there[0], there[-1] + 1) if there.size else slice(0, 0)
    clock, values = clock[whole], values[whole]
    values = values[:, np.isfinite(values).all(axis=0)]
    if not values.size:
        return clock, np.empty((clock.size, 0))
    spread = values.std(axis=0)
    varies = spread > 1e-9 * np.abs(values).max(axis=0)
    return clock, (values - values.mean(axis=0))[:, varies] / spread[varies]


def find_period(
    values: Float[np.ndarray, "time column"], nearest: int, furthest: int, nearly: float = 0.8
) -> int | None:
    """The period in samples of standardised columns, or None where they do not repeat between `nearest` and `furthest`.

    It is the first peak of their mean autocorrelation that is `nearly` as high as the highest, so as not to find twice
    the period, and reaches `PERIODIC_R`.
    """
    n_time = len(values)
    spectrum = np.abs(np.fft.rfft(values, 2 * n_time, axis=0)) ** 2
    raw = np.fft.irfft(spectrum.sum(axis=1))[: furthest + 1]
    if raw[0] <= 1e-9 * n_time:  # constant but for rounding
        return None
    own = raw / raw[0] * n_time / (n_time - np.arange(len(raw)))  # unbiased: fewer products at longer lags
    peaks, _ = sps.find_peaks(own)
    peaks = peaks[(peaks >= nearest) & (own[peaks] >= PERIODIC_R)]
    return int(peaks[own[peaks] >= nearly * own[peaks].max()][0]) if peaks.size else None
