"""What is to be learned from recordings: windows to train on and others to validate on, and the sizes of the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Int, PRNGKeyArray

from myodrive.conditioning.windows import partition
from myodrive.errors import OptionError, SignalError
from myodrive.from_emg.lfads.alignment import Alignment
from myodrive.from_emg.lfads.data import (
    Bins,
    HeldOut,
    Piece,
    held_out_windows,
    pieces_of,
    samples_per_bin,
    shorter,
    tiled,
)
from myodrive.from_emg.lfads.model import Network, Sizes
from myodrive.from_emg.lfads.objective import LFADSTask, Windows
from myodrive.from_emg.lfads.options import LFADSConfig
from myodrive.recording import sampling_rate

UNITS = ("ic_encoder", "ci_encoder", "controller", "generator", "n_initial", "n_input", "n_factor")
"""The sizes that are options; the others come from the data."""
LEAST_WINDOW = 4  # bins


@dataclasses.dataclass(frozen=True)
class Problem:
    """All that training needs, whoever does it: one run, or a search with a population."""

    data: Bins
    bin_s: float
    window_s: float  # that was asked for; that of the task is shorter where the recordings are short
    task: LFADSTask
    sizes: Sizes
    null: Float[np.ndarray, "*session parameter muscle"]  # the density that ignores time, which networks start from
    training: Windows
    validation: Windows
    held_out: HeldOut
    blocks: Int[np.ndarray, " block"]  # where blocks of validation start, of `n_block` bins
    n_block: int
    session: Int[np.ndarray, " window"]  # of each held-out window; 0 where there is one
    steps_per_epoch: int
    fingerprint: str  # of data and configuration
    alignment: Alignment | None = None  # of several sessions

    def start(self, key: PRNGKeyArray) -> Network:
        """A network to start from: random, but for the density that ignores time and, of sessions, what aligns them."""
        net = _create(self.sizes, jnp.asarray(self.null, jnp.float32), key)
        return net if self.alignment is None else self.alignment.applied(net)


_create = jax.jit(Network.create, static_argnums=0)


def make_problem(
    config: LFADSConfig,
    trials: Sequence[xr.DataArray],
    sessions: Sequence[int] = (),
    *,
    window_s: float,
    density: str,
    n_block: int = 0,
) -> Problem:
    """The problem with one length of window and one density.

    Parameters
    ----------
    config : LFADSConfig
    trials : sequence of DataArray (time, muscle)
        Normalised and rectified, of the same muscles.
    sessions : sequence of int
        Of each trial; all are of one without it.
    window_s, density : float, str
        In place of those of the configuration, which may leave the choice to the data.
    n_block : int
        Blocks of validation are so many bins long, or one window.

    Raises
    ------
    SignalError
        If no recording has the known input asked for, sampling rates differ, or stretches without a gap are too short.
    OptionError
        If too few bins make a window.
    """
    rate = sampling_rate(trials[0])
    bin_s = max(1, round(config.bin_s * rate)) / rate
    sessions = sessions or [0] * len(trials)
    pieces = _pieces(config, trials, sessions, bin_s)
    window = _window(window_s, bin_s, max(map(len, pieces)))
    n_block = max(n_block, window)
    data = Bins.of(_long_enough(pieces, set(sessions), n_block, bin_s))
    # Blocks of one window, spread over the recording, so that what happens once is rarely all held out.
    parts = partition(
        data.lengths,
        n_block,
        fraction=config.validation_share,
        gap=round(config.validation_gap_s / bin_s),
        windows_per_block=1,
        first=config.seed,
    )
    starts, held_out = shorter(parts.training, n_block, window), tiled(parts.validation, n_block, window)
    validation = data.windows(held_out, window)
    return Problem(
        data=data,
        bin_s=bin_s,
        window_s=window_s,
        task=LFADSTask(window, config.batch_size, max(1, round(config.block_s / bin_s)), config.shift_bins),
        sizes=_sizes(config, data, bin_s, density),
        null=data.null(density),
        training=data.windows(starts, window),
        validation=validation,
        held_out=held_out_windows(validation, window),
        blocks=parts.validation,
        n_block=n_block,
        session=data.session[held_out],
        steps_per_epoch=max(20, -(-len(starts) // (window * config.batch_size))),
        fingerprint=config.fingerprint(np.column_stack([data.emg, data.external, data.session])),
        alignment=data.alignment(config.n_factor),
    )


def _pieces(config: LFADSConfig, trials: Sequence[xr.DataArray], sessions: Sequence[int], bin_s: float) -> list[Piece]:
    channels = [t.attrs["external"][{"time": 0}].size for t in trials if "external" in t.attrs]
    if config.external and not channels:
        raise SignalError(
            f"no recording has the signal '{config.external}' that is to drive the generator.",
            remedy="Name one that they have (external=…), or add it: recording.with_signal(name, signal).",
        )
    n_known = max(channels, default=0)
    return [p for t, s in zip(trials, sessions) for p in pieces_of(t, samples_per_bin(t, bin_s), s, n_known)]


def _window(window_s: float, bin_s: float, longest: int) -> int:
    """In bins: the one asked for, or a sixth of the longest stretch if that is shorter."""
    asked = round(window_s / bin_s)
    if asked < LEAST_WINDOW:
        raise OptionError(
            f"a window of {window_s:g} s holds {asked} bins of {bin_s:g} s, and a network learns from {LEAST_WINDOW} at least.",
            where="bin_s",
            remedy="Lower bin_s, or raise window_s.",
        )
    window = min(asked, longest // 6)
    if window < LEAST_WINDOW:
        raise SignalError(
            f"the longest stretch without a gap is {longest * bin_s:.2g} s, too short for a network to learn from.",
            remedy="Use low-pass or bayes for it, or fit several recordings together.",
        )
    return window


def _long_enough(pieces: list[Piece], sessions: set[int], n_block: int, bin_s: float) -> list[Piece]:
    """Those that have room for a block; every session must have one."""
    usable = [p for p in pieces if len(p) >= n_block]
    if short := sorted(sessions - {p.session for p in usable}):
        raise SignalError(
            f"session {short[0] + 1} of {len(sessions)} has no stretch without a gap of {n_block * bin_s:.2g} s.",
            remedy="Leave it out, shorten window_s, or pool the sessions: sessions=False.",
        )
    return usable


def _sizes(config: LFADSConfig, data: Bins, bin_s: float, density: str) -> Sizes:
    several = data.n_session > 1
    return Sizes(
        n_muscle=data.emg.shape[1],
        **{name: getattr(config, name) for name in UNITS},
        density=density,
        look_ahead=round(config.look_ahead_s / bin_s) if config.causal else None,
        n_external=2 * len(data.known_centre),
        n_session=data.n_session,
        n_common=2 * config.n_factor if several else 0,
    )
