"""The average cycle, and the average around an event, with their spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from myodrive.conditioning.movements import time_normalise
from myodrive.errors import OptionError
from myodrive.recording import sampling_rate


def average_cycles(signal: xr.DataArray, cycles: Sequence[tuple[float, float, str]], n_points: int = 101) -> xr.Dataset:
    """Mean and spread over cycles, each stretched to 0–100 per cent of its own length.

    Parameters
    ----------
    signal : DataArray (time, muscle)
        NaN is a gap; a cycle that a gap touches in one muscle does not count for that muscle.
    cycles : sequence of (start_s, stop_s, label)
        As `find_cycles` gives them.
    n_points : int
        Points of the average cycle; 101 gives one for each per cent.

    Returns
    -------
    Dataset
        ``mean`` and ``sd`` (phase, muscle), with n − 1 in the denominator of the variance and NaN for a single cycle,
        and ``n`` (muscle), the number of cycles.

    Raises
    ------
    OptionError
        If a cycle does not last, or there are fewer than two points.
    """
    if n_points < 2:
        raise OptionError(f"an average cycle needs at least 2 points, not {n_points}.")
    for start, stop, label in cycles:
        if not stop > start:
            raise OptionError(f"the cycle '{label}' from {start:g} s to {stop:g} s does not last.")
    return _average(time_normalise(signal, cycles, n_points))


def average_events(signal: xr.DataArray, times: Sequence[float], before_s: float, after_s: float) -> xr.Dataset:
    """Mean and spread over events, on a clock that is 0 at the event.

    Parameters
    ----------
    signal : DataArray (time, muscle)
    times : sequence of float
        Of the events, in seconds.
    before_s, after_s : float
        How much of the signal before and after each event.

    Returns
    -------
    Dataset
        As of `average_cycles`, over ``lag`` in seconds instead of ``phase``.

    Raises
    ------
    OptionError
        If the two together are less than two samples long.
    """
    n_points = round((before_s + after_s) * sampling_rate(signal)) + 1
    if n_points < 2:
        raise OptionError(f"{before_s:g} s before and {after_s:g} s after an event are less than two samples.")
    around = time_normalise(signal, [(float(t) - before_s, float(t) + after_s, "") for t in times], n_points)
    lag = np.linspace(-before_s, after_s, n_points)
    return _average(around).rename(phase="lag").assign_coords(lag=("lag", lag, {"units": "s"}))


def cycles_of_side(cycles: Sequence[tuple[float, float, str]], side: str) -> list[tuple[float, float, str]]:
    """The cycles that a muscle of this side goes by: those of its own side, or else those of the label that comes first.

    Cycles of the two sides overlap, so they are never averaged together.
    """
    labels = [label for _, _, label in cycles]
    chosen = side if side in labels else (labels[0] if labels else "")
    return [cycle for cycle in cycles if cycle[2] == chosen]


def _average(matrix: xr.DataArray) -> xr.Dataset:
    """Mean, sd and n over the whole cycles of a cycle matrix (cycle, phase, muscle)."""
    values = matrix.transpose("cycle", "phase", "muscle").values
    whole = np.isfinite(values).all(axis=1, keepdims=True)  # (cycle, 1, muscle)
    n = whole.sum(axis=0)
    mean = _divided(np.where(whole, values, 0.0).sum(axis=0), n)
    sd = np.sqrt(_divided(np.where(whole, (values - mean) ** 2, 0.0).sum(axis=0), n - 1))
    coords: dict[Any, Any] = {k: v for k, v in matrix.coords.items() if "cycle" not in v.dims}
    dims = ("phase", "muscle")
    return xr.Dataset({"mean": (dims, mean), "sd": (dims, sd), "n": (("muscle",), n[0])}, coords=coords)


def _divided(total: np.ndarray, n: np.ndarray) -> np.ndarray:
    """`total` by `n`; NaN where there is nothing to divide by."""
    return np.divide(total, n, out=np.full(total.shape, np.nan), where=np.broadcast_to(n > 0, total.shape))
