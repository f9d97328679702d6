"""The decoder's loop over time as one call of machine code, with its gradient: what `decoder` uses where it can."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from myodrive.learning.kernels import call, dense


class Given(NamedTuple):
    """What a sequence of steps is made from."""

    context: Float[Array, "time row context"]
    context_mask: Float[Array, "masks context"]
    noise: Float[Array, "time batch input"]
    known: Float[Array, "time batch gates"]  # what external inputs add to the generator's gates; may be empty
    start_c: Float[Array, "batch controller"]
    start_g: Float[Array, "batch generator"]
    generator_mask: Float[Array, "masks generator"]


class Weights(NamedTuple):
    """In the order of gates that the kernel wants (`learning.recurrent.kernel_weights`)."""

    w_context: Float[Array, "context gates"]
    w_factor: Float[Array, "factor gates"]
    w_c: Float[Array, "controller gates"]
    bias_c: Float[Array, " biases"]
    w_moment: Float[Array, "controller moments"]
    bias_moment: Float[Array, " moments"]
    w_u: Float[Array, "input gates"]
    w_g: Float[Array, "generator gates"]
    bias_g: Float[Array, " biases"]
    to_factor: Float[Array, "generator factor"]


class Generated(NamedTuple):
    """What controller and generator come to at each step."""

    factors: Float[Array, "time batch factor"]
    inputs: Float[Array, "time batch input"]
    moments: Float[Array, "time batch moments"]  # mean and log-variance of the inputs


@jax.custom_vjp
def generate(given: Given, weights: Weights, options: Float[Array, "1"]) -> Generated:
    """Run controller and generator; `options` holds the clip. Masks and noise are constants: no slope reaches them.

    With more rows in the batch than in the context, as where many draws share one, there is no gradient.
    """
    return Generated(*_forward(False, given, weights, options)[:3])


def _forward(kept: bool, given: Given, weights: Weights, options: Array) -> list[Array]:
    from myodrive.from_emg.lfads import decoder_kernel

    n_time, n_batch, n_input = given.noise.shape
    n_factor, n_c, n_g = weights.to_factor.shape[-1], given.start_c.shape[-1], given.start_g.shape[-1]
    widths = [n_factor, n_input, 2 * n_input], [n_c, n_g, 4 * n_c, 4 * n_g]
    shapes = [(n_time, n_batch, width) for width in widths[0]]
    shapes += [(n_time if kept else 0, n_batch, width) for width in widths[1]]
    return call(decoder_kernel.FORWARD, shapes, *given, *weights, options)


def _generate_forward(given: Any, weights: Any, options: Any) -> tuple[Generated, tuple]:
    wanted = [() if given.context.perturbed else None, () if given.known.perturbed else None]
    given, weights, options = jax.tree.map(
        lambda a: a.value, (given, weights, options), is_leaf=lambda a: hasattr(a, "perturbed")
    )
    results = _forward(True, given, weights, options)
    return Generated(*results[:3]), (given, weights, options, results, wanted)


def _generate_backward(kept: tuple, slopes: Any) -> tuple:
    from myodrive.from_emg.lfads import decoder_kernel

    given, weights, options, results, wanted = kept
    arrays = (*given._replace(known=None), *weights._replace(bias_c=None, bias_moment=None, bias_g=None))
    empty = (0, 0, 0)
    shapes = [
        given.context.shape if wanted[0] is not None else empty,
        given.known.shape if wanted[1] is not None else empty,
        *(a.shape for a in (given.start_c, given.start_g, *weights)),
    ]
    to_context, to_known, to_c, to_g, *to_weights = call(
        decoder_kernel.BACKWARD, shapes, *(a for a in arrays if a is not None), options, *results, *map(dense, slopes)
    )
    to_given = Given(
        context=to_context if wanted[0] is not None else jnp.zeros_like(given.context),
        context_mask=jnp.zeros_like(given.context_mask),
        noise=jnp.zeros_like(given.noise),
        known=to_known if wanted[1] is not None else jnp.zeros_like(given.known),
        start_c=to_c,
        start_g=to_g,
        generator_mask=jnp.zeros_like(given.generator_mask),
    )
    return to_given, Weights(*to_weights), None


generate.defvjp(_generate_forward, _generate_backward, symbolic_zeros=True)
