"""Recordings as the sequences that a network reads: on its clock, of few lengths, those of one length together.

A network's clock has one step in so many samples, and is laid over a recording once for each sample it can start at, so that
every sample is told. With a look ahead it tells of a sample that much later. Lengths are rounded up to few, so that few
programs are compiled.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from myodrive.from_motion.training import NOBODY, Net, Sequences, run_net

AT_ONCE = 64  # sequences that are estimated together
MOST_AT_ONCE = 2**16  # and steps of all of them
LEAST = 2**13  # steps of training data, padded to it: programs for a few seconds of a new person are all the same
SHORTEST = 64  # steps; sequences are padded to this times a power of √2, so that few lengths are compiled


def lay_out(
    parts: Sequence[tuple[Float[np.ndarray, "_time channel"], Float[np.ndarray, "_time muscle"], int]],
    n_window: int,
    every: int,
    ahead: int,
) -> Sequences:
    """Standardised features, targets (NaN where not to be learned from) and who it is, one part behind the other.

    Windows of `n_window` steps start where something is told in them, the more often the more it is.
    """
    rows: list[tuple[np.ndarray, ...]] = []
    place = 0
    for features, wanted, who in parts:
        for read, told in clocks(len(features), every, ahead):
            n = read.size
            target = np.where((told >= 0)[:, None], wanted[told], np.nan)
            known = np.r_[0, np.cumsum(np.isfinite(target).sum(axis=1))]
            first = np.arange(max(n - n_window, 0) + 1)
            count = known[np.minimum(first + n_window, n)] - known[first]
            rows.append((features[read], target, np.full(n, len(rows)), np.full(n, who), place + first, count))
            place += n
    inputs, targets, stretch, people, start, counts = (np.concatenate(column) for column in zip(*rows))
    beyond = ((0, padded_length(max(place + n_window, LEAST)) - place), (0, 0))
    unused = (0, padded_length(max(start.size, LEAST)) - start.size)
    targets = np.pad(targets, beyond, constant_values=np.nan)
    share = np.cumsum(counts, dtype=np.float64)
    return Sequences(
        jnp.asarray(np.pad(inputs, beyond), jnp.float32),
        jnp.asarray(np.nan_to_num(targets), jnp.float32),
        jnp.asarray(np.isfinite(targets)),
        jnp.asarray(np.pad(stretch, beyond[0], constant_values=-1), jnp.int32),
        jnp.asarray(np.pad(people, beyond[0], constant_values=NOBODY), jnp.int32),
        jnp.asarray(np.pad(start, unused), jnp.int32),
        jnp.asarray(np.pad(share / share[-1], unused, constant_values=1.0), jnp.float32),
    )


def run_all(
    network: Net, parts: Sequence[tuple[Float[np.ndarray, "_time channel"], int]], every: int, ahead: int
) -> list[Float[np.ndarray, "two _time muscle"]]:
    """Mean and scale at every sample of each part, of standardised features and who it is; NaN where nothing is told."""
    if not parts:
        return []
    # (which part, features, the samples that are told, who); those run together are of about one length
    rows = [(i, f[read], told, who) for i, (f, who) in enumerate(parts) for read, told in clocks(len(f), every, ahead)]
    rows.sort(key=lambda row: len(row[1]))
    n_channel, n_muscle = parts[0][0].shape[1], network.w_mean.shape[1]
    found = [np.full((2, len(f), n_muscle), np.nan) for f, _ in parts]
    first = 0
    while first < len(rows):
        # A few sizes, so that few programs are compiled, and no more at once than memory is there for.
        few = AT_ONCE if len(rows) > every else every
        fitting = max(1, MOST_AT_ONCE // padded_length(len(rows[min(first + few, len(rows)) - 1][1])))
        at_once = min(few, 2 ** int(np.log2(fitting)))
        some = rows[first : first + at_once]
        first += at_once
        n_time = padded_length(len(some[-1][1]))
        inputs = np.zeros((n_time, at_once, n_channel), np.float32)
        present = np.zeros((n_time, at_once), dtype=bool)
        whom = np.full(at_once, NOBODY)
        for j, (_, values, _, who) in enumerate(some):
            inputs[: len(values), j], present[: len(values), j], whom[j] = values, True, who
        both = np.stack(run_net(network, jnp.asarray(inputs), jnp.asarray(present), jnp.asarray(whom)))
        for j, (i, _, told, _) in enumerate(some):
            found[i][:, told[told >= 0]] = both[:, : told.size, j][:, told >= 0]
    return found


def clocks(n_time: int, every: int, ahead: int) -> list[tuple[Int[np.ndarray, " _step"], Int[np.ndarray, " _step"]]]:
    """For each way to lay the network's clock over a recording: the samples it reads, and those it tells.

    The last sample is held where there is nothing to look ahead at, and where nothing is told there is -1.
    """
    steps = [np.arange(phase, n_time + ahead, every) for phase in range(every)]
    told = [np.where(s >= ahead, s - ahead, -1) for s in steps]
    return [(np.minimum(s, n_time - 1), t) for s, t in zip(steps, told)]


def padded_length(n_time: int) -> int:
    """The least of a few lengths that is not shorter."""
    doublings = np.ceil(2 * np.log2(max(n_time, SHORTEST) / SHORTEST) - 1e-9) / 2
    return int(np.ceil(SHORTEST * 2**doublings - 1e-9))
