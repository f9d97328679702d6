"""Motion and other slow signals: derivatives that never cross a gap, and one signal put on the clock of another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from scipy import signal as sps

from myodrive.errors import OptionError, SignalError
from myodrive.recording import Recording, gap_free_runs, sampling_rate

POLYNOMIAL = 3  # odd, so that the smoothed value and the second derivative gain an order for nothing


def condition_motion(recording: Recording, *, signal: str = "angles", cutoff_hz: float = 6.0) -> xr.Dataset:
    """Joint angles with their velocity and acceleration, smoothed at one stated cut-off.

    Parameters
    ----------
    recording : Recording
    signal : str
        The signal that holds the angles (time, joint).
    cutoff_hz : float
        See `differentiate`. 6 Hz is the custom for gait and for unhurried arm movements.

    Returns
    -------
    Dataset
        ``angle``, ``velocity`` (per s) and ``acceleration`` (per s²) over (time, joint), NaN where the angles are
        missing.

    Raises
    ------
    SignalError
        If there is no such signal, or its clock is not uniform.
    """
    angles = recording[signal]
    names = ("angle", "velocity", "acceleration")
    return xr.Dataset({name: differentiate(angles, order, cutoff_hz) for order, name in enumerate(names)})


def differentiate(signal: xr.DataArray, order: int, cutoff_hz: float) -> xr.DataArray:
    """Smooth a signal (order 0) or take its first or second derivative, by a Savitzky–Golay filter.

    Each sample is the value or derivative of the cubic that fits its neighbourhood best, so nothing is delayed. The
    neighbourhood is the shortest whose smoothing passes no more than half the power at `cutoff_hz`
    (Schafer 2011, 10.1109/MSP.2011.941097). Each gap-free stretch is filtered alone; a stretch shorter than the
    neighbourhood becomes NaN.

    Parameters
    ----------
    signal : DataArray (time, …)
        On a uniform clock within each stretch.
    order : int
        0, 1 or 2.
    cutoff_hz : float

    Returns
    -------
    DataArray
        Same clock and labels; the unit is per s or per s² for the derivatives, and the attribute ``window_s`` is the
        length of the neighbourhood.

    Raises
    ------
    OptionError
        If the order is not 0, 1 or 2, or the cut-off not below half the sampling rate.
    SignalError
        If the samples are unevenly spaced within a stretch.

    Examples
    --------
    >>> from myodrive.recording import make_signal
    >>> t = np.arange(0, 1, 0.01)
    >>> angle = make_signal(t[:, None] ** 2, ("time", "joint"), {"joint": ["knee"]}, units="deg", rate_hz=100)
    >>> bool(np.allclose(differentiate(angle, 1, 6.0).values[:, 0], 2 * t))
    True
    """
    if order not in (0, 1, 2):
        raise OptionError(f"derivatives of order 0, 1 and 2 are known, not {order}.")
    rate = sampling_rate(signal)
    half = half_window(cutoff_hz, rate)
    length = 2 * half + 1

    def kernel(values: np.ndarray) -> np.ndarray:
        if len(values) < length:
            return np.full(values.shape, np.nan)
        return sps.savgol_filter(values, length, POLYNOMIAL, deriv=order, delta=1.0 / rate, axis=0, mode="interp")

    units = str(signal.attrs.get("units", ""))
    attrs = {"units": units + ("", "/s", "/s²")[order], "cutoff_hz": float(cutoff_hz), "window_s": 2 * half / rate}
    return _in_each_stretch(signal, kernel).assign_attrs(attrs)


def low_pass(signal: xr.DataArray, cutoff_hz: float, order: int = 4) -> xr.DataArray:
    """Zero-phase Butterworth low-pass of each gap-free stretch; half the amplitude passes at `cutoff_hz`.

    Raises
    ------
    OptionError
        If the cut-off is not below half the sampling rate.
    SignalError
        If the samples are unevenly spaced within a stretch.
    """
    rate = sampling_rate(signal)
    _check_cutoff(cutoff_hz, rate)
    sections = sps.butter(order, cutoff_hz, fs=rate, output="sos")
    settle = round(rate / cutoff_hz)

    def kernel(values: np.ndarray) -> np.ndarray:
        return sps.sosfiltfilt(sections, values, axis=0, padlen=min(settle, len(values) - 1))

    return _in_each_stretch(signal, kernel)


def resample_to(
    signal: xr.DataArray, time: Float[np.ndarray, " new"], *, lag_s: float = 0.0, cutoff_hz: float | None = None
) -> xr.DataArray:
    """A signal on another clock: linear between neighbours, NaN in its gaps and beyond its ends.

    Parameters
    ----------
    signal : DataArray (time, …)
    time : array
        The new clock in seconds; it may have any spacing.
    lag_s : float
        By how much the signal comes late: the result at time t is the signal at t + `lag_s`. Kept as an attribute.
    cutoff_hz : float, optional
        Low-pass before, see `low_pass`. Without one .4 of the new rate where that is lower than the old, so that
        nothing folds back, and none otherwise.
    """
    old_rate, steps = sampling_rate(signal), np.diff(time)
    new_rate = 1.0 / float(np.median(steps)) if steps.size else np.inf
    if cutoff_hz is None and new_rate < 0.99 * old_rate:
        cutoff_hz = 0.4 * new_rate
    source = signal
    if cutoff_hz is not None and cutoff_hz < old_rate / 2:
        if not _is_even(signal.time.values):  # a filter needs even steps
            even = uniform_clock(float(signal.time[0]), float(signal.time[-1]), old_rate)
            source = resample_to(signal, even, cutoff_hz=np.inf)
        source = low_pass(source, cutoff_hz)
    columns = _columns(source)
    old, new = source.time.values, time + lag_s
    values = np.full((time.size, columns.shape[1]), np.nan)
    reach = 1e-6 / old_rate if np.isfinite(old_rate) else 0.0  # clocks that agree to rounding meet at the ends
    for alike, run in _gap_free_parts(old, columns):
        inside = (new >= old[run][0] - reach) & (new <= old[run][-1] + reach)
        for i in alike:
            values[inside, i] = np.interp(new[inside], old[run], columns[run, i])
    dims = ("time", *(d for d in signal.dims if d != "time"))
    coords = {k: v for k, v in signal.coords.items() if "time" not in v.dims}
    coords["time"] = xr.DataArray(time, dims="time", attrs={"units": "s"})
    shaped = values.reshape(time.size, *(signal.sizes[d] for d in dims[1:]))
    attrs = {**signal.attrs, "lag_s": float(lag_s)}
    return xr.DataArray(shaped, dims=dims, coords=coords, attrs=attrs)


def uniform_clock(start_s: float, stop_s: float, rate_hz: float) -> Float[np.ndarray, " time"]:
    """The times from start to stop, the last included where it falls on a sample."""
    return start_s + np.arange(int(np.floor((stop_s - start_s) * rate_hz + 1e-6)) + 1) / rate_hz


@functools.cache
def half_window(cutoff_hz: float, rate: float) -> int:
    """The fewest samples to each side whose smoothing passes no more than half the power at the cut-off."""
    _check_cutoff(cutoff_hz, rate)

    def gain(half: int) -> float:
        taps = sps.savgol_coeffs(2 * half + 1, POLYNOMIAL)
        turns = np.exp(-2j * np.pi * cutoff_hz / rate * np.arange(-half, half + 1))
        return float(abs(taps @ turns))

    half = POLYNOMIAL // 2 + 1
    while gain(half) > np.sqrt(0.5):
        half += 1
    return half


def _check_cutoff(cutoff_hz: float, rate: float) -> None:
    if not 0 < cutoff_hz < rate / 2:
        raise OptionError(f"the cut-off must lie between 0 and half the sampling rate of {rate:g} Hz, not {cutoff_hz}.")


def _columns(signal: xr.DataArray) -> Float[np.ndarray, "time column"]:
    values = signal.transpose("time", ...).values.astype(np.float64)
    return values.reshape(values.shape[0], -1)


def _in_each_stretch(signal: xr.DataArray, kernel: Callable[[np.ndarray], np.ndarray]) -> xr.DataArray:
    """Apply a kernel (time, column) to gap-free stretches; NaN elsewhere."""
    columns, time = _columns(signal), signal.time.values
    result = np.full(columns.shape, np.nan)
    for alike, run in _gap_free_parts(time, columns):
        _check_even(time[run])
        result[run, alike] = kernel(columns[run, alike])
    turned = signal.transpose("time", ...)
    return turned.copy(data=result.reshape(turned.shape)).transpose(*signal.dims)


def _gap_free_parts(
    time: Float[np.ndarray, " time"], columns: Float[np.ndarray, "time column"]
) -> Iterator[tuple[Int[np.ndarray, " alike"], slice]]:
    """Columns that lack the same samples, with each stretch in which they have all."""
    known = np.isfinite(columns)
    same = (known == known[:, :1]).all()  # nearly always, and looked up at once
    patterns, kind = (known[:, :1], np.zeros(known.shape[1])) if same else np.unique(known, axis=1, return_inverse=True)
    for k, pattern in enumerate(patterns.T):
        alike = np.flatnonzero(kind.ravel() == k)
        for run in gap_free_runs(time, pattern):
            yield alike, run


def _check_even(time: Float[np.ndarray, " time"]) -> None:
    if not _is_even(time):
        raise SignalError(
            f"the samples are unevenly spaced ({np.diff(time).min():g} to {np.diff(time).max():g} s).",
            remedy="Put the signal on a uniform clock first: conditioning.kinematics.resample_to.",
        )


def _is_even(time: Float[np.ndarray, " time"]) -> bool:
    """Whether the steps agree to a tenth, gaps left aside."""
    steps = np.diff(time)
    inside = steps[steps <= 1.5 * np.median(steps)] if steps.size else steps
    return not inside.size or bool(np.ptp(inside) <= 0.1 * np.median(steps))
