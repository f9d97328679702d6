"""From normalised trials to the arrays that the network reads, and back to the trial's clock."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Float32, Int

from myodrive.conditioning.windows import stretches, window_starts
from myodrive.errors import SignalError
from myodrive.from_emg.lfads.alignment import Alignment, align
from myodrive.from_emg.lfads.densities import DENSITIES, FLOOR
from myodrive.from_emg.lfads.objective import Windows, take
from myodrive.recording import sampling_rate
from myodrive.trials import to_clock


class HeldOut(NamedTuple):
    """The windows of validation."""

    emg: Float32[np.ndarray, "window bin muscle"]
    x: Float32[np.ndarray, "window bin feature"]
    present: Float32[np.ndarray, "window bin muscle"]


@dataclasses.dataclass(frozen=True)
class Piece:
    """A gap-free stretch of a trial in bins."""

    emg: Float[np.ndarray, "bin muscle"]  # normalised; NaN where missing
    external: Float[np.ndarray, "bin channel"]  # known inputs, in their own unit; NaN where missing
    session: int = 0

    def __len__(self) -> int:
        return len(self.emg)


def samples_per_bin(trial: xr.DataArray, bin_s: float) -> int:
    """How many samples of a trial a bin covers.

    Raises
    ------
    SignalError
        If the sampling rate does not divide into bins of this length.
    """
    rate = sampling_rate(trial)
    n = max(1, round(bin_s * rate))
    if abs(n / rate - bin_s) > 0.01 * bin_s:
        raise SignalError(
            f"a sampling rate of {rate:g} Hz does not divide into the bins of {1000 * bin_s:g} ms of the training.",
            remedy="Estimate at the sampling rate that was trained at.",
        )
    return n


def pieces_of(trial: xr.DataArray, n_per_bin: int, session: int = 0, n_known: int = 0) -> list[Piece]:
    """The gap-free stretches of a trial in bins, each with its part of the attribute ``external`` (time, …).

    `n_known` is how many channels that has; a trial without it has them missing.
    """
    external = trial.attrs.get("external")
    return [
        Piece(binned, external_bins(external, trial.time.values[run], n_per_bin, n_known), session)
        for run, binned in binned_stretches(trial, n_per_bin)
    ]


@dataclasses.dataclass(frozen=True)
class Bins:
    """Pieces laid end to end, and the statistics of what the network reads; of several sessions one row for each."""

    emg: Float[np.ndarray, "bin muscle"]
    external: Float[np.ndarray, "bin channel"]
    session: Int[np.ndarray, " bin"]
    lengths: list[int]
    n_session: int
    centre: Float[np.ndarray, "*session feature"]
    scale: Float[np.ndarray, "*session feature"]
    known_centre: Float[np.ndarray, " channel"]
    known_scale: Float[np.ndarray, " channel"]

    @classmethod
    def of(cls, pieces: list[Piece]) -> Bins:
        emg, external = (np.concatenate([getattr(p, name) for p in pieces]) for name in ("emg", "external"))
        lengths = [len(p) for p in pieces]
        session = np.repeat([p.session for p in pieces], lengths)
        n_session = int(session.max()) + 1
        statistics = [feature_statistics(emg[session == s]) for s in range(n_session)]
        centre, scale = (np.stack(a) if n_session > 1 else a[0] for a in zip(*statistics))
        return cls(emg, external, session, lengths, n_session, centre, scale, *mean_and_spread(external))

    def windows(self, starts: Int[np.ndarray, " start"], window: int) -> Windows:
        """Where windows may start in them."""
        several, n_known = self.n_session > 1, self.external.shape[1]
        return as_windows(
            self.emg,
            self.centre[self.session] if several else self.centre,
            self.scale[self.session] if several else self.scale,
            starts,
            window,
            known=external_input(self.external, self.known_centre, self.known_scale) if n_known else None,
            session=self.session if several else None,
        )

    def null(self, density: str) -> Float[np.ndarray, "*session parameter muscle"]:
        """The parameters of the density that ignores time."""
        fit = DENSITIES[density].fit
        if self.n_session == 1:
            return fit(self.emg)
        return np.stack([fit(self.emg[self.session == s]) for s in range(self.n_session)])

    def alignment(self, n_factor: int) -> Alignment | None:
        """Where the read-ins and read-outs of several sessions start."""
        if self.n_session == 1:
            return None
        _, x, present = network_input(self.emg, self.centre[self.session], self.scale[self.session])
        log_scale = self.scale[:, : self.emg.shape[1]]
        return align(x, present, self.session, log_scale, n_factor, n_factor)


def external_bins(
    signal: xr.DataArray | None, time: Float[np.ndarray, " time"], n_per_bin: int, n_channel: int
) -> Float[np.ndarray, "bin channel"]:
    """A signal on the clock of a stretch, as means over its bins; NaN where it is missing.

    Whatever dimensions there are beside ``time`` become one. It is placed linearly between neighbours and never across
    missing samples.
    """
    n_bin = -(-time.size // n_per_bin)
    if signal is None or not n_channel:
        return np.full((n_bin, n_channel), np.nan)
    columns = signal.transpose("time", ...).values.reshape(signal.sizes["time"], -1).astype(np.float64)
    if columns.shape[1] != n_channel:
        raise SignalError(
            f"the known input has {columns.shape[1]} channels here, and {n_channel} elsewhere.",
            remedy="Give every recording the same channels of it; missing samples may be NaN.",
        )
    placed = np.full((n_bin * n_per_bin, columns.shape[1]), np.nan)
    placed[: time.size] = to_clock(columns, signal.time.values, time)
    grouped = placed.reshape(n_bin, n_per_bin, -1)
    present = np.isfinite(grouped)
    total = np.where(present, grouped, 0.0).sum(axis=1)
    return np.where(present.any(axis=1), total / np.maximum(present.sum(axis=1), 1), np.nan)


def external_input(
    external: Float[np.ndarray, "*window bin channel"], centre: np.ndarray, scale: np.ndarray
) -> Float32[np.ndarray, "*window bin known"]:
    """What the generator is given: each channel centred and scaled, 0 where it is missing, and whether it is there."""
    present = np.isfinite(external)
    values = np.where(present, (np.nan_to_num(external) - centre) / scale, 0.0)
    return np.concatenate([values, present], axis=-1).astype(np.float32)


def binned_stretches(trial: xr.DataArray, n_per_bin: int) -> list[tuple[slice, Float[np.ndarray, "bin muscle"]]]:
    """Each gap-free stretch of a trial as means over bins of `n_per_bin` samples, with the samples it covers.

    A bin of one muscle counts if at least half of its samples are there, and is NaN otherwise. The last bin of a
    stretch may be shorter.
    """
    values = np.asarray(trial.values, dtype=np.float64)
    result = []
    for run in stretches(trial.time.values, values):
        piece = values[run]
        missing = -len(piece) % n_per_bin
        padded = np.pad(piece, ((0, missing), (0, 0)), constant_values=np.nan)
        grouped = padded.reshape(-1, n_per_bin, piece.shape[1])
        count = np.isfinite(grouped).sum(axis=1)
        mean = np.nansum(grouped, axis=1) / np.maximum(count, 1)
        needed = np.full(len(grouped), n_per_bin)
        needed[-1] -= missing
        result.append((run, np.where(2 * count >= needed[:, None], mean, np.nan)))
    return result


def unbinned(values: Float[np.ndarray, "bin muscle"], n_time: int, n_per_bin: int) -> Float[np.ndarray, "time muscle"]:
    """Linear between the middles of the bins, level before the first and after the last."""
    middles = np.arange(len(values)) * n_per_bin + (n_per_bin - 1) / 2
    return np.stack([np.interp(np.arange(n_time), middles, column) for column in values.T], axis=1)


def network_input(
    binned: Float[np.ndarray, "*window bin muscle"], centre: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """EMG not below the floor (1 where missing), what the encoders read (0 where missing), and the mask.

    The encoders read the logarithm and the square root of each muscle, both centred and scaled: the logarithm alone,
    as published, spreads out the small samples that say least. The mean of logarithms has 61 % of the efficiency of
    the best estimate of a gamma density's mean at shape 1 (41 % at ½), the mean of roots 91 % (87 %).
    """
    present = np.isfinite(binned)
    emg = np.where(present, np.maximum(np.nan_to_num(binned), FLOOR), 1.0)
    features = (np.concatenate([np.log(emg), np.sqrt(emg)], axis=-1) - centre) / scale
    x = np.where(np.concatenate([present, present], axis=-1), features, 0.0)
    return emg.astype(np.float32), x.astype(np.float32), present.astype(np.float32)


def as_windows(
    binned: Float[np.ndarray, "bin muscle"],
    centre: np.ndarray,
    scale: np.ndarray,
    starts: np.ndarray,
    window: int,
    *,
    known: Float32[np.ndarray, "bin known"] | None = None,
    session: Int[np.ndarray, " bin"] | None = None,
) -> Windows:
    """The arrays of one or many stretches laid end to end; `centre` and `scale` may be other ones for each bin.

    All are padded to a few sizes, so that recordings of about the same length share one compiled program.
    """
    emg, x, present = network_input(binned, centre, scale)
    if known is not None:
        x = np.concatenate([x, known], axis=-1)
    n_time, n_starts = _round_up(len(binned) + window), _round_up(len(starts))
    after = (0, n_time - len(binned))
    places = np.pad(starts, (0, n_starts - len(starts)), constant_values=len(binned))
    return Windows(
        jnp.asarray(np.pad(emg, (after, (0, 0)), constant_values=1.0)),
        jnp.asarray(np.pad(x, (after, (0, 0)))),
        jnp.asarray(np.pad(present, (after, (0, 0)))),
        jnp.asarray(places, jnp.int32),
        jnp.asarray(len(starts), jnp.int32),
        None if session is None else jnp.asarray(np.pad(session, after), jnp.int32),
    )


def shorter(starts: Int[np.ndarray, " longer"], longer: int, window: int) -> Int[np.ndarray, " start"]:
    """Every start of a window within the longer windows that start there."""
    return np.unique((starts[:, None] + np.arange(longer - window + 1)).ravel())


def tiled(starts: Int[np.ndarray, " block"], n_block: int, window: int) -> Int[np.ndarray, " start"]:
    """Windows side by side within blocks; the last of a block is flush with its end."""
    return (starts[:, None] + window_starts(n_block, window, 0)).ravel()


def held_out_windows(windows: Windows, window: int) -> HeldOut:
    """The windows that count, one behind the other, in the memory of this process."""
    batch = take(windows, windows.starts[: int(windows.n_starts)], window)
    return HeldOut(*(np.moveaxis(np.asarray(a), 1, 0) for a in batch[:3]))


def _round_up(n: int) -> int:
    """To the next of 8, 10, 12, 14, 16, 20, 24, 28, 32, …: at most a quarter more."""
    step = max(2 ** (max(n, 8).bit_length() - 3), 2)
    return -(-n // step) * step


def feature_statistics(binned: Float[np.ndarray, "bin muscle"]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the logarithms and roots of each muscle; 0 and 1 for one that is missing."""
    raised = np.maximum(binned, FLOOR)
    features = np.concatenate([np.log(raised), np.sqrt(raised)], axis=-1)
    return mean_and_spread(features)


def mean_and_spread(values: Float[np.ndarray, "bin column"]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column; 0 and 1 for one that is missing."""
    present = np.isfinite(values)
    n = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, values, 0.0).sum(axis=0) / n
    spread = np.sqrt((np.where(present, values - mean, 0.0) ** 2).sum(axis=0) / n)
    return mean, np.where(spread > 0, spread, 1.0)
