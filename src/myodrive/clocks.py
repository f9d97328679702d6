"""Devices with clocks of their own: how each clock runs against the recording's, found, checked and kept.

time = offset_s + (1 + drift) · device time. Find the `Alignment` by a shared trigger, by a shared signal, or state it;
`align` then moves the signal and keeps the alignment, with its error, in the recording. Nothing is moved silently.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy import signal as sps

from myodrive.conditioning.kinematics import resample_to, uniform_clock
from myodrive.errors import OptionError, SignalError
from myodrive.recording import Alignment, Recording, sampling_rate

MAX_DRIFT = 2e-3  # seconds per second; quartz clocks stay within a tenth of it
ANCHORS = 20  # pulses of the device that are tried as the match of every pulse of the reference
LEAST_R = 0.3  # below this two signals are not taken for the same


def align(recording: Recording, names: str | Sequence[str], alignment: Alignment) -> Recording:
    """The recording with signals of one device moved to the recording's clock.

    Parameters
    ----------
    recording : Recording
    names : str or sequence of str
        The signals that the device recorded.
    alignment : Alignment
        From `align_by_trigger`, `align_by_shared_signal`, or stated: ``Alignment("stated", offset_s=0.035)``.

    Returns
    -------
    Recording
        A copy; the alignment stands in `Recording.alignments` under each name. No sample is changed.

    Raises
    ------
    OptionError
        If offset or drift is not a usable number, or the signal was aligned before.
    SignalError
        If there is no such signal.
    """
    if not (np.isfinite(alignment.offset_s) and -0.5 < alignment.drift < 0.5):
        raise OptionError(f"an offset of {alignment.offset_s} s with a drift of {alignment.drift} moves no clock.")
    for name in [names] if isinstance(names, str) else names:
        if name in recording.alignments:
            raise OptionError(
                f"the signal '{name}' was aligned before ({recording.alignments[name].method}).",
                where=recording.label,
                remedy="Start from the recording as it was read.",
            )
        signal = recording[name]
        time = alignment.offset_s + (1.0 + alignment.drift) * signal.time.values
        moved = signal.assign_coords(time=("time", time, signal.time.attrs))
        recording = recording.with_signal(name, moved)
        recording = recording.replace(alignments={**recording.alignments, name: alignment})
    return recording


def pulse_times(channel: xr.DataArray, threshold: float | None = None) -> Float[np.ndarray, " pulse"]:
    """The rising edges of a trigger channel (time,), in seconds, to a part of a sample.

    Parameters
    ----------
    channel : DataArray (time,)
        A pulse that starts right after a missing sample does not count.
    threshold : float, optional
        By default halfway between the lowest and the highest value.

    Raises
    ------
    SignalError
        If the channel never rises through the threshold.
    """
    values, time = channel.values.astype(np.float64), channel.time.values
    if threshold is None:
        threshold = 0.5 * float(np.nanmin(values) + np.nanmax(values)) if np.isfinite(values).any() else 0.0
    before, after = values[:-1], values[1:]
    rising = np.flatnonzero((before < threshold) & (after >= threshold))
    if not rising.size:
        raise SignalError(f"the trigger channel never rises through {threshold:g}.", remedy="Give its threshold.")
    share = (threshold - before[rising]) / (after[rising] - before[rising])
    return time[rising] + share * (time[rising + 1] - time[rising])


def align_by_trigger(
    device_s: Float[np.ndarray, " pulse"],
    reference_s: Float[np.ndarray, " other"],
    *,
    tolerance_s: float = 0.01,
    near_s: float | None = None,
) -> Alignment:
    """Offset and drift from the same pulses seen on two clocks; pulses that one of them missed or invented are tolerated.

    The pairing that matches most pulses is taken, and a straight line through it, without the pairs that lie more
    than three robust standard deviations off. Fewer than three pairs give no drift, one gives no error.

    Parameters
    ----------
    device_s, reference_s : array
        Pulse times on the device's clock and on the recording's, see `pulse_times`.
    tolerance_s : float
        How far apart two pulses may lie once their clocks agree.
    near_s : float, optional
        The offset to within half the shortest pulse interval, where the pulses are evenly spaced.

    Raises
    ------
    SignalError
        If no pulse matches, or several pairings match as well: evenly spaced pulses fit at every multiple of their
        interval.
    """
    device, reference = np.sort(device_s), np.sort(reference_s)
    if not device.size or not reference.size:
        raise SignalError("there is no pulse to align by.")
    chosen = device[np.unique(np.linspace(0, device.size - 1, ANCHORS).astype(int))]
    offsets = np.unique(np.round(np.subtract.outer(reference, chosen).ravel() / tolerance_s)) * tolerance_s
    if near_s is not None:
        offsets = offsets[np.abs(offsets - near_s) <= _half_interval(device, reference, tolerance_s)]
    counts = np.array([_matches(device, reference, o, 0.0, 2 * tolerance_s)[0].size for o in offsets])
    best = offsets[np.argsort(-counts, kind="stable")[:ANCHORS]]
    fits = sorted((_fit_pulses(device, reference, o, tolerance_s) for o in best), key=lambda a: -a.n_points)
    if not fits or fits[0].n_points < 1:
        raise SignalError("no pulse of the device matches one of the reference.", remedy="Check both trigger channels.")
    found = fits[0]
    rivals = [f for f in fits if abs(_middle(f, device) - _middle(found, device)) > 3 * tolerance_s]
    if rivals and rivals[0].n_points >= 0.9 * found.n_points:
        raise SignalError(
            f"the pulses fit as well with an offset of {rivals[0].offset_s:.3f} s ({rivals[0].n_points} pairs) as of "
            f"{found.offset_s:.3f} s ({found.n_points} pairs).",
            remedy="State roughly what the offset is: near_s=….",
        )
    return found


def align_by_shared_signal(
    device: xr.DataArray, reference: xr.DataArray, *, max_offset_s: float | None = None, window_s: float = 10.0
) -> Alignment:
    """Offset and drift from a signal that both devices recorded, by its cross-correlation, whole and in windows.

    The highest correlation of the whole gives the offset; the same in windows of the device's recording, each refined
    to a part of a sample by a parabola, gives the drift and the error. Windows that correlate less than half as well
    as the whole are left out. Fewer than three windows give no drift.

    Parameters
    ----------
    device, reference : DataArray (time,)
        The shared signal on each clock; rates may differ, missing samples count for nothing, gain and offset do not
        matter, the sign does.
    max_offset_s : float, optional
        How far apart the clocks may be; without it, as far as leaves a fifth of the shorter signal overlapping.
    window_s : float
        Long enough to hold something that can be recognised.

    Raises
    ------
    SignalError
        If the signals correlate nowhere above .3.
    """
    rate = min(sampling_rate(device), sampling_rate(reference))
    first, second = _on_clock(device, rate), _on_clock(reference, rate)
    start, origin = float(device.time[0]), float(reference.time[0])
    whole = _best_lag(first, second, 0.2 * min(first.size, second.size))
    limit = np.inf if max_offset_s is None else max_offset_s
    middle = origin - start  # the offset at which both begin together
    if whole is None or whole[1] < LEAST_R or abs(middle + whole[0] / rate) > limit:
        raise SignalError(
            "the two signals are not recognised as the same"
            + (
                "."
                if whole is None
                else f" (highest r {whole[1]:.2f}, at an offset of {middle + whole[0] / rate:.3f} s)."
            ),
            remedy="Choose another shared signal, a trigger, or state the offset.",
        )
    coarse, r = whole
    size = round(window_s * rate)
    radius = round(max(MAX_DRIFT * first.size, 0.05 * rate))
    times, offsets = [], []
    for begin in range(0, first.size - size + 1, size):
        from_ = begin + round(coarse) - radius
        piece = _cut(second, from_, size + 2 * radius)
        local = _best_lag(first[begin : begin + size], piece, 0.7 * size)
        if local is not None and local[1] > 0.5 * r:
            times.append(start + (begin + 0.5 * size) / rate)
            offsets.append(middle + (from_ - begin + local[0]) / rate)
    if not times:
        return Alignment("shared signal", middle + coarse / rate, n_points=1)
    return _line("shared signal", np.array(times), np.array(times) + np.array(offsets))


def _fit_pulses(device: np.ndarray, reference: np.ndarray, offset: float, tolerance: float) -> Alignment:
    """Grow the pairing from the pulses near which an offset fits: match, fit a line, match again."""
    drift, fitted = 0.0, Alignment("trigger", offset, n_points=0)
    for reach in (2 * tolerance, 2 * tolerance, tolerance, tolerance, tolerance):
        mine, theirs = _matches(device, reference, offset, drift, reach)
        if not mine.size:
            return fitted
        fitted = _line("trigger", device[mine], reference[theirs])
        if abs(fitted.drift) > MAX_DRIFT:
            return Alignment("trigger", offset, n_points=0)
        offset, drift = fitted.offset_s, fitted.drift
    return fitted


def _matches(
    device: np.ndarray, reference: np.ndarray, offset: float, drift: float, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the pulses of both that are each other's nearest and lie within reach."""
    moved = offset + (1.0 + drift) * device
    nearest = _nearest(reference, moved)
    back = _nearest(moved, reference)
    mine = np.flatnonzero((np.abs(reference[nearest] - moved) <= reach) & (back[nearest] == np.arange(device.size)))
    return mine, nearest[mine]


def _nearest(among: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(among, wanted), 1, max(among.size - 1, 1))
    if among.size == 1:
        return np.zeros(wanted.size, dtype=int)
    return after - (wanted - among[after - 1] < among[after] - wanted)


def _half_interval(device: np.ndarray, reference: np.ndarray, least: float) -> float:
    steps = np.concatenate([np.diff(device), np.diff(reference)])
    return max(0.5 * float(steps.min()), least) if steps.size else np.inf


def _middle(alignment: Alignment, device: np.ndarray) -> float:
    return alignment.offset_s + (1.0 + alignment.drift) * float(device.mean())


def _line(method: str, x: np.ndarray, y: np.ndarray) -> Alignment:
    """y = offset + (1 + drift) · x without outliers; the error is the standard deviation of the residuals."""
    kept = np.ones(x.size, dtype=bool)
    slope, centre = 0.0, float(x.mean())
    level = float(np.median(y - x))
    for _ in range(5):
        if kept.sum() >= 3:
            slope, level = np.polyfit(x[kept] - centre, (y - x)[kept], 1)
        else:
            slope, level = 0.0, float(np.mean((y - x)[kept]))
        residual = y - x - level - slope * (x - centre)
        spread = 1.4826 * float(np.median(np.abs(residual[kept])))
        again = np.abs(residual) <= max(3.0 * spread, 1e-9)
        if np.array_equal(again, kept) or again.sum() < min(3, x.size):
            break
        kept = again
    n = int(kept.sum())
    freedom = n - (2 if n >= 3 else 1)
    error = float(np.sqrt(np.sum(residual[kept] ** 2) / freedom)) if freedom > 0 else float("nan")
    return Alignment(method, float(level - slope * centre), float(slope), error, n)


def _on_clock(signal: xr.DataArray, rate: float) -> Float[np.ndarray, " time"]:
    return resample_to(signal, uniform_clock(float(signal.time[0]), float(signal.time[-1]), rate)).values


def _cut(values: np.ndarray, start: int, size: int) -> np.ndarray:
    """values[start : start + size], NaN beyond the ends."""
    padded = np.full(size, np.nan)
    first, last = max(start, 0), min(start + size, values.size)
    if last > first:
        padded[first - start : last - start] = values[first:last]
    return padded


def _best_lag(first: np.ndarray, second: np.ndarray, overlap: float) -> tuple[float, float] | None:
    """The shift of `first` along `second`, in samples, with the highest r, and that r; None if there is none.

    r at each shift is the normalised correlation over the samples that both have there; fewer than `overlap` of them
    do not count. Both are centred as a whole before.
    """
    known = [np.isfinite(first).astype(np.float64), np.isfinite(second).astype(np.float64)]
    if min(k.sum() for k in known) < 3:
        return None
    a, b = (np.where(k > 0, v, 0.0) - k * v[k > 0].mean() for k, v in zip(known, (first, second)))

    def slide(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return sps.correlate(y, x, mode="full", method="fft")

    shared = slide(known[0], known[1])
    power = np.maximum(slide(a**2, known[1]), 0.0) * np.maximum(slide(known[0], b**2), 0.0)
    usable = (shared >= overlap) & (power > 1e-12 * power.max())
    if not usable.any():
        return None
    r = np.where(usable, slide(a, b) / np.sqrt(np.where(usable, power, 1.0)), -1.0)
    i = int(np.argmax(r))
    place = float(i)
    if 0 < i < r.size - 1 and usable[i - 1] and usable[i + 1]:
        bend = r[i - 1] - 2.0 * r[i] + r[i + 1]
        place += 0.5 * (r[i - 1] - r[i + 1]) / bend if bend < 0 else 0.0
    return place - (first.size - 1), float(r[i])
