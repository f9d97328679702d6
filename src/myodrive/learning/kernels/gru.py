"""A GRU over a whole sequence, and its gradient: `learning.recurrent.run` without the scan.

The weights come in the order of the block (see `arithmetic`): those of the input ``n r z``, those of the state
``r z u``, and one vector of biases ``n r z u``.
"""

from __future__ import annotations

import numpy as np

from myodrive.learning.kernels.arithmetic import add, copy, fill_rows, gates, gates_back, rows
from myodrive.learning.kernels.frame import argument, cube, handler, is_query, jit, matrix, register, result, vector
from myodrive.learning.kernels.products import PADDING, laid_out, product

CHUNK = 2  # steps whose input products and weight gradients are taken together: their blocks fit in the cache


@jit
def forward(x, w_input, w_state, bias, start, present, options, states, blocks):  # type: ignore[no-untyped-def]
    """Fill `states` (time, batch, state), and `blocks` (time, batch, 4 state) unless it is empty."""
    n_time, n_batch, _ = x.shape
    n_state = start.shape[1]
    reverse, clip = options[0] != 0, options[1]
    kept = blocks.size > 0
    work = blocks if kept else np.empty((CHUNK, n_batch, 4 * n_state), np.float32)
    w_input, w_state = laid_out(w_input), laid_out(w_state)
    before = start
    for done in range(0, n_time, CHUNK):
        n = min(CHUNK, n_time - done)
        first = n_time - done - n if reverse else done
        chunk = work[first : first + n] if kept else work[:n]
        flat = rows(chunk)
        fill_rows(flat, bias)
        product(rows(x[first : first + n]), w_input, flat[:, : 3 * n_state], 1)
        for i in range(n):
            k = n - 1 - i if reverse else i
            after = states[first + k]
            product(before, w_state, chunk[k][:, n_state:], 1)
            gates(chunk[k], before, after, clip)
            for b in range(n_batch):
                if present[first + k, b] == 0:
                    copy(after[b], before[b])
            before = after


@jit
def backward(  # type: ignore[no-untyped-def]
    x, w_input, w_state, start, present, options, states, blocks, slope, to_x, to_w_input, to_w_state, to_bias, to_start
):  # fmt: skip
    """From the slope at `states` to those at everything that is learned; `to_x` may be empty."""
    n_time, n_batch, _ = x.shape
    n_state = start.shape[1]
    reverse, clip = options[0] != 0, options[1]
    to_w_input[:], to_w_state[:], to_bias[:], to_start[:] = 0, 0, 0, 0
    back = to_start  # the slope at the state, on its way back to the first
    slopes = np.empty((CHUNK * n_batch, 4 * n_state + PADDING), np.float32)[:, : 4 * n_state]
    w_back, w_input_back = laid_out(w_state.T), laid_out(w_input.T)
    for done in range(0, n_time, CHUNK):
        n = min(CHUNK, n_time - done)
        first = done if reverse else n_time - done - n
        for i in range(n):
            k = i if reverse else n - 1 - i
            t = first + k
            earlier = t + 1 if reverse else t - 1
            before = states[earlier] if 0 <= earlier < n_time else start
            now = slopes[k * n_batch : (k + 1) * n_batch]
            if everything(present[t]):
                gates_back(blocks[t], before, back, slope[t], clip, now, to_bias)
            else:
                for b in range(n_batch):
                    own = back[b : b + 1], slope[t, b : b + 1], clip, now[b : b + 1], to_bias
                    if present[t, b] != 0:
                        gates_back(blocks[t, b : b + 1], before[b : b + 1], *own)
                    else:
                        now[b, :] = 0
                        add(back[b], slope[t, b])
            product(now[:, n_state:], w_back, back, 1)
        at_input = slopes[: n * n_batch, : 3 * n_state]
        product(rows(x[first : first + n]).T, at_input, to_w_input, 1)
        if to_x.size:
            product(at_input, w_input_back, rows(to_x[first : first + n]), 0)
        state_gradient(slopes[: n * n_batch, n_state:], states, start, first, 1 if reverse else -1, to_w_state)


@jit
def everything(present):  # type: ignore[no-untyped-def]
    """Whether all of a batch is there."""
    return np.all(present != 0)


@jit
def state_gradient(slopes, states, start, first, earlier, to_weights):  # type: ignore[no-untyped-def]
    """Add the slope at the weights of what a step begins with, from a chunk of steps whose first is `first`.

    That is what the step `earlier`, -1 or 1, ended with, and `start` at one end. `slopes` are (step · batch, gates).
    """
    n_batch, n_time = start.shape[0], len(states)
    n = len(slopes) // n_batch
    low, high = max(first, -earlier), min(first + n, n_time - earlier)
    if high > low:
        before, later = (
            states[low + earlier : high + earlier],
            slopes[(low - first) * n_batch : (high - first) * n_batch],
        )
        product(rows(before).T, later, to_weights, 1)
    if high - low < n:
        k = 0 if earlier < 0 else n - 1
        product(start.T, slopes[k * n_batch : (k + 1) * n_batch], to_weights, 1)


@handler
def forward_call(frame):  # type: ignore[no-untyped-def]
    if not is_query(frame):
        forward(
            cube(argument(frame, 0)), matrix(argument(frame, 1)), matrix(argument(frame, 2)),
            vector(argument(frame, 3)), matrix(argument(frame, 4)), matrix(argument(frame, 5)),
            vector(argument(frame, 6)), cube(result(frame, 0)), cube(result(frame, 1)),
        )  # fmt: skip
    return 0


@handler
def backward_call(frame):  # type: ignore[no-untyped-def]
    if not is_query(frame):
        backward(
            cube(argument(frame, 0)), matrix(argument(frame, 1)), matrix(argument(frame, 2)),
            matrix(argument(frame, 3)), matrix(argument(frame, 4)), vector(argument(frame, 5)),
            cube(argument(frame, 6)), cube(argument(frame, 7)), cube(argument(frame, 8)),
            cube(result(frame, 0)), matrix(result(frame, 1)), matrix(result(frame, 2)),
            vector(result(frame, 3)), matrix(result(frame, 4)),
        )  # fmt: skip
    return 0


FORWARD, BACKWARD = "myodrive_gru_forward", "myodrive_gru_backward"
register(FORWARD, forward_call)
register(BACKWARD, backward_call)
