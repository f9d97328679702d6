"""The posterior of the mean rectified EMG, window by window, and how wide it ought to be."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PRNGKeyArray

from myodrive.from_emg.lfads.decoder import decode
from myodrive.from_emg.lfads.densities import DENSITIES
from myodrive.from_emg.lfads.model import NO_DROPOUT, Network, encode

CHUNK = 32  # windows at a time: bounds the memory, and one compilation serves recordings of any length


class Posterior(NamedTuple):
    """Moments over draws, (time, batch, muscle)."""

    mean: Array  # of the EMG under the density, the published estimate
    log_mean: Array  # of its logarithm
    log_variance: Array


@partial(jax.jit, static_argnames="n_samples")
def _moments(net: Network, x: Array, seen: Array, key: PRNGKeyArray, n_samples: int) -> Posterior:
    """Rates are averaged, not parameters; draws come one after the other, so that memory does not grow with them."""
    code = encode(net, x, seen, NO_DROPOUT)

    def draw(sums: tuple, key: Array) -> tuple[tuple, None]:
        drawn = decode(net, code, key, NO_DROPOUT)
        log = DENSITIES[net.density].log_mean(drawn.parameters)
        return tuple(s + v for s, v in zip(sums, (jnp.exp(log), log, log**2))), None

    zero = jnp.zeros(seen.shape)
    sums, _ = jax.lax.scan(draw, (zero, zero, zero), jax.random.split(key, n_samples))
    mean, log_mean, log_square = (s / n_samples for s in sums)
    return Posterior(mean, log_mean, jnp.maximum(log_square - log_mean**2, 0.0))


def posterior_of_mean(
    networks: Network,
    x: Float32[np.ndarray, "window step feature"],
    seen: Float32[np.ndarray, "window step muscle"],
    key: PRNGKeyArray,
    n_samples: int,
) -> list[Float[np.ndarray, "window step muscle"]]:
    """Mean, mean logarithm and variance of the logarithm of the density's mean over draws from the posterior.

    With several networks the draws are shared among them: the posterior is their mixture, and what they disagree on
    widens it. The draws of a chunk of windows depend on the key, its place and the member alone.
    """
    n_member = len(networks.prior_mean)
    each = -(-n_samples // n_member)
    parts = []
    for i in range(0, len(x), CHUNK):
        piece = [np.moveaxis(a[i : i + CHUNK], 0, 1) for a in (x, seen)]
        n = piece[0].shape[1]
        padded = [jnp.asarray(np.pad(a, ((0, 0), (0, CHUNK - n), (0, 0)))) for a in piece]
        keys = jax.random.split(jax.random.fold_in(key, i), n_member)
        members = [
            _moments(jax.tree.map(lambda a, m=m: a[m], networks), *padded, keys[m], each) for m in range(n_member)
        ]
        parts.append([np.moveaxis(a[:, :n], 1, 0) for a in _mixture(members)])
    return [np.concatenate(m) for m in zip(*parts)]


def _mixture(members: list[Posterior]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moments of the mixture of several posteriors in equal shares."""
    mean, log_mean, log_variance = (np.stack([np.asarray(a, np.float64) for a in moment]) for moment in zip(*members))
    return mean.mean(0), log_mean.mean(0), log_variance.mean(0) + log_mean.var(0)


HIDDEN, REPEATS = 0.3, 8
LAGS_S = (0.04, 0.1)  # beyond the EMG's own correlation, and well within that of a lasting error


def spread_factor(
    networks: Network,
    emg: Float32[np.ndarray, "window step muscle"],
    x: Float32[np.ndarray, "window step feature"],
    present: Float32[np.ndarray, "window step muscle"],
    bin_s: float,
    n_samples: int,
    seed: int,
) -> float:
    """By how much the posterior is too narrow, from validation windows and without knowing the truth.

    The larger of two factors, and at least 1: what two estimates from disjoint halves of the samples differ by, over
    what they claim to (their scatter, but not the error that they share); and the lasting error at hidden samples,
    over the claimed (all of the error, but only where it lasts longer than the noise of the EMG).
    """
    key, rng = jax.random.PRNGKey(seed), np.random.default_rng(seed)
    lags = range(max(1, round(LAGS_S[0] / bin_s)), max(1, round(LAGS_S[1] / bin_s)) + 1)
    scatter = _scatter(networks, x, present, key, rng, n_samples)
    return float(np.sqrt(max(1.0, scatter, _lasting_error(networks, emg, x, present, key, rng, n_samples, lags))))


def _scatter(
    networks: Network, x: np.ndarray, present: np.ndarray, key: PRNGKeyArray, rng: np.random.Generator, n_samples: int
) -> float:
    """Mean square difference between the logarithms of estimates from two halves, over the variance they claim."""
    half = rng.random(present.shape) < 0.5
    parts = [np.where(chosen, present, 0).astype(np.float32) for chosen in (half, ~half)]
    (_, one, claim), (_, other, claim_other) = (
        posterior_of_mean(networks, x, seen, jax.random.fold_in(key, i), n_samples) for i, seen in enumerate(parts)
    )
    return float(np.mean((one - other)[present > 0] ** 2) / np.mean((claim + claim_other)[present > 0]))


def _lasting_error(
    networks: Network,
    emg: np.ndarray,
    x: np.ndarray,
    present: np.ndarray,
    key: PRNGKeyArray,
    rng: np.random.Generator,
    n_samples: int,
    lags: range,
) -> float:
    """Variance of the error at hidden samples over the variance that is claimed.

    There ``r = y / estimate − 1`` is the EMG's own noise, which is new at each sample, minus the relative error of the
    estimate, which lasts: the mean product of two of them a short lag apart is the variance of the error alone.
    """
    emg, x, present = (np.tile(a, (REPEATS, 1, 1)) for a in (emg, x, present))
    hidden = (rng.random(emg.shape) < HIDDEN) & (present > 0)
    seen = np.where(hidden, 0, present).astype(np.float32)
    mean, _, variance = posterior_of_mean(networks, x, seen, key, n_samples)
    residual = np.where(hidden, emg / mean - 1, 0.0)
    spread = np.where(hidden, np.sqrt(variance), 0.0)
    used = [lag for lag in lags if lag < emg.shape[1]]
    found = sum(np.sum(residual[:, lag:] * residual[:, :-lag]) for lag in used)
    claimed = sum(np.sum(spread[:, lag:] * spread[:, :-lag]) for lag in used)
    return float(found / claimed) if claimed > 0 else 1.0
