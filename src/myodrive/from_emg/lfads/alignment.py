"""Where the read-ins and the read-outs of several sessions start: aligned.

Electrodes lie elsewhere in every session and on every subject. What is common is what drives the muscles. So each
session has a read-in of its own, from what its electrodes show to common dimensions, and read-outs of its own from the
common factors. Both start aligned: principal components of all sessions' features, muscles found by label, and for
each session the ridge regression of its own features onto them.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from myodrive.from_emg.lfads.model import Network

RIDGE = 0.01  # of the variance of a feature, which is 1
ROUNDS = 30  # of filling in the muscles that a session lacks
GAIN = 0.5  # of a factor at the start: its rows have norm 1 and the generator's units stay within about 1
MEAN_PARAMETER = {"gamma": ("log_rate", -1), "zero_inflated_gamma": ("log_rate", -1), "lognormal": ("log_median", 1)}
"""The parameter that moves the mean of a density, and in which direction."""


class Alignment(NamedTuple):
    """Where the read-ins and the read-outs of the mean start."""

    read_in: Float32[np.ndarray, "session token common"]
    read_in_bias: Float32[np.ndarray, "session common"]
    read_out: Float32[np.ndarray, "session factor muscle"]  # of the logarithm of the mean

    def applied(self, net: Network) -> Network:
        """The network with them; the other weights stay."""
        name, sign = MEAN_PARAMETER[net.density]
        return eqx.tree_at(
            lambda n: (n.read_in.weight, n.read_in.bias, n.read_out[name].weight),
            net,
            (jnp.asarray(self.read_in), jnp.asarray(self.read_in_bias), jnp.asarray(sign * self.read_out)),
        )


def align(
    x: Float32[np.ndarray, "bin feature"],
    present: Float32[np.ndarray, "bin muscle"],
    session: Int[np.ndarray, " bin"],
    log_scale: Float[np.ndarray, "session muscle"],
    n_common: int,
    n_factor: int,
) -> Alignment:
    """Start sessions so that a common dimension, and a factor, mean the same in all of them.

    Parameters
    ----------
    x : array (bin, 2 muscle)
        Logarithms and roots of all sessions' EMG, centred and scaled within each; 0 where missing.
    present : array (bin, muscle)
        The muscles are the union of all sessions'; 0 where one is missing.
    session : array of int (bin,)
    log_scale : array (session, muscle)
        By what the logarithms were divided.
    n_common : int
        Half of the dimensions that are read into: one for each component, and one for how much of it can be seen.
    n_factor : int
    """
    n_session, n_muscle = log_scale.shape
    recorded = np.stack([present[session == s].any(axis=0) for s in range(n_session)])  # (session, muscle)
    read_in = np.zeros((n_session, 3 * n_muscle, 2 * n_common), np.float32)
    bias = np.zeros((n_session, 2 * n_common), np.float32)
    read_out = np.zeros((n_session, n_factor, n_muscle), np.float32)
    for members in _linked(recorded):
        rows = np.isin(session, members)
        loadings, scores = _components(x[rows], np.tile(present[rows] > 0, 2), n_common)
        for s in members:
            own = session[rows] == s
            seen = np.tile(recorded[s], 2)
            features = x[rows][own][:, seen]
            gram = features.T @ features + RIDGE * len(features) * np.eye(seen.sum())
            weights = np.linalg.solve(gram, features.T @ scores[own])
            read_in[s, np.flatnonzero(seen), :n_common] = weights
            share = (loadings**2).reshape(2, n_muscle, n_common).sum(axis=0) * recorded[s][:, None]
            share /= np.maximum(share.sum(axis=0), 1e-9)
            read_in[s, 2 * n_muscle :, n_common:] = share
            bias[s, n_common:] = -1.0  # nothing to say where all is seen
            k = min(n_common, n_factor)
            read_out[s, :k] = GAIN * loadings[:n_muscle, :k].T * log_scale[s]
    return Alignment(read_in, bias, read_out)


def _linked(recorded: Bool[np.ndarray, "session muscle"]) -> list[list[int]]:
    """Groups of sessions that share muscles, directly or by way of others. What shares none cannot be aligned.

    Such a group starts with its own components, the strongest with the strongest.
    """
    groups: list[list[int]] = []
    for s, muscles in enumerate(recorded):
        near = [g for g in groups if (recorded[g].any(axis=0) & muscles).any()]
        groups = [g for g in groups if g not in near] + [sorted([s, *(m for g in near for m in g)])]
    return groups


def _components(
    x: Float32[np.ndarray, "bin feature"], seen: Bool[np.ndarray, "bin feature"], n: int
) -> tuple[Float[np.ndarray, "feature component"], Float[np.ndarray, "bin component"]]:
    """Principal components with missing entries filled in by themselves: loadings and scores of variance 1.

    ``x ≈ scores @ loadings.T``. Components beyond the number of features are 0. The sign makes the sum of a
    component's loadings positive.
    """
    filled = np.where(seen, x, 0.0).astype(np.float64)
    n_kept = min(n, x.shape[1])
    for _ in range(ROUNDS):
        vectors = np.linalg.eigh(filled.T @ filled)[1][:, ::-1][:, :n_kept]
        filled = np.where(seen, x, filled @ vectors @ vectors.T)
    vectors = vectors * np.where(vectors.sum(axis=0) < 0, -1.0, 1.0)
    scores = filled @ vectors
    spread = np.maximum(scores.std(axis=0), 1e-6)
    empty = ((0, 0), (0, n - n_kept))
    return np.pad(vectors * spread, empty), np.pad(scores / spread, empty)
