"""Conditioning of EMG in the published order, each step an option (Wimalasena et al. 2022, 10.1088/1741-2552/ac6369).

notch list → zero-phase high-pass → (ECG removal) → rectify → polyphase resampling and rectify again → clip at a
quantile → divide by a scale. The last two are learned over all training trials: `normalisation.Normalisation`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from scipy import signal as sps

from myodrive.errors import SignalError
from myodrive.recording import gap_free_runs, sampling_rate

Positive = Annotated[float, Field(gt=0)]
Fractional = Annotated[float, Field(gt=0, le=1)]


class EmgConditioning(BaseModel):
    """Options of the conditioning; the defaults are those of the published chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notch_hz: tuple[
        tuple[Positive, Positive], ...
    ] = ()  # (centre, width) each; mains differ by country, so none unasked
    highpass_hz: Positive | None = 65.0  # published; removes motion artefacts and most of the ECG
    highpass_order: Annotated[int, Field(ge=1, le=10)] = 4
    resample_hz: Positive | None = 500.0  # 2 ms bins as published; never raised above the recording's own rate
    clip_quantile: Fractional = 0.999  # single-sample artefacts would otherwise own the scale and the likelihood
    relative_to: Literal["q95", "task_maximum", "mvc"] = "q95"
    scale_quantile: Fractional = 0.95  # of the rectified EMG, for relative_to="q95"
    peak_window_s: Positive = 0.5  # moving window whose peak mean is the maximum, for "task_maximum" and "mvc"


def filter_emg(emg: xr.DataArray, options: EmgConditioning) -> xr.DataArray:
    """Notch and high-pass filters, zero-phase, within each gap-free stretch; what is an envelope already is left alone.

    Parameters
    ----------
    emg : DataArray (time, muscle)
        Any unit. Missing samples are NaN and stay NaN. The attribute ``stage`` says what it is; "raw" without one.

    Returns
    -------
    DataArray (time, muscle)
        Same clock and unit, stage "filtered" if it was "raw".

    Raises
    ------
    SignalError
        If a cut-off is not below half the sampling rate.
    """
    if emg.attrs.get("stage", "raw") != "raw":
        return emg
    rate = sampling_rate(emg)
    sections = _sections(options, rate)
    values = np.asarray(emg.values, dtype=np.float64)
    result = np.full(values.shape, np.nan)
    for muscle in range(values.shape[1]):
        for run in gap_free_runs(emg.time.values, np.isfinite(values[:, muscle])):
            result[run, muscle] = _zero_phase(sections, values[run, muscle])
    return emg.copy(data=result).assign_attrs(stage="filtered")


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
    from myodrive.conditioning.normalisation import Normalisation

    options = options or EmgConditioning()
    rectified = rectify_emg(filter_emg(emg, options), options)
    return Normalisation.fit([rectified], options).apply(rectified)


def _sections(options: EmgConditioning, rate: float) -> Float[np.ndarray, "section 6"]:
    wanted = [("notch", c + w / 2) for c, w in options.notch_hz]
    wanted += [("high-pass", options.highpass_hz)] if options.highpass_hz else []
    for kind, frequency in wanted:
        if frequency >= rate / 2:
            raise SignalError(
                f"the {kind} filter at {frequency:g} Hz needs a sampling rate above {2 * frequency:g} Hz, and this is {rate:g} Hz.",
                remedy="If this is an envelope already, say so: --already envelope (stage='envelope' in Python).",
            )
    parts = [sps.tf2sos(*sps.iirnotch(c, c / w, fs=rate)) for c, w in options.notch_hz]
    if options.highpass_hz:
        parts.append(sps.butter(options.highpass_order, options.highpass_hz, "highpass", fs=rate, output="sos"))
    return np.concatenate(parts) if parts else np.empty((0, 6))


def _zero_phase(sections: np.ndarray, values: np.ndarray) -> np.ndarray:
    if not len(sections):
        return values
    pad = min(3 * (2 * len(sections) + 1), values.size - 1)
    return sps.sosfiltfilt(sections, values, padlen=max(pad, 0))


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
