"""The posterior of the mean rectified EMG, window by window, and how wide it ought to be."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PRNGKeyArray

from myodrive.from_emg.lfads.model import NO_DROPOUT, Network, decode, encode

CHUNK = 32  # windows at a time: bounds the memory, and one compilation serves recordings of any length


class Posterior(NamedTuple):
    """Moments over draws, (time, batch, muscle)."""

    mean: Array  # of shape / rate, the published estimate
    log_mean: Array  # of its logarithm
    log_variance: Array


@partial(jax.jit, static_argnames="n_samples")
def _moments(net: Network, x: Array, seen: Array, key: PRNGKeyArray, n_samples: int) -> Posterior:
    """Rates are averaged, not parameters; draws come one after the other, so that memory does not grow with them."""
    code = encode(net, x, seen, NO_DROPOUT)

    def draw(sums: tuple, key: Array) -> tuple[tuple, None]:
        drawn = decode(net, code, key, NO_DROPOUT)
        log = drawn.log_shape - drawn.log_rate
        return tuple(s + v for s, v in zip(sums, (jnp.exp(log), log, log**2))), None

    zero = jnp.zeros(x.shape)
    sums, _ = jax.lax.scan(draw, (zero, zero, zero), jax.random.split(key, n_samples))
    mean, log_mean, log_square = (s / n_samples for s in sums)
    return Posterior(mean, log_mean, jnp.maximum(log_square - log_mean**2, 0.0))


def posterior_of_mean(
    net: Network,
    x: Float32[np.ndarray, "window step muscle"],
    seen: Float32[np.ndarray, "window step muscle"],
    key: PRNGKeyArray,
    n_samples: int,
) -> list[Float[np.ndarray, "window step muscle"]]:
    """Mean, mean logarithm and variance of the logarithm of shape / rate over draws from the posterior.

    The draws of a chunk of windows depend on the key and its place alone.
    """
    parts = []
    for i in range(0, len(x), CHUNK):
        piece = [np.moveaxis(a[i : i + CHUNK], 0, 1) for a in (x, seen)]
        n = piece[0].shape[1]
        padded = [jnp.asarray(np.pad(a, ((0, 0), (0, CHUNK - n), (0, 0)))) for a in piece]
        moments = _moments(net, *padded, jax.random.fold_in(key, i), n_samples)
        parts.append([np.moveaxis(np.asarray(m, np.float64)[:, :n], 1, 0) for m in moments])
    return [np.concatenate(m) for m in zip(*parts)]
