"""A GRU or LSTM over a sequence as one call of machine code, with its gradient: what `recurrent.run` uses where it can.

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


@jax.custom_vjp
def run_lstm(
    x: Float[Array, "time batch input"],
    w_input: Float[Array, "input gates"],
    w_state: Float[Array, "state gates"],
    bias: Float[Array, " gates"],
    start: Float[Array, "batch both"],
    present: Float[Array, "time batch"],
    options: Float[Array, "2"],
) -> Float[Array, "time batch state"]:
    """The outputs; `start` holds output and cell side by side, `options` are whether to run backwards, and the clip."""
    return _lstm_forward(False, x, w_input, w_state, bias, start, present, options)[0]


def _lstm_forward(kept: bool, x: Array, *rest: Array) -> list[Array]:
    from myodrive.learning.kernels import lstm

    n_time, n_batch = x.shape[:2]
    n_state = rest[1].shape[0]
    shapes = [(n_time, n_batch, n_state)] * 2 + [(n_time if kept else 0, n_batch, 4 * n_state)]
    return call(lstm.FORWARD, shapes, x, *rest)


def _run_lstm_forward(*arguments: Any) -> tuple[Array, tuple]:
    x, w_input, w_state, bias, start, present, options = (a.value for a in arguments)
    states, cells, blocks = _lstm_forward(True, x, w_input, w_state, bias, start, present, options)
    wanted = () if arguments[0].perturbed else None
    return states, (x, w_input, w_state, start, present, options, states, cells, blocks, wanted)


def _run_lstm_backward(kept: tuple, slope: Any) -> tuple:
    from myodrive.learning.kernels import lstm

    *arrays, wanted = kept
    x, w_input, w_state, start = arrays[:4]
    shapes = [
        x.shape if wanted is not None else (0, 0, 0),
        w_input.shape,
        w_state.shape,
        w_input.shape[1:],
        start.shape,
    ]
    to_x, to_w_input, to_w_state, to_bias, to_start = call(lstm.BACKWARD, shapes, *arrays, dense(slope))
    return to_x if wanted is not None else jnp.zeros_like(x), to_w_input, to_w_state, to_bias, to_start, None, None


run_lstm.defvjp(_run_lstm_forward, _run_lstm_backward, symbolic_zeros=True)
