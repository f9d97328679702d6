"""The network of LFADS for EMG (Pandarinath 2018, 10.1038/s41592-018-0109-9; Wimalasena 2022, 10.1088/1741-2552/ac6369).

Two bidirectional encoders read a window. One gives the posterior of the generator's initial condition; the other feeds
a controller, which infers what the generator is driven by at each step. The generator's state gives the factors, and
two linear read-outs of the factors give log-shape and log-rate of a gamma density for each muscle.

Arrays are (time, batch, feature). The network is a pytree of arrays whose sizes are its own shapes, so a population is
a `jax.vmap` over a leading axis of every array.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from myodrive.learning.recurrent import GRU, normal_weights, run_both_ways

STATE_CLIP = 5.0  # bound of every recurrent state, as published
SMALLEST_VARIANCE = 1e-4  # of the posterior of the initial condition, as published
PRIOR_VARIANCE = 0.1  # of the initial condition, as published
LOG_SHAPE = (-2.5, 6.0)  # shape .08 (spiky single samples) to 400 (an envelope that is smooth already)
LOG_RATE = (-4.0, 8.5)  # together: means from below the floor to far above the clip; see `objective.FLOOR` for the top


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Numbers of units. Published for EMG: encoders 128 (100), controller 64 (100), generator 64 (100), 30, 3, 10."""

    n_muscle: int
    ic_encoder: int
    ci_encoder: int
    controller: int
    generator: int
    n_initial: int
    n_input: int
    n_factor: int


class Linear(eqx.Module):
    weight: Float[Array, "*member input output"]
    bias: Float[Array, "*member output"]

    @classmethod
    def create(cls, n_input: int, n_output: int, key: PRNGKeyArray) -> Linear:
        return cls(normal_weights(key, n_input, n_output), jnp.zeros(n_output))

    def __call__(self, x: Float[Array, "*batch input"]) -> Float[Array, "*batch output"]:
        return x @ self.weight + self.bias


class Network(eqx.Module):
    """All weights, and the parameters of the priors."""

    ic_past: GRU
    ic_future: GRU
    ci_past: GRU
    ci_future: GRU
    to_initial: Linear
    to_generator: Linear
    controller: GRU
    controller_start: Float[Array, "*member controller"]
    to_input: Linear
    generator: GRU
    to_factor: Float[Array, "*member generator factor"]
    to_log_shape: Linear
    to_log_rate: Linear
    prior_mean: Float[Array, "*member initial"]
    prior_log_tau: Float[Array, "*member input"]  # in bins
    prior_log_noise: Float[Array, "*member input"]  # variance of the innovation
    from_external: Float[Array, "*member external gates"] | None = None  # weights of external inputs to the generator

    @classmethod
    def create(cls, sizes: Sizes, null: Float[Array, "2 muscle"], key: PRNGKeyArray) -> Network:
        """Draw the weights; the read-outs start at the density `null` (log-shape, log-rate) that ignores time."""
        s, keys = sizes, iter(jax.random.split(key, 12))
        n_seen = 3 * s.n_muscle  # two features of each muscle, and whether it is there to be seen
        read_outs = [Linear.create(s.n_factor, s.n_muscle, next(keys)) for _ in range(2)]
        shape, rate = (eqx.tree_at(lambda r: r.bias, r, b) for r, b in zip(read_outs, null))
        return cls(
            ic_past=GRU.create(n_seen, s.ic_encoder, next(keys)),
            ic_future=GRU.create(n_seen, s.ic_encoder, next(keys)),
            ci_past=GRU.create(n_seen, s.ci_encoder, next(keys)),
            ci_future=GRU.create(n_seen, s.ci_encoder, next(keys)),
            to_initial=Linear.create(2 * s.ic_encoder, 2 * s.n_initial, next(keys)),
            to_generator=Linear.create(s.n_initial, s.generator, next(keys)),
            controller=GRU.create(2 * s.ci_encoder + s.n_factor, s.controller, next(keys)),
            controller_start=jnp.zeros(s.controller),
            to_input=Linear.create(s.controller, 2 * s.n_input, next(keys)),
            generator=GRU.create(s.n_input, s.generator, next(keys)),
            to_factor=normal_weights(next(keys), s.generator, s.n_factor),
            to_log_shape=shape,
            to_log_rate=rate,
            prior_mean=jnp.zeros(s.n_initial),
            prior_log_tau=jnp.full(s.n_input, jnp.log(10.0)),
            prior_log_noise=jnp.full(s.n_input, jnp.log(0.1)),
        )


class Encoded(NamedTuple):
    """What the encoders make of a batch of windows."""

    initial_mean: Float[Array, "batch initial"]
    initial_variance: Float[Array, "batch initial"]
    context: Float[Array, "time batch both"]  # for the controller: past and future of each step, not the step itself


def encode(
    net: Network, x: Float[Array, "time batch feature"], seen: Float[Array, "time batch muscle"], drop: Dropout
) -> Encoded:
    """The encoders.

    Parameters
    ----------
    x : array (time, batch, 2 muscle)
        Logarithm and root of the EMG, centred and scaled for each muscle; anything where it is not seen.
    seen : array (time, batch, muscle)
        1 where the network may see the sample, 0 where it is missing or hidden: a mask token, not an amplitude.
    drop : Dropout
    """
    tokens = jnp.concatenate([x * jnp.concatenate([seen, seen], axis=-1), seen], axis=-1)
    past, future = run_both_ways(net.ic_past, net.ic_future, tokens, clip=STATE_CLIP)
    summary = jnp.concatenate([past[-1], future[0]], axis=-1) * drop.summary
    mean, log_variance = jnp.split(net.to_initial(summary), 2, axis=-1)
    past, future = run_both_ways(net.ci_past, net.ci_future, tokens, clip=STATE_CLIP)
    # Lag 1: what reaches the controller at a step has seen all steps but that one.
    nothing = jnp.zeros_like(past[:1])
    past, future = jnp.concatenate([nothing, past[:-1]]), jnp.concatenate([future[1:], nothing])
    context = jnp.concatenate([past, future], axis=-1)
    return Encoded(mean, jnp.exp(log_variance) + SMALLEST_VARIANCE, context)


class Dropout(NamedTuple):
    """Masks, already divided by what they keep; each is drawn once per window and held over its steps."""

    summary: Float[Array, "batch both"]
    context: Float[Array, "batch both"]
    generator: Float[Array, "batch generator"]

    @classmethod
    def draw(cls, net: Network, n_batch: int, rate: Array | float, key: PRNGKeyArray) -> Dropout:
        sizes = [2 * net.ic_past.bias_state.size, 2 * net.ci_past.bias_state.size, net.generator.bias_state.size]
        kept = (jax.random.uniform(key, (n_batch, sum(sizes))) >= rate) / (1 - rate)
        return cls(*jnp.split(kept, [sizes[0], sizes[0] + sizes[1]], axis=-1))


NO_DROPOUT = Dropout(*(jnp.ones((1, 1)) for _ in range(3)))


def read_out(
    net: Network, factors: Float[Array, "time batch factor"]
) -> tuple[Float[Array, "time batch muscle"], Float[Array, "time batch muscle"]]:
    """Log-shape and log-rate of each muscle's density."""
    return bounded(net.to_log_shape(factors), *LOG_SHAPE), bounded(net.to_log_rate(factors), *LOG_RATE)


def bounded(x: Array, low: float, high: float) -> Array:
    """Held smoothly between two bounds, and almost unchanged in the middle half."""
    centre, half = (low + high) / 2, (high - low) / 2
    return centre + half * jnp.tanh((x - centre) / half)
