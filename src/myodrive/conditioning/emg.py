"""Conditioning of EMG in the published order, each step an option (Wimalasena et al. 2022, 10.1088/1741-2552/ac6369).

notch list → zero-phase high-pass (and low-pass) → ECG removal → rectify → polyphase resampling and rectify again → clip at
a quantile → divide by a scale. The last two are learned over all training trials: `normalisation.Normalisation`.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from scipy import signal as sps

from myodrive.conditioning.ecg import find_heartbeats, subtract_heartbeats
from myodrive.conditioning.normalisation import Normalisation
from myodrive.conditioning.options import EmgConditioning
from myodrive.errors import OptionError, SignalError
from myodrive.recording import gap_free_runs, sampling_rate


def filter_emg(emg: xr.DataArray, options: EmgConditioning) -> xr.DataArray:
    """Notch, high-pass and low-pass filters, zero-phase, within each gap-free stretch, then ECG removal.

    What is filtered, rectified or an envelope already is left alone.

    Parameters
    ----------
    emg : DataArray (time, muscle)
        Any unit. Missing samples are NaN and stay NaN; so does a stretch shorter than one period of the lowest cut-off,
        which cannot be filtered. The attribute ``stage`` says what it is; "raw" without one.

    Returns
    -------
    DataArray (time, muscle)
        Same clock and unit, stage "filtered" if it was "raw". Where ``ecg="template"``, its attribute ``ecg`` tells what
        was found.

    Raises
    ------
    SignalError
        If a cut-off is not below half the sampling rate, or the clock is not regular.
    OptionError
        If `ecg_muscles` names a muscle that is not there, or the high-pass is not below the low-pass.
    """
    if emg.attrs.get("stage", "raw") != "raw":
        return emg
    rate = sampling_rate(emg)
    with_heart = _with_heart(emg, options)
    values = np.asarray(emg.values, dtype=np.float64)
    result = np.full(values.shape, np.nan)
    for muscle in range(values.shape[1]):
        heart = options.ecg == "high-pass" and bool(with_heart[muscle])
        sections = _sections(options, rate, heart)
        period = round(rate / min(_cutoffs(options, heart), default=rate))
        for run in gap_free_runs(emg.time.values, np.isfinite(values[:, muscle])):
            _check_clock(emg.time.values[run], rate)
            result[run, muscle] = _zero_phase(sections, values[run, muscle], period)
    filtered = emg.copy(data=result).assign_attrs(stage="filtered")
    return _without_heartbeats(emg, filtered, with_heart, rate) if options.ecg == "template" else filtered


def rectify_emg(filtered: xr.DataArray, options: EmgConditioning) -> xr.DataArray:
    """Rectify, resample by a polyphase filter within each gap-free stretch, and rectify again.

    Returns
    -------
    DataArray (time, muscle)
        At ``resample_hz``, or at the recording's own rate if that is lower; stage "rectified", or "envelope" if the
        input was one.
    """
    stage = filtered.attrs.get("stage", "raw")
    rate = sampling_rate(filtered)
    rectified = filtered.copy(data=np.abs(np.asarray(filtered.values, dtype=np.float64)))
    rectified = rectified.assign_attrs(stage="envelope" if stage == "envelope" else "rectified")
    target = options.resample_hz
    if target is None or rate <= target * (1 + 1e-9):
        return rectified
    return _resample(rectified, rate, target)


def condition_emg(emg: xr.DataArray, options: EmgConditioning | None = None) -> xr.DataArray:
    """The whole chain on one trial: filtered, rectified, resampled, clipped and scaled by what this trial itself gives.

    For several trials of a subject learn the scale over all of them: fit a `Normalisation`, or any estimator.

    Examples
    --------
    >>> import numpy as np
    >>> from myodrive.recording import make_signal
    >>> noise = np.random.default_rng(0).normal(size=(4000, 1))
    >>> emg = make_signal(noise, ("time", "muscle"), {"muscle": ["soleus"]}, units="V", rate_hz=2000)
    >>> condition_emg(emg).sizes["time"]
    1000
    """
    options = options or EmgConditioning()
    rectified = rectify_emg(filter_emg(emg, options), options)
    return Normalisation.fit([rectified], options).apply(rectified)


def _with_heart(emg: xr.DataArray, options: EmgConditioning) -> Bool[np.ndarray, " muscle"]:
    muscles = [str(m) for m in emg.muscle.values]
    unknown = [m for m in options.ecg_muscles if m not in muscles]
    if unknown:
        raise OptionError(f"ecg_muscles names {', '.join(unknown)}, and there is only {', '.join(muscles)}.")
    return np.array([not options.ecg_muscles or m in options.ecg_muscles for m in muscles], dtype=bool)


def _without_heartbeats(
    raw: xr.DataArray, filtered: xr.DataArray, wanted: Bool[np.ndarray, " muscle"], rate: float
) -> xr.DataArray:
    """Beats are found in the raw EMG, where the heart is larger, and subtracted after the filters, which are linear."""
    clearest, beats = find_heartbeats(np.asarray(raw.values, dtype=np.float64), rate)
    if clearest < 0:
        return filtered.assign_attrs(ecg="no heartbeats were found, so none were subtracted")
    values = filtered.values.copy()
    for muscle in np.flatnonzero(wanted):
        values[:, muscle] = subtract_heartbeats(values[:, muscle], beats, rate)
    said = f"the median of {beats.size} heartbeats, found in {raw.muscle.values[clearest]}, was subtracted"
    return filtered.copy(data=values).assign_attrs(ecg=said)


def _highpass_hz(options: EmgConditioning, heart: bool) -> float | None:
    return max(options.highpass_hz or 0.0, options.ecg_highpass_hz) if heart else options.highpass_hz


def _cutoffs(options: EmgConditioning, heart: bool) -> list[float]:
    return [f for f in (_highpass_hz(options, heart), options.lowpass_hz, *(c for c, _ in options.notch_hz)) if f]


def _sections(options: EmgConditioning, rate: float, heart: bool) -> Float[np.ndarray, "section 6"]:
    highpass = _highpass_hz(options, heart)
    wanted = [("notch", c + w / 2) for c, w in options.notch_hz]
    wanted += [(k, f) for k, f in (("high-pass", highpass), ("low-pass", options.lowpass_hz)) if f]
    for kind, frequency in wanted:
        if frequency >= rate / 2:
            envelope = "If this is an envelope already, say so: --already envelope (stage='envelope' in Python)."
            raise SignalError(
                f"the {kind} filter at {frequency:g} Hz needs a sampling rate above {2 * frequency:g} Hz, and this is {rate:g} Hz.",
                remedy="Leave it out: what it removes is not in this recording." if kind == "notch" else envelope,
            )
    if highpass and options.lowpass_hz and highpass >= options.lowpass_hz:
        raise OptionError(f"the high-pass at {highpass:g} Hz is not below the low-pass at {options.lowpass_hz:g} Hz.")
    parts = [sps.tf2sos(*sps.iirnotch(c, c / w, fs=rate)) for c, w in options.notch_hz]
    if highpass:
        parts.append(sps.butter(options.highpass_order, highpass, "highpass", fs=rate, output="sos"))
    if options.lowpass_hz:
        parts.append(sps.butter(options.highpass_order, options.lowpass_hz, "lowpass", fs=rate, output="sos"))
    return np.concatenate(parts) if parts else np.empty((0, 6))


def _check_clock(time: np.ndarray, rate: float) -> None:
    """Refuse a clock that wanders by more than a sample from even steps; rounded time stamps do not."""
    even = np.linspace(time[0], time[-1], time.size)
    worst = int(np.argmax(np.abs(time - even)))
    if abs(time[worst] - even[worst]) * rate > 1.5:
        raise SignalError(
            f"the samples are not evenly spaced: at {time[worst]:.3f} s the clock is "
            f"{abs(time[worst] - even[worst]) * rate:.1f} samples away from a steady {rate:g} Hz.",
            remedy="Export the EMG at its own constant rate, or resample it first.",
        )


def _zero_phase(sections: np.ndarray, values: np.ndarray, period: int) -> np.ndarray:
    """Forwards and backwards; NaN where the stretch is shorter than a period, because nothing of it would be known."""
    if not len(sections):
        return values
    if values.size <= period:
        return np.full(values.size, np.nan)
    pad = min(max(3 * (2 * len(sections) + 1), period), values.size - 1)
    return sps.sosfiltfilt(sections, values, padlen=pad)


def _resample(rectified: xr.DataArray, rate: float, target: float) -> xr.DataArray:
    ratio = Fraction(target / rate).limit_denominator(1000)
    time = rectified.time.values
    step = rate * float(ratio)
    n_new = int(np.floor((time[-1] - time[0]) * step * (1 + 1e-12))) + 1
    clock = time[0] + np.arange(n_new) / step
    values = np.full((n_new, rectified.sizes["muscle"]), np.nan)
    for muscle in range(values.shape[1]):
        column = rectified.values[:, muscle]
        for run in gap_free_runs(time, np.isfinite(column)):
            piece = sps.resample_poly(column[run], ratio.numerator, ratio.denominator, padtype="line")
            first = (time[run.start] - time[0]) * step
            start = int(np.ceil(first - 1e-6))
            own = first + np.arange(piece.size)
            places = np.arange(start, min(n_new, int(np.floor(own[-1] + 1e-6)) + 1))
            values[places, muscle] = np.abs(np.interp(places, own, piece))
    coords = {k: v for k, v in rectified.coords.items() if "time" not in v.dims}
    time_coord = ("time", clock, {"units": "s"})
    return xr.DataArray(values, dims=rectified.dims, coords={"time": time_coord, **coords}, attrs=rectified.attrs)
