"""An LSTM over a whole sequence, and its gradient: `learning.recurrent.run` without the scan.

The gates of a step lie side by side in one block (batch, 4 state) ``i | f | o | g``, as in the weights. It is filled with
what input, state and bias give; `_forward` overwrites it with the gates' values.
"""

from __future__ import annotations

import numpy as np

from myodrive.learning.kernels.arithmetic import add, copy, fill_rows, rows, tanh, two_sigmoids
from myodrive.learning.kernels.frame import argument, cube, handler, is_query, jit, matrix, register, result, vector
from myodrive.learning.kernels.gru import CHUNK, everything, state_gradient
from myodrive.learning.kernels.products import PADDING, laid_out, product
from myodrive.learning.kernels.vectors import Lanes, Place, over_rows

WRITE, KEEP, SHOW, NEW = range(4)  # the parts of a block


def _forward(clip: Lanes, block: Place, before: Place, cell: Place, after: Place) -> None:
    write, keep = two_sigmoids(block.get(WRITE), block.get(KEEP))
    show, new = 0.5 + 0.5 * tanh(0.5 * block.get(SHOW)), tanh(block.get(NEW))
    for part, value in {WRITE: write, KEEP: keep, SHOW: show, NEW: new}.items():
        block.put(value, part)
    now = (keep * before.get() + write * new).clipped(clip)
    cell.put(now)
    after.put(show * tanh(now))


def _backward(
    clip: Lanes, block: Place, before: Place, cell: Place, back: Place, more: Place, at_cell: Place, slopes: Place,
    sums: Place,
) -> None:  # fmt: skip
    write, keep, show, new = (block.get(part) for part in (WRITE, KEEP, SHOW, NEW))
    shown, at_after = tanh(cell.get()), back.get() + more.get()
    unclipped = keep * before.get() + write * new
    at_now = (at_cell.get() + at_after * show * (1.0 - shown * shown)).zero_unless_inside(unclipped, clip)
    found = {
        WRITE: at_now * new * write * (1.0 - write),
        KEEP: at_now * before.get() * keep * (1.0 - keep),
        SHOW: at_after * shown * show * (1.0 - show),
        NEW: at_now * write * (1.0 - new * new),
    }
    for part, value in found.items():
        slopes.put(value, part)
        sums.put(sums.get(part) + value, part)
    at_cell.put(at_now * keep)
    back.put(0.0 * at_now)


_forward_rows, _backward_rows = over_rows(_forward), over_rows(_backward)


@jit
def _gates(block, before, cell, after, clip):  # type: ignore[no-untyped-def]
    """From what comes in to the values of the gates, in place, and cell and output after the step."""
    _forward_rows(
        block.shape[0], before.shape[1], clip,
        (block.ctypes.data, before.ctypes.data, cell.ctypes.data, after.ctypes.data),
        (block.strides[0] // 4, before.strides[0] // 4, cell.strides[0] // 4, after.strides[0] // 4),
    )  # fmt: skip


@jit
def _gates_back(block, before, cell, back, more, at_cell, clip, slopes, sums):  # type: ignore[no-untyped-def]
    """From the slopes at output (`back` and `more`) and cell after the step to those at what came in.

    `at_cell` becomes that at the cell before, and `back` zero: the product with the state is left to the caller.
    """
    _backward_rows(
        block.shape[0], before.shape[1], clip,
        (
            block.ctypes.data, before.ctypes.data, cell.ctypes.data, back.ctypes.data,
            more.ctypes.data, at_cell.ctypes.data, slopes.ctypes.data, sums.ctypes.data,
        ),
        (
            block.strides[0] // 4, before.strides[0] // 4, cell.strides[0] // 4, back.strides[0] // 4,
            more.strides[0] // 4, at_cell.strides[0] // 4, slopes.strides[0] // 4, 0,
        ),
    )  # fmt: skip


@jit
def forward(x, w_input, w_state, bias, start, present, options, states, cells, blocks):  # type: ignore[no-untyped-def]
    """Fill `states` and `cells` (time, batch, state), and `blocks` (time, batch, 4 state) unless it is empty."""
    n_time, n_batch, _ = x.shape
    n_state = states.shape[2]
    reverse, clip = options[0] != 0, options[1]
    kept = blocks.size > 0
    work = blocks if kept else np.empty((CHUNK, n_batch, 4 * n_state), np.float32)
    w_input, w_state = laid_out(w_input), laid_out(w_state)
    before, cell = np.ascontiguousarray(start[:, :n_state]), np.ascontiguousarray(start[:, n_state:])
    for done in range(0, n_time, CHUNK):
        n = min(CHUNK, n_time - done)
        first = n_time - done - n if reverse else done
        chunk = work[first : first + n] if kept else work[:n]
        flat = rows(chunk)
        fill_rows(flat, bias)
        product(rows(x[first : first + n]), w_input, flat, 1)
        for i in range(n):
            k = n - 1 - i if reverse else i
            after, now = states[first + k], cells[first + k]
            product(before, w_state, chunk[k], 1)
            _gates(chunk[k], cell, now, after, clip)
            for b in range(n_batch):
                if present[first + k, b] == 0:
                    copy(after[b], before[b])
                    copy(now[b], cell[b])
            before, cell = after, now


@jit
def backward(  # type: ignore[no-untyped-def]
    x, w_input, w_state, start, present, options, states, cells, blocks, slope, to_x, to_w_input, to_w_state, to_bias,
    to_start,
):  # fmt: skip
    """From the slope at `states` to those at everything that is learned; `to_x` may be empty."""
    n_time, n_batch, _ = x.shape
    n_state = states.shape[2]
    reverse, clip = options[0] != 0, options[1]
    to_w_input[:], to_w_state[:], to_bias[:] = 0, 0, 0
    start_state, start_cell = np.ascontiguousarray(start[:, :n_state]), np.ascontiguousarray(start[:, n_state:])
    back, at_cell = np.zeros((n_batch, n_state), np.float32), np.zeros((n_batch, n_state), np.float32)
    slopes = np.empty((CHUNK * n_batch, 4 * n_state + PADDING), np.float32)[:, : 4 * n_state]
    w_back, w_input_back = laid_out(w_state.T), laid_out(w_input.T)
    for done in range(0, n_time, CHUNK):
        n = min(CHUNK, n_time - done)
        first = done if reverse else n_time - done - n
        for i in range(n):
            k = i if reverse else n - 1 - i
            t = first + k
            earlier = t + 1 if reverse else t - 1
            before = cells[earlier] if 0 <= earlier < n_time else start_cell
            now = slopes[k * n_batch : (k + 1) * n_batch]
            if everything(present[t]):
                _gates_back(blocks[t], before, cells[t], back, slope[t], at_cell, clip, now, to_bias)
            else:
                for b in range(n_batch):
                    if present[t, b] != 0:
                        own = cells[t, b : b + 1], back[b : b + 1], slope[t, b : b + 1], at_cell[b : b + 1], clip
                        _gates_back(blocks[t, b : b + 1], before[b : b + 1], *own, now[b : b + 1], to_bias)
                    else:
                        now[b, :] = 0
                        add(back[b], slope[t, b])
            product(now, w_back, back, 1)
        at_gates = slopes[: n * n_batch]
        product(rows(x[first : first + n]).T, at_gates, to_w_input, 1)
        if to_x.size:
            product(at_gates, w_input_back, rows(to_x[first : first + n]), 0)
        state_gradient(at_gates, states, start_state, first, 1 if reverse else -1, to_w_state)
    to_start[:, :n_state], to_start[:, n_state:] = back, at_cell


@handler
def forward_call(frame):  # type: ignore[no-untyped-def]
    if not is_query(frame):
        forward(
            cube(argument(frame, 0)), matrix(argument(frame, 1)), matrix(argument(frame, 2)),
            vector(argument(frame, 3)), matrix(argument(frame, 4)), matrix(argument(frame, 5)),
            vector(argument(frame, 6)), cube(result(frame, 0)), cube(result(frame, 1)), cube(result(frame, 2)),
        )  # fmt: skip
    return 0


@handler
def backward_call(frame):  # type: ignore[no-untyped-def]
    if not is_query(frame):
        backward(
            cube(argument(frame, 0)), matrix(argument(frame, 1)), matrix(argument(frame, 2)),
            matrix(argument(frame, 3)), matrix(argument(frame, 4)), vector(argument(frame, 5)),
            cube(argument(frame, 6)), cube(argument(frame, 7)), cube(argument(frame, 8)), cube(argument(frame, 9)),
            cube(result(frame, 0)), matrix(result(frame, 1)), matrix(result(frame, 2)),
            vector(result(frame, 3)), matrix(result(frame, 4)),
        )  # fmt: skip
    return 0


FORWARD, BACKWARD = "myodrive_lstm_forward", "myodrive_lstm_backward"
register(FORWARD, forward_call)
register(BACKWARD, backward_call)
