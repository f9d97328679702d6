"""A GRU over a sequence as one call of machine code, with its gradient: what `recurrent.run` uses where it can.

Both ways of running give the same numbers to rounding. `jax.vmap` over members works, one member after the other, and
so does `jax.lax.map`, which keeps the memory of one.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from myodrive.learning.kernels import call, dense


@jax.custom_vjp
def run_gru(
    x: Float[Array, "time batch input"],
    w_input: Float[Array, "input gates"],
    w_state: Float[Array, "state gates"],
    bias: Float[Array, " biases"],
    start: Float[Array, "batch state"],
    present: Float[Array, "time batch"],
    options: Float[Array, "2"],
) -> Float[Array, "time batch state"]:
    """The states. Gates are in the order of `kernels.gru`; `options` are whether to run backwards, and the clip."""
    return _forward(False, x, w_input, w_state, bias, start, present, options)[0]


def _forward(kept: bool, x: Array, *rest: Array) -> tuple[Array, Array]:
    from myodrive.learning.kernels import gru

    n_time, n_batch = x.shape[:2]
    n_state = rest[3].shape[-1]
    states, blocks = call(
        gru.FORWARD, [(n_time, n_batch, n_state), (n_time if kept else 0, n_batch, 4 * n_state)], x, *rest
    )
    return states, blocks


def _run_gru_forward(*arguments: Any) -> tuple[Array, tuple]:
    x, w_input, w_state, bias, start, present, options = (a.value for a in arguments)
    states, blocks = _forward(True, x, w_input, w_state, bias, start, present, options)
    # The slope at the input is wanted only by a network that has something to learn before it.
    wanted = () if arguments[0].perturbed else None
    return states, (x, w_input, w_state, start, present, options, states, blocks, wanted)


def _run_gru_backward(kept: tuple, slope: Any) -> tuple:
    from myodrive.learning.kernels import gru

    *arrays, wanted = kept
    x, w_input, w_state, start = arrays[:4]
    slope = dense(slope)
    n_state = slope.shape[-1]
    shapes = [x.shape if wanted is not None else (0, 0, 0), w_input.shape, w_state.shape, (4 * n_state,), start.shape]
    to_x, to_w_input, to_w_state, to_bias, to_start = call(gru.BACKWARD, shapes, *arrays, slope)
    return to_x if wanted is not None else jnp.zeros_like(x), to_w_input, to_w_state, to_bias, to_start, None, None


run_gru.defvjp(_run_gru_forward, _run_gru_backward, symbolic_zeros=True)
