"""Products, and the arithmetic of the gates between them, in loops that compile to vector instructions.

The gates of a step lie side by side in one block (batch, 4 state) ``n | r | z | u`` of new value, reset, keep, and the
state's share of the new value. It is filled with what the input and the biases give, then with the product of the
state, which belongs to the last three; `gates` overwrites it with their values, and `gates_back` gives the slopes at
what came in, in the same order. So the input's weights see the first three columns and the state's the last three, and
every gradient of a weight is one product.

Each loop writes one array and reads few: with more, the compiler would not see that they do not overlap.
"""

from __future__ import annotations

import numpy as np

from myodrive.learning.kernels.frame import jit

f4 = np.float32


@jit
def tanh(x):  # type: ignore[no-untyped-def]
    """A quotient of polynomials, odd of degree 13 over even of degree 6, within 3e-7; NaN stays NaN."""
    x = f4(7.9) if x > f4(7.9) else x
    x = f4(-7.9) if x < f4(-7.9) else x
    s = x * x
    p = f4(2.00018790482477e-13) + s * f4(-2.76076847742355e-16)
    p = f4(5.12229709037114e-08) + s * (f4(-8.60467152213735e-11) + s * p)
    p = f4(6.37261928875436e-04) + s * (f4(1.48572235717979e-05) + s * p)
    p = f4(4.89352455891786e-03) + s * p
    q = f4(1.18534705686654e-04) + s * f4(1.19825839466702e-06)
    q = f4(4.89352518554385e-03) + s * (f4(2.26843463243900e-03) + s * q)
    return x * p / q


@jit
def sigmoid(x):  # type: ignore[no-untyped-def]
    return f4(0.5) + f4(0.5) * tanh(f4(0.5) * x)


@jit
def rows(chunk):  # type: ignore[no-untyped-def]
    """Time and batch as one."""
    return chunk.reshape((chunk.shape[0] * chunk.shape[1], chunk.shape[2]))


@jit
def copy(to, what):  # type: ignore[no-untyped-def]
    for j in range(to.shape[0]):
        to[j] = what[j]


@jit
def add(to, what):  # type: ignore[no-untyped-def]
    for j in range(to.shape[0]):
        to[j] += what[j]


@jit
def multiply(out, a, b):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] = a[j] * b[j]


@jit
def fill_rows(block, row):  # type: ignore[no-untyped-def]
    """Every row of a matrix the same."""
    for i in range(block.shape[0]):
        copy(block[i], row)


# -- one row of a batch ----------------------------------------------------------------------------------------------


@jit
def gates(row, before, after, clip):  # type: ignore[no-untyped-def]
    """From what comes in to the values of the gates, in place, and the state after the step."""
    n = before.shape[0]
    _sigmoid(row[n : 3 * n])
    _new(row[:n], row[n : 2 * n], row[3 * n :])
    _mix(after, row[:n], row[2 * n : 3 * n], before, clip)


@jit
def gates_back(row, before, slope, clip, slopes):  # type: ignore[no-untyped-def]
    """From the slope at the state after the step to those at what came in, and (in place) at the state before it.

    The part of the latter that goes through the product with the state is left to the caller.
    """
    n = before.shape[0]
    new, reset, keep, share = row[:n], row[n : 2 * n], row[2 * n : 3 * n], row[3 * n :]
    _unclip(slope, new, keep, before, clip)
    _back_new(slopes[:n], slope, keep, new)
    _back_keep(slopes[2 * n : 3 * n], slope, new, keep, before)
    multiply(slopes[3 * n :], slopes[:n], reset)
    _back_reset(slopes[n : 2 * n], slopes[3 * n :], share, reset)
    multiply(slope, slope, keep)


@jit
def _sigmoid(x):  # type: ignore[no-untyped-def]
    for j in range(x.shape[0]):
        x[j] = sigmoid(x[j])


@jit
def _new(new, reset, share):  # type: ignore[no-untyped-def]
    for j in range(new.shape[0]):
        new[j] = tanh(new[j] + reset[j] * share[j])


@jit
def _mix(after, new, keep, before, clip):  # type: ignore[no-untyped-def]
    for j in range(after.shape[0]):
        value = new[j] + keep[j] * (before[j] - new[j])
        value = clip if value > clip else value
        after[j] = -clip if value < -clip else value


@jit
def _unclip(slope, new, keep, before, clip):  # type: ignore[no-untyped-def]
    for j in range(slope.shape[0]):
        slope[j] = slope[j] if abs(new[j] + keep[j] * (before[j] - new[j])) < clip else f4(0)


@jit
def _back_new(out, slope, keep, new):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] = slope[j] * (f4(1) - keep[j]) * (f4(1) - new[j] * new[j])


@jit
def _back_keep(out, slope, new, keep, before):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] = slope[j] * (before[j] - new[j]) * keep[j] * (f4(1) - keep[j])


@jit
def _back_reset(out, slope, share, reset):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] = slope[j] * share[j] * (f4(1) - reset[j])
