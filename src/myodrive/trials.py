"""Trials of EMG as the estimators see them, and estimates put back on the clock that they came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.errors import SignalError
from myodrive.recording import Recording, Study, gap_free_runs

Trials = Recording | Study | xr.DataArray
MIN_SAMPLES = 50  # shorter than this, the high-pass filter's own transient is longer than the recording


def as_trials(data: Trials) -> list[xr.DataArray]:
    """The EMG of one or several trials, each (time, muscle).

    Raises
    ------
    SignalError
        If there is no signal ``emg``, nothing in it, or its dimensions are others.
    """
    if isinstance(data, Study):
        trials = [recording["emg"] for recording in data]
    elif isinstance(data, Recording):
        trials = [data["emg"]]
    elif data.dims == ("trial", "time", "muscle"):
        trials = [data.isel(trial=i) for i in range(data.sizes["trial"])]
    else:
        trials = [data]
    for trial in trials:
        if trial.dims != ("time", "muscle"):
            raise SignalError(
                f"EMG has the dimensions (time, muscle) or (trial, time, muscle), not {tuple(trial.dims)}."
            )
        if trial.sizes["time"] < MIN_SAMPLES:
            raise SignalError(
                f"the EMG has {trial.sizes['time']} samples; at least {MIN_SAMPLES} are needed.",
                remedy="Check that the file is complete.",
            )
    if not trials:
        raise SignalError("there is no trial in it.")
    return trials


def as_contractions(mvc: Trials | Sequence[Trials] | None) -> list[xr.DataArray]:
    if mvc is None:
        return []
    several = [mvc] if isinstance(mvc, Recording | Study | xr.DataArray) else mvc
    return [trial for one in several for trial in as_trials(one)]


def to_clock(values: np.ndarray, old_s: np.ndarray, new_s: np.ndarray) -> np.ndarray:
    """Place an estimate (time, muscle) on another clock, linearly between neighbours and never across missing samples."""
    if old_s.size == new_s.size and np.array_equal(old_s, new_s):
        return values
    placed = np.full((new_s.size, values.shape[1]), np.nan)
    for muscle in range(values.shape[1]):
        for run in gap_free_runs(old_s, np.isfinite(values[:, muscle])):
            half = 0.5 * (old_s[1] - old_s[0])
            inside = (new_s >= old_s[run][0] - half) & (new_s <= old_s[run][-1] + half)
            placed[inside, muscle] = np.interp(new_s[inside], old_s[run], values[run, muscle])
    return placed


def per_run(
    trial: xr.DataArray, kernel: Callable[[np.ndarray], np.ndarray], shortest: int = 1
) -> Float[np.ndarray, "time muscle"]:
    """Apply a kernel of one muscle's array (time,) to every gap-free stretch of every muscle; NaN elsewhere.

    Stretches of fewer than `shortest` samples stay NaN.
    """
    values = trial.values
    result = np.full(values.shape, np.nan)
    for muscle in range(values.shape[1]):
        for run in gap_free_runs(trial.time.values, np.isfinite(values[:, muscle])):
            if run.stop - run.start >= shortest:
                result[run, muscle] = kernel(values[run, muscle])
    return result
