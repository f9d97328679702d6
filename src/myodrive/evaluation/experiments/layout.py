"""Several signals of several recordings on one clock, and what chance would make of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from myodrive.conditioning.emg import filter_emg, rectify_emg
from myodrive.conditioning.kinematics import low_pass, resample_to, uniform_clock
from myodrive.conditioning.movements import find_cycles
from myodrive.conditioning.options import EmgConditioning
from myodrive.errors import SignalError
from myodrive.evaluation.decoding import Decoding
from myodrive.evaluation.references import Cycles, one_label
from myodrive.evaluation.scores import decodable_channels
from myodrive.learning.linear import mean_curve
from myodrive.recording import Recording


@dataclasses.dataclass(frozen=True)
class Layout:
    """Recordings behind each other on one uniform clock, apart by NaN, so that nothing reaches from one into the next."""

    time: Float[np.ndarray, " time"]  # in seconds from the start of the first
    columns: list[Float[np.ndarray, "time _"]]  # one array for each signal that was laid out
    cycles: Cycles  # of one side


def lay_out(
    recordings: Sequence[Recording], signals: Sequence[Sequence[xr.DataArray]], rate_hz: float, apart_s: float
) -> Layout:
    """Put signals (time, …) of each recording on a clock that all of them share.

    Parameters
    ----------
    recordings : sequence of Recording
        Their cycles come along, see `find_cycles`.
    signals : sequence of (sequence of DataArray)
        For each signal, that of each recording.
    rate_hz : float
    apart_s : float
        Between two recordings: at least the longest lag.

    Raises
    ------
    SignalError
        If the signals of a recording share no time.
    """
    n_apart = int(np.ceil(apart_s * rate_hz)) + 1
    parts: list[list[np.ndarray]] = [[] for _ in signals]
    cycles, n_before = [], 0
    for number, recording in enumerate(recordings):
        own = [signal[number] for signal in signals]
        first, last = max(float(s.time[0]) for s in own), min(float(s.time[-1]) for s in own)
        if not last - first > 2 / rate_hz:
            raise SignalError("the estimate and what it is compared with share no time.", where=recording.label)
        clock = uniform_clock(first, last, rate_hz)
        for part, signal in zip(parts, own):
            values = resample_to(signal, clock).values.reshape(clock.size, -1)
            part += [values, np.full((n_apart, values.shape[1]), np.nan)]
        moved = n_before / rate_hz - first
        cycles += [(start + moved, stop + moved, label) for start, stop, label in find_cycles(recording)]
        n_before += clock.size + n_apart
    columns = [np.concatenate(part[:-1]) for part in parts]
    return Layout(np.arange(len(columns[0])) / rate_hz, columns, one_label(cycles))


def same_channels(recordings: Sequence[Recording], name: str, wanted: Sequence[str] = ()) -> list[xr.DataArray]:
    """A signal (time, channel) of each recording, with the same channels in all.

    Parameters
    ----------
    wanted : sequence of str
        The channels; by default those of the first recording that can be decoded.

    Raises
    ------
    SignalError
        If a recording lacks one of them, or nothing in the first one varies.
    """
    signals = [recording[name].transpose("time", ...) for recording in recordings]
    first = decodable_channels(signals[0])
    dimension = first.dims[1]
    chosen = list(wanted) or list(first[dimension].values)
    for recording, signal in zip(recordings, signals):
        known = list(signal[dimension].values) if dimension in signal.dims else []
        missing = [c for c in chosen if c not in known]
        if missing:
            raise SignalError(
                f"no channel '{missing[0]}' in '{name}'. There are: {', '.join(map(str, known)) or 'none'}.",
                where=recording.label,
            )
    return [signal.sel({dimension: chosen}) for signal in signals]


def rectified_emg(recording: Recording, estimate: xr.DataArray) -> xr.DataArray:
    """The rectified EMG that the estimate was made from, of the same muscles, not smoothed."""
    emg = recording["emg"].sel(muscle=estimate.muscle.values)
    options = EmgConditioning()
    return rectify_emg(filter_emg(emg, options), options)


def also_smoothed(
    candidates: Sequence[Sequence[xr.DataArray]], cutoffs_hz: Sequence[float]
) -> list[Sequence[xr.DataArray]]:
    """The candidates, and each of them low-passed at each cut-off.

    A target that is smooth is decoded better by whatever is smooth, whether that is nearer the activation or not. So
    every method is given the same choice of smoothness, to be chosen on training samples like the lag.
    """
    return [*candidates, *([low_pass(e, c) for e in candidate] for candidate in candidates for c in cutoffs_hz)]


def complete(*columns: Float[np.ndarray, "time _"]) -> Bool[np.ndarray, " time"]:
    """The samples at which nothing is missing."""
    return np.all([np.isfinite(c).all(axis=1) for c in columns], axis=0)


def shifted_copies(
    target: Float[np.ndarray, "time target"],
    usable: Bool[np.ndarray, " time"],
    n_copies: int,
    least: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "time column"]:
    """The target turned round in time by random amounts, copy by copy: the same signal, related to nothing.

    Parameters
    ----------
    usable : array of bool
        The samples that are turned among themselves; the others become NaN.
    least : int
        Samples; no copy is moved by less, in either direction.

    Raises
    ------
    SignalError
        If there are too few samples to move them by that much.
    """
    kept = target[usable]
    if len(kept) < 4 * least:
        raise SignalError(f"{len(kept)} samples are too few to shift them by at least {least} against chance.")
    copies = np.full((n_copies, *target.shape), np.nan)
    for copy, shift in zip(copies, rng.integers(least, len(kept) - least, n_copies)):
        copy[usable] = np.roll(kept, shift, axis=0)
    return np.moveaxis(copies, 0, 1).reshape(len(target), -1)  # (time, copy × target)


def against_chance(
    decode: Callable[[np.ndarray], Decoding],
    target: Float[np.ndarray, "time target"],
    usable: Bool[np.ndarray, " time"],
    n_copies: int,
    least: int,
) -> tuple[Decoding, float, float]:
    """Decode a target and copies of it shifted in time: what was found, its score, and the share of copies that reach it.

    The score is the mean R² over columns, of the residual from cycle to cycle where the target has one.
    """
    found = decode(target)
    copies = decode(shifted_copies(target, usable, n_copies, least, np.random.default_rng(0)))
    measure = "residual_r2" if np.isfinite(found.residual_r2).any() else "r2"
    value = float(mean_curve(getattr(found, measure)))
    return found, value, chance(value, mean_curve(getattr(copies, measure).reshape(n_copies, -1).T))


def chance(value: float, surrogates: Float[np.ndarray, " surrogate"]) -> float:
    """The share of surrogates, with the value itself among them, that reach the value; 1 where there is no value."""
    if not np.isfinite(value):
        return 1.0
    return float((1 + np.sum(~(surrogates < value))) / (1 + surrogates.size))
