"""The arithmetic of the gates, and short loops over rows, between the products of a step.

The gates of a step lie side by side in one block (batch, 4 state) ``n | r | z | u`` of new value, reset, keep, and the
state's share of the new value. It is filled with what the input and the biases give, then with the product of the
state, which belongs to the last three; `gates` overwrites it with their values, and `gates_back` gives the slopes at
what came in, in the same order. So the input's weights see the first three columns and the state's the last three, and
every gradient of a weight is one product.
"""

from __future__ import annotations

from myodrive.learning.kernels.frame import jit
from myodrive.learning.kernels.vectors import Lanes, Place, over_rows


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


# -- gates -----------------------------------------------------------------------------------------------------------

NEW, RESET, KEEP, SHARE = range(4)  # the parts of a block


def tanh(x: Lanes) -> Lanes:
    """A quotient of polynomials, odd of degree 13 over even of degree 6, within 3e-7; NaN stays NaN."""
    p, q = _tanh_parts(x)
    return p / q


def two_sigmoids(x: Lanes, y: Lanes) -> tuple[Lanes, Lanes]:
    """Both for one division."""
    (p, q), (r, s) = _tanh_parts(0.5 * x), _tanh_parts(0.5 * y)
    half = 0.5 / (q * s)
    return 0.5 + half * (p * s), 0.5 + half * (r * q)


def _tanh_parts(x: Lanes) -> tuple[Lanes, Lanes]:
    x = x.clipped(7.9)
    s = x * x
    p = 2.00018790482477e-13 + s * -2.76076847742355e-16
    p = 5.12229709037114e-08 + s * (-8.60467152213735e-11 + s * p)
    p = 6.37261928875436e-04 + s * (1.48572235717979e-05 + s * p)
    p = 4.89352455891786e-03 + s * p
    q = 1.18534705686654e-04 + s * 1.19825839466702e-06
    q = 4.89352518554385e-03 + s * (2.26843463243900e-03 + s * q)
    return x * p, q


def _forward(clip: Lanes, block: Place, before: Place, after: Place) -> None:
    reset, keep = two_sigmoids(block.get(RESET), block.get(KEEP))
    new = tanh(block.get(NEW) + reset * block.get(SHARE))
    block.put(new, NEW)
    block.put(reset, RESET)
    block.put(keep, KEEP)
    after.put((new + keep * (before.get() - new)).clipped(clip))


def _backward(clip: Lanes, block: Place, before: Place, slope: Place, more: Place, slopes: Place, sums: Place) -> None:
    new, reset, keep, share = (block.get(part) for part in (NEW, RESET, KEEP, SHARE))
    change = before.get() - new
    at_after = (slope.get() + more.get()).zero_unless_inside(new + keep * change, clip)
    at_mixed = at_after * (1.0 - keep)
    at_new = at_mixed * (1.0 - new * new)
    at_share = at_new * reset
    found = {NEW: at_new, RESET: at_share * share * (1.0 - reset), KEEP: at_mixed * keep * change, SHARE: at_share}
    for part, value in found.items():
        slopes.put(value, part)
        sums.put(sums.get(part) + value, part)
    slope.put(at_after * keep)


_forward_rows, _backward_rows = over_rows(_forward), over_rows(_backward)


@jit
def gates(block, before, after, clip):  # type: ignore[no-untyped-def]
    """From what comes in to the values of the gates, in place, and the state after the step."""
    _forward_rows(
        block.shape[0], before.shape[1], clip,
        (block.ctypes.data, before.ctypes.data, after.ctypes.data),
        (block.strides[0] // 4, before.strides[0] // 4, after.strides[0] // 4),
    )  # fmt: skip


@jit
def gates_back(block, before, slope, more, clip, slopes, sums):  # type: ignore[no-untyped-def]
    """From the slope at the state after the step to those at what came in, and (in place) at the state before it.

    `more` is added to the slope first, and the slopes at what came in are added to `sums`, those at the biases. The part
    of the slope at the state before that goes through the product with the state is left to the caller.
    """
    _backward_rows(
        block.shape[0], before.shape[1], clip,
        (
            block.ctypes.data, before.ctypes.data, slope.ctypes.data,
            more.ctypes.data, slopes.ctypes.data, sums.ctypes.data,
        ),
        (
            block.strides[0] // 4, before.strides[0] // 4, slope.strides[0] // 4,
            more.strides[0] // 4, slopes.strides[0] // 4, 0,
        ),
    )  # fmt: skip
