"""The decoder of LFADS: a controller infers what drives the generator at each step, whose state gives the factors.

Arrays are (time, batch, feature).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from myodrive.from_emg.lfads.densities import Parameters
from myodrive.from_emg.lfads.fast_decoder import Generated, Given, Weights, generate
from myodrive.from_emg.lfads.model import STATE_CLIP, Dropout, Encoded, Network, in_its_time, read_out
from myodrive.learning.kernels import finished, usable
from myodrive.learning.recurrent import kernel_weights, remat_scan


class Decoded(NamedTuple):
    """One draw from the posterior."""

    parameters: Parameters  # of each muscle's density, (time, batch, muscle)
    factors: Float[Array, "time batch factor"]
    # In the order in which the network runs: of one that runs backwards the last comes first.
    inputs: Float[Array, "time batch input"]
    input_mean: Float[Array, "time batch input"]
    input_log_variance: Float[Array, "time batch input"]


def decode(
    net: Network,
    code: Encoded,
    key: PRNGKeyArray,
    drop: Dropout,
) -> Decoded:
    """Draw an initial condition and inputs from the posterior and run the generator.

    Known inputs to the generator, beside those that are inferred, come with the `code`; they reach it through the
    weights `net.from_external`.
    """
    n_time, n_batch = len(code.context), len(code.initial_mean)
    n_initial, n_input = net.prior_mean.shape[-1], net.prior_log_tau.shape[-1]
    normal = jax.random.normal(key, (n_batch, n_initial + n_time * n_input))  # one draw: each costs compilation
    generator = net.to_generator(code.initial_mean + jnp.sqrt(code.initial_variance) * normal[:, :n_initial])
    noise = jnp.moveaxis(normal[:, n_initial:].reshape(n_batch, n_time, n_input), 0, 1)
    controller = jnp.broadcast_to(net.controller_start, (n_batch, net.controller_start.shape[-1]))
    known = jnp.zeros((0, 0, 0))
    if code.external is not None and net.from_external is not None:
        known = jnp.tile(code.external @ net.from_external, (1, n_batch // code.external.shape[1], 1))
    given = Given(code.context, drop.context, noise, known, controller, generator, drop.generator)
    factors, inputs, moments = (_by_kernel if usable(code.context, net.to_factor) else _by_scan)(net, given)
    factors = in_its_time(net, factors)
    return Decoded(jax.tree.map(_apart, read_out(net, factors)), factors, inputs, *jnp.split(moments, 2, axis=-1))


def _by_kernel(net: Network, given: Given) -> Generated:
    w_heard, w_controller, bias_controller = kernel_weights(net.controller)
    w_inputs, w_generator, bias_generator = kernel_weights(net.generator)
    n_context, n_known = given.context.shape[-1], given.known.shape[-1]
    weights = Weights(
        w_context=w_heard[:n_context],
        w_factor=w_heard[n_context:],
        w_c=w_controller,
        bias_c=bias_controller,
        w_moment=net.to_input.weight,
        bias_moment=net.to_input.bias,
        w_u=w_inputs,
        w_g=w_generator,
        bias_g=bias_generator,
        to_factor=_normalised(net.to_factor),
    )
    given = given._replace(
        known=jnp.roll(given.known, n_known // 3, axis=-1),
        context_mask=jnp.broadcast_to(given.context_mask, (len(given.context_mask), n_context)),
        generator_mask=jnp.broadcast_to(given.generator_mask, (len(given.generator_mask), given.start_g.shape[-1])),
    )
    return generate(given, weights, jnp.asarray([STATE_CLIP], jnp.float32))


def _by_scan(net: Network, given: Given) -> Generated:
    to_factor = _normalised(net.to_factor)
    n_draw = given.noise.shape[1] // given.context.shape[1]
    context = jnp.tile(given.context * given.context_mask, (1, n_draw, 1))

    def step(carry: tuple, now: tuple) -> tuple[tuple, tuple]:
        controller, generator, factors = carry
        context, noise, known = now
        controller = net.controller.step(controller, jnp.concatenate([context, factors], axis=-1), STATE_CLIP)
        moments = net.to_input(controller)
        mean, log_variance = jnp.split(moments, 2, axis=-1)
        u = mean + jnp.exp(0.5 * log_variance) * noise
        generator = net.generator.step(generator, u, STATE_CLIP, known)
        factors = (generator * given.generator_mask) @ to_factor
        return (controller, generator, factors), (factors, u, moments)

    start = (given.start_c, given.start_g, (given.start_g * given.generator_mask) @ to_factor)
    known = given.known if given.known.size else None
    return Generated(*remat_scan(step, start, (context, given.noise, known))[1])


def _normalised(to_factor: Float[Array, "generator factor"]) -> Float[Array, "generator factor"]:
    return to_factor / jnp.linalg.norm(to_factor, axis=0, keepdims=True)


@jax.custom_vjp
def _apart(x: Array) -> Array:
    """The same array, whose slope is finished before it is used.

    Else XLA takes the derivative of the likelihood anew, and element by element, for each product that it enters.
    """
    return x


_apart.defvjp(lambda x: (x, None), lambda _, slope: (finished(slope),))
