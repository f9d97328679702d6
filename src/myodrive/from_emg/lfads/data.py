"""From normalised trials to the arrays that the network reads, and back to the trial's clock."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Float32, Int, PRNGKeyArray

from myodrive.conditioning.windows import stretches
from myodrive.from_emg.lfads.densities import FLOOR
from myodrive.from_emg.lfads.model import Network, Sizes
from myodrive.from_emg.lfads.objective import LFADSTask, Windows
from myodrive.from_emg.lfads.sessions import Alignment
from myodrive.trials import to_clock


@dataclasses.dataclass(frozen=True)
class Problem:
    """All that training needs, whoever does it: one run, or a search with a population."""

    task: LFADSTask
    sizes: Sizes
    null: Float[np.ndarray, "parameter muscle"]  # the density that ignores time, which networks start from
    training: Windows
    validation: Windows
    held_out: Float[np.ndarray, "window bin muscle"]  # the validation windows, NaN where missing
    steps_per_epoch: int
    fingerprint: str  # of data and configuration
    alignment: Alignment | None = None  # of several sessions

    def start(self, key: PRNGKeyArray) -> Network:
        """A network to start from: random, but for the density that ignores time and, of sessions, what aligns them."""
        net = _create(self.sizes, jnp.asarray(self.null, jnp.float32), key)
        return net if self.alignment is None else self.alignment.applied(net)


_create = jax.jit(Network.create, static_argnums=0)


@dataclasses.dataclass(frozen=True)
class Piece:
    """A gap-free stretch of a trial in bins."""

    emg: Float[np.ndarray, "bin muscle"]  # normalised; NaN where missing
    external: Float[np.ndarray, "bin channel"]  # known inputs, in their own unit; NaN where missing
    session: int = 0

    def __len__(self) -> int:
        return len(self.emg)


def pieces_of(trial: xr.DataArray, n_per_bin: int, session: int = 0) -> list[Piece]:
    """The gap-free stretches of a trial in bins, each with its part of the attribute ``external`` (time, channel)."""
    external = trial.attrs.get("external")
    return [
        Piece(binned, external_bins(external, trial.time.values[run], n_per_bin), session)
        for run, binned in binned_stretches(trial, n_per_bin)
    ]


def external_bins(
    signal: xr.DataArray | None, time: Float[np.ndarray, " time"], n_per_bin: int
) -> Float[np.ndarray, "bin channel"]:
    """A signal on the clock of a stretch, as means over its bins; NaN where it is missing, without columns if it is None.

    Whatever dimensions there are beside ``time`` become one. It is placed linearly between neighbours and never across
    missing samples.
    """
    n_bin = -(-time.size // n_per_bin)
    if signal is None:
        return np.empty((n_bin, 0))
    columns = signal.transpose("time", ...).values.reshape(signal.sizes["time"], -1).astype(np.float64)
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


def _round_up(n: int) -> int:
    """To the next of 8, 10, 12, 14, 16, 20, 24, 28, 32, …: at most a quarter more."""
    step = max(2 ** (max(n, 8).bit_length() - 3), 2)
    return -(-n // step) * step


def feature_statistics(binned: Float[np.ndarray, "bin muscle"]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the logarithms and roots of each muscle; 0 and 1 for one that is missing."""
    raised = np.maximum(binned, FLOOR)
    features = np.concatenate([np.log(raised), np.sqrt(raised)], axis=-1)
    present = np.isfinite(features)
    n = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, features, 0).sum(axis=0) / n
    spread = np.sqrt((np.where(present, features - mean, 0) ** 2).sum(axis=0) / n)
    return mean, np.where(spread > 0, spread, 1.0)
