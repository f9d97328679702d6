"""The decoder's loop over time as machine code, and its gradient (see `learning.kernels`).

At each step ``c = GRU(context ∘ mask, factors; c)``, ``mean, log variance = c W + b``, ``u = mean + exp(½ log variance) ∘ noise``,
``g = GRU(u, known; g)``, ``factors = (g ∘ mask) V``. Blocks of gates and the order of weights are those of
`learning.kernels.arithmetic`. Rows of the batch beyond those of the context use it again from its first row on: so many
draws share the product of one context.
"""

from __future__ import annotations

import numpy as np

from myodrive.learning.kernels.arithmetic import add, copy, fill_rows, gates, gates_back, multiply, rows
from myodrive.learning.kernels.frame import argument, cube, handler, is_query, jit, matrix, register, result, vector
from myodrive.learning.kernels.gru import CHUNK, state_gradient
from myodrive.learning.kernels.products import PADDING, laid_out, product


@jit
def masked(out, values, mask):  # type: ignore[no-untyped-def]
    """Rows times the rows of a mask, which are used again from the first on."""
    for b in range(len(values)):
        multiply(out[b], values[b], mask[b % len(mask)])


@jit
def forward(  # type: ignore[no-untyped-def]
    context, context_mask, noise, known, start_c, start_g, generator_mask,
    w_context, w_factor, w_c, bias_c, w_moment, bias_moment, w_u, w_g, bias_g, to_factor, options,
    factors, inputs, moments, controllers, generators, blocks_c, blocks_g,
):  # fmt: skip
    """Fill `factors`, `inputs` and `moments` (mean, log variance), and what the gradient needs unless it is empty."""
    n_time, n_batch, n_input = noise.shape
    n_row, n_c, n_g, clip = context.shape[1], start_c.shape[1], start_g.shape[1], options[0]
    kept = blocks_c.size > 0
    heard, wide = np.empty((CHUNK * n_row, context.shape[2]), np.float32), np.empty((CHUNK, n_row, 4 * n_c), np.float32)
    passed = np.empty((n_batch, n_g), np.float32)
    work_c, work_g = np.empty((n_batch, 4 * n_c), np.float32), np.empty((n_batch, 4 * n_g), np.float32)
    state_c, state_g = np.empty((2, n_batch, n_c), np.float32), np.empty((2, n_batch, n_g), np.float32)
    w_context, w_factor, w_c = laid_out(w_context), laid_out(w_factor), laid_out(w_c)
    w_u, w_g = laid_out(w_u), laid_out(w_g)
    c, g = start_c, start_g
    masked(passed, g, generator_mask)
    f = np.empty((n_batch, to_factor.shape[1]), np.float32)
    product(passed, to_factor, f, 0)
    for t in range(n_time):
        if t % CHUNK == 0:
            n = min(CHUNK, n_time - t)
            masked(heard, rows(context[t : t + n]), context_mask)
            fill_rows(rows(wide), bias_c)
            product(heard[: n * n_row], w_context, rows(wide[:n])[:, : 3 * n_c], 1)
        block_c, block_g = (blocks_c[t], blocks_g[t]) if kept else (work_c, work_g)
        for b in range(n_batch):
            copy(block_c[b], wide[t % CHUNK, b % n_row])
        product(f, w_factor, block_c[:, : 3 * n_c], 1)
        product(c, w_c, block_c[:, n_c:], 1)
        after_c = controllers[t] if kept else state_c[t % 2]
        gates(block_c, c, after_c, clip)
        c = after_c
        fill_rows(moments[t], bias_moment)
        product(c, w_moment, moments[t], 1)
        for b in range(n_batch):
            for i in range(n_input):
                spread = np.exp(np.float32(0.5) * moments[t, b, n_input + i])
                inputs[t, b, i] = moments[t, b, i] + spread * noise[t, b, i]
        fill_rows(block_g, bias_g)
        if known.size:
            for b in range(n_batch):
                add(block_g[b, : 3 * n_g], known[t, b])
        product(inputs[t], w_u, block_g[:, : 3 * n_g], 1)
        product(g, w_g, block_g[:, n_g:], 1)
        after_g = generators[t] if kept else state_g[t % 2]
        gates(block_g, g, after_g, clip)
        g = after_g
        masked(passed, g, generator_mask)
        f = factors[t]
        product(passed, to_factor, f, 0)


@jit
def backward(  # type: ignore[no-untyped-def]
    context, context_mask, noise, start_c, start_g, generator_mask,
    w_context, w_factor, w_c, w_moment, w_u, w_g, to_factor, options,
    factors, inputs, moments, controllers, generators, blocks_c, blocks_g, d_factors, d_inputs, d_moments,
    to_context, to_known, to_start_c, to_start_g,
    to_w_context, to_w_factor, to_w_c, to_bias_c, to_w_moment, to_bias_moment, to_w_u, to_w_g, to_bias_g, to_to_factor,
):  # fmt: skip
    """From the slopes at factors, inputs and moments to those at everything that is learned.

    `to_context` and `to_known` may be empty. Here each row of the batch has a context of its own.
    """
    n_time, n_batch, n_input = noise.shape
    n_context, n_c, n_g, clip = context.shape[2], start_c.shape[1], start_g.shape[1], options[0]
    to_w_context[:], to_w_factor[:], to_w_c[:], to_bias_c[:], to_w_moment[:] = 0, 0, 0, 0, 0
    to_bias_moment[:], to_w_u[:], to_w_g[:], to_bias_g[:], to_to_factor[:] = 0, 0, 0, 0, 0
    back_c, back_g = to_start_c, to_start_g
    back_c[:], back_g[:] = 0, 0
    slopes_c = np.empty((CHUNK * n_batch, 4 * n_c + PADDING), np.float32)[:, : 4 * n_c]
    slopes_g = np.empty((CHUNK * n_batch, 4 * n_g + PADDING), np.float32)[:, : 4 * n_g]
    w_c_back, w_g_back, w_context_back = laid_out(w_c.T), laid_out(w_g.T), laid_out(w_context.T)
    w_moment_back, to_factor_back = laid_out(w_moment.T), laid_out(to_factor.T)
    n_factor = to_factor.shape[1]
    to_moment, d_f = (
        np.empty((CHUNK, n_batch, 2 * n_input), np.float32),
        np.empty((CHUNK, n_batch, n_factor), np.float32),
    )
    passed, heard = np.empty((CHUNK * n_batch, n_g), np.float32), np.empty((CHUNK * n_batch, n_context), np.float32)
    d_g, d_c, d_u = (
        np.empty((n_batch, n_g), np.float32),
        np.empty((n_batch, n_c), np.float32),
        np.empty((n_batch, n_input), np.float32),
    )
    later_f, first_f = np.zeros((n_batch, n_factor), np.float32), np.empty((n_batch, n_factor), np.float32)
    masked(passed[:n_batch], start_g, generator_mask)
    product(passed[:n_batch], to_factor, first_f, 0)
    for done in range(0, n_time, CHUNK):
        n = min(CHUNK, n_time - done)
        first = n_time - done - n
        for k in range(n - 1, -1, -1):
            t = first + k
            now_c, now_g = slopes_c[k * n_batch : (k + 1) * n_batch], slopes_g[k * n_batch : (k + 1) * n_batch]
            before_c, before_g = (controllers[t - 1], generators[t - 1]) if t > 0 else (start_c, start_g)
            for b in range(n_batch):
                copy(d_f[k, b], later_f[b])
                add(d_f[k, b], d_factors[t, b])
            product(d_f[k], to_factor_back, d_g, 0)
            masked(d_g, d_g, generator_mask)
            gates_back(blocks_g[t], before_g, back_g, d_g, clip, now_g, to_bias_g)
            product(now_g[:, n_g:], w_g_back, back_g, 1)
            product(now_g[:, : 3 * n_g], w_u.T, d_u, 0)
            for b in range(n_batch):
                for i in range(n_input):
                    at_u = d_u[b, i] + d_inputs[t, b, i]
                    half = np.float32(0.5) * (inputs[t, b, i] - moments[t, b, i])
                    to_moment[k, b, i] = d_moments[t, b, i] + at_u
                    to_moment[k, b, n_input + i] = d_moments[t, b, n_input + i] + at_u * half
                add(to_bias_moment, to_moment[k, b])
            product(to_moment[k], w_moment_back, d_c, 0)
            gates_back(blocks_c[t], before_c, back_c, d_c, clip, now_c, to_bias_c)
            product(now_c[:, n_c:], w_c_back, back_c, 1)
            product(now_c[:, : 3 * n_c], w_factor.T, later_f, 0)
        chunk_c, chunk_g = slopes_c[: n * n_batch], slopes_g[: n * n_batch]
        masked(heard, rows(context[first : first + n]), context_mask)
        masked(passed, rows(generators[first : first + n]), generator_mask)
        product(heard[: n * n_batch].T, chunk_c[:, : 3 * n_c], to_w_context, 1)
        product(passed[: n * n_batch].T, rows(d_f[:n]), to_to_factor, 1)
        product(rows(controllers[first : first + n]).T, rows(to_moment[:n]), to_w_moment, 1)
        product(rows(inputs[first : first + n]).T, chunk_g[:, : 3 * n_g], to_w_u, 1)
        state_gradient(chunk_c[:, n_c:], controllers, start_c, first, -1, to_w_c)
        state_gradient(chunk_g[:, n_g:], generators, start_g, first, -1, to_w_g)
        state_gradient(chunk_c[:, : 3 * n_c], factors, first_f, first, -1, to_w_factor)
        if to_context.size:
            out = rows(to_context[first : first + n])
            product(chunk_c[:, : 3 * n_c], w_context_back, out, 0)
            masked(out, out, context_mask)
        if to_known.size:
            rows(to_known[first : first + n])[:] = chunk_g[:, : 3 * n_g]
    masked(passed[:n_batch], start_g, generator_mask)
    product(passed[:n_batch].T, later_f, to_to_factor, 1)
    product(later_f, to_factor_back, d_g, 0)
    masked(d_g, d_g, generator_mask)
    for b in range(n_batch):
        add(back_g[b], d_g[b])


@handler
def forward_call(frame):  # type: ignore[no-untyped-def]
    if not is_query(frame):
        forward(
            cube(argument(frame, 0)), matrix(argument(frame, 1)), cube(argument(frame, 2)), cube(argument(frame, 3)),
            matrix(argument(frame, 4)), matrix(argument(frame, 5)), matrix(argument(frame, 6)),
            matrix(argument(frame, 7)), matrix(argument(frame, 8)), matrix(argument(frame, 9)),
            vector(argument(frame, 10)), matrix(argument(frame, 11)), vector(argument(frame, 12)),
            matrix(argument(frame, 13)), matrix(argument(frame, 14)), vector(argument(frame, 15)),
            matrix(argument(frame, 16)), vector(argument(frame, 17)),
            cube(result(frame, 0)), cube(result(frame, 1)), cube(result(frame, 2)), cube(result(frame, 3)),
            cube(result(frame, 4)), cube(result(frame, 5)), cube(result(frame, 6)),
        )  # fmt: skip
    return 0


@handler
def backward_call(frame):  # type: ignore[no-untyped-def]
    if not is_query(frame):
        backward(
            cube(argument(frame, 0)), matrix(argument(frame, 1)), cube(argument(frame, 2)),
            matrix(argument(frame, 3)), matrix(argument(frame, 4)), matrix(argument(frame, 5)),
            matrix(argument(frame, 6)), matrix(argument(frame, 7)), matrix(argument(frame, 8)),
            matrix(argument(frame, 9)), matrix(argument(frame, 10)), matrix(argument(frame, 11)),
            matrix(argument(frame, 12)), vector(argument(frame, 13)),
            cube(argument(frame, 14)), cube(argument(frame, 15)), cube(argument(frame, 16)),
            cube(argument(frame, 17)), cube(argument(frame, 18)), cube(argument(frame, 19)),
            cube(argument(frame, 20)), cube(argument(frame, 21)), cube(argument(frame, 22)), cube(argument(frame, 23)),
            cube(result(frame, 0)), cube(result(frame, 1)), matrix(result(frame, 2)), matrix(result(frame, 3)),
            matrix(result(frame, 4)), matrix(result(frame, 5)), matrix(result(frame, 6)), vector(result(frame, 7)),
            matrix(result(frame, 8)), vector(result(frame, 9)), matrix(result(frame, 10)), matrix(result(frame, 11)),
            vector(result(frame, 12)), matrix(result(frame, 13)),
        )  # fmt: skip
    return 0


FORWARD, BACKWARD = "myodrive_lfads_decoder_forward", "myodrive_lfads_decoder_backward"
register(FORWARD, forward_call)
register(BACKWARD, backward_call)
