"""The decoder of LFADS: a controller infers what drives the generator at each step, whose state gives the factors.

Arrays are (time, batch, feature).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from myodrive.from_emg.lfads.densities import Parameters
from myodrive.from_emg.lfads.model import STATE_CLIP, Dropout, Encoded, Network, read_out
from myodrive.learning.recurrent import remat_scan


class Decoded(NamedTuple):
    """One draw from the posterior."""

    parameters: Parameters  # of each muscle's density, (time, batch, muscle)
    factors: Float[Array, "time batch factor"]
    inputs: Float[Array, "time batch input"]
    input_mean: Float[Array, "time batch input"]
    input_log_variance: Float[Array, "time batch input"]


def decode(
    net: Network,
    code: Encoded,
    key: PRNGKeyArray,
    drop: Dropout,
    external: Float[Array, "time batch external"] | None = None,
) -> Decoded:
    """Draw an initial condition and inputs from the posterior and run the generator.

    `external` are known inputs to the generator, beside those that are inferred; they reach it through the weights
    `net.from_external`, which a network for such data carries.
    """
    n_time, n_batch = code.context.shape[:2]
    n_initial, n_input = net.prior_mean.shape[-1], net.prior_log_tau.shape[-1]
    normal = jax.random.normal(key, (n_batch, n_initial + n_time * n_input))  # one draw: each costs compilation
    generator = net.to_generator(code.initial_mean + jnp.sqrt(code.initial_variance) * normal[:, :n_initial])
    noise = jnp.moveaxis(normal[:, n_initial:].reshape(n_batch, n_time, n_input), 0, 1)
    to_factor = net.to_factor / jnp.linalg.norm(net.to_factor, axis=0, keepdims=True)
    controller = jnp.broadcast_to(net.controller_start, (n_batch, net.controller_start.shape[-1]))
    known = None if external is None or net.from_external is None else external @ net.from_external

    def step(carry: tuple, now: tuple) -> tuple[tuple, tuple]:
        controller, generator, factors = carry
        context, noise, known = now
        heard = jnp.concatenate([context * drop.context, factors], axis=-1)
        controller = net.controller.step(controller, heard, STATE_CLIP)
        mean, log_variance = jnp.split(net.to_input(controller), 2, axis=-1)
        u = mean + jnp.exp(0.5 * log_variance) * noise
        generator = net.generator.step(generator, u, STATE_CLIP, known)
        factors = (generator * drop.generator) @ to_factor
        return (controller, generator, factors), (factors, u, mean, log_variance)

    start = (controller, generator, (generator * drop.generator) @ to_factor)
    _, (factors, u, mean, log_variance) = remat_scan(step, start, (code.context, noise, known))
    return Decoded(read_out(net, factors), factors, u, mean, log_variance)
