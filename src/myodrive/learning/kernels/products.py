"""Products of small matrices in single precision.

The recurrent product of a step is so small that a BLAS spends a quarter of its time on bringing the weights into an
order of its own, anew at each step. Here tiles of the result stay in registers while both factors are read as they
lie: half as fast again. What is left over at the edges, of widths that are no multiple of a register, goes to the BLAS
that comes with SciPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

from myodrive.learning.kernels.frame import jit
from myodrive.learning.kernels.vectors import LANES, everywhere

f4 = np.float32

ROWS = 4 if LANES == 8 else 8  # of a tile, of one to three registers each: AVX2 has 16 registers, the others 32
PADDING = (
    16  # numbers after each row of a factor: rows a power of two apart would fight for the same places in the cache
)

# -- tiles -----------------------------------------------------------------------------------------------------------


def _tile_of(n_register: int) -> Callable:
    """The code of ``c += a · b`` for a tile of ROWS rows and `n_register` registers a row."""

    def tile(typing: Any, k: Any, a: Any, a_row: Any, a_step: Any, b: Any, b_row: Any, c: Any, c_row: Any) -> Any:
        step, address = types.int64, types.uintp
        signature = types.void(step, address, step, step, address, step, address, step)

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _write_tile(builder, n_register, *arguments)
            return context.get_dummy_value()

        return signature, code

    return tile


def _write_tile(
    builder: Any, n_register: int, k: Any, a: Any, a_row: Any, a_step: Any, b: Any, b_row: Any, c: Any, c_row: Any
) -> None:
    """One loop over the inner dimension; the tile is carried from turn to turn in registers."""
    integer, number = ir.IntType(64), ir.FloatType()
    vector = ir.VectorType(number, LANES)

    def at(base: Any, offset: Any, kind: Any) -> Any:
        return builder.inttoptr(builder.add(base, builder.mul(offset, integer(4))), kind.as_pointer())

    tile = [(m, v) for m in range(ROWS) for v in range(n_register)]
    place = {(m, v): at(c, builder.add(builder.mul(integer(m), c_row), integer(v * LANES)), vector) for m, v in tile}
    before = {mv: builder.load(place[mv], align=4) for mv in tile}
    entry, loop, done = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    i = builder.phi(integer)
    held = {mv: builder.phi(vector) for mv in tile}
    right = [
        builder.load(at(b, builder.add(builder.mul(i, b_row), integer(v * LANES)), vector), align=4)
        for v in range(n_register)
    ]
    after = {}
    for m in range(ROWS):
        x = builder.load(at(a, builder.add(builder.mul(i, a_step), builder.mul(integer(m), a_row)), number), align=4)
        left = everywhere(builder, x)
        for v in range(n_register):
            together = builder.fmul(left, right[v], flags=["contract"])
            after[m, v] = builder.fadd(held[m, v], together, flags=["contract"])
    following = builder.add(i, integer(1))
    i.add_incoming(integer(0), entry)
    i.add_incoming(following, loop)
    for mv in tile:
        held[mv].add_incoming(before[mv], entry)
        held[mv].add_incoming(after[mv], loop)
    builder.cbranch(builder.icmp_signed("<", following, k), loop, done)
    builder.position_at_end(done)
    for mv in tile:
        builder.store(after[mv], place[mv], align=4)


_one: Any = intrinsic(_tile_of(1))
_two: Any = intrinsic(_tile_of(2))
_three: Any = intrinsic(_tile_of(3))


@jit
def _tiles(a, b, out):  # type: ignore[no-untyped-def]
    """``out += a · b`` for whole tiles."""
    k, a_row, a_step = a.shape[1], a.strides[0] // 4, a.strides[1] // 4
    b_row, row = b.strides[0] // 4, out.strides[0] // 4
    n_column, column = out.shape[1], 0
    while column < n_column:
        n_register = min(3, (n_column - column) // LANES)
        right = b.ctypes.data + np.uintp(4 * column)
        for m in range(0, out.shape[0], ROWS):
            left = a.ctypes.data + np.uintp(4 * m * a_row)
            place = out.ctypes.data + np.uintp(4 * (m * row + column))
            if n_register == 3:
                _three(k, left, a_row, a_step, right, b_row, place, row)
            elif n_register == 2:
                _two(k, left, a_row, a_step, right, b_row, place, row)
            else:
                _one(k, left, a_row, a_step, right, b_row, place, row)
        column += n_register * LANES


# -- BLAS ------------------------------------------------------------------------------------------------------------

_SGEMM = "myodrive_sgemm"
llvmlite.binding.add_symbol(_SGEMM, get_cython_function_address("scipy.linalg.cython_blas", "sgemm"))
_AS_IT_IS, _TRANSPOSED = np.int8(ord("N")), np.int8(ord("T"))


def _call_sgemm(
    typing: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, alpha: Any,
    a: Any, lda: Any, b: Any, ldb: Any, beta: Any, c: Any, ldc: Any,
) -> Any:  # fmt: skip
    """BLAS' sgemm, of arrays by their address; it wants everything else by address too."""
    i1, i4, real, array = types.int8, types.int32, types.float32, types.uintp
    signature = types.void(i1, i1, i4, i4, i4, real, array, i4, array, i4, real, array, i4)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [pointer] * len(arguments)), _SGEMM
        )
        given = [
            builder.inttoptr(value, pointer)
            if kind == array
            else builder.bitcast(cgutils.alloca_once_value(builder, value), pointer)
            for kind, value in zip(signature.args, arguments)
        ]
        builder.call(function, given)
        return context.get_dummy_value()

    return signature, code


_sgemm: Any = intrinsic(_call_sgemm)


@jit
def _as_blas_wants(matrix):  # type: ignore[no-untyped-def]
    """Whether it is a transposed view, and how far apart its rows are, or columns; of a single one, its length."""
    turned = matrix.strides[1] != 4
    step = matrix.strides[1] if turned else matrix.strides[0]
    return turned, max(step // 4, matrix.shape[0] if turned else matrix.shape[1])


@jit
def _by_blas(a, b, out):  # type: ignore[no-untyped-def]
    """``out += a · b``."""
    a_turned, a_step = _as_blas_wants(a)
    b_turned, b_step = _as_blas_wants(b)
    # What is in C order here is transposed in BLAS: outᵀ = bᵀ · aᵀ.
    _sgemm(
        _TRANSPOSED if b_turned else _AS_IT_IS, _TRANSPOSED if a_turned else _AS_IT_IS,
        np.int32(out.shape[1]), np.int32(out.shape[0]), np.int32(a.shape[1]), f4(1),
        b.ctypes.data, np.int32(b_step), a.ctypes.data, np.int32(a_step),
        f4(1), out.ctypes.data, np.int32(out.strides[0] // 4),
    )  # fmt: skip


# -- either ----------------------------------------------------------------------------------------------------------


@jit
def product(a, b, out, keep):  # type: ignore[no-untyped-def]
    """``out = keep · out + a · b`` with keep 0 or 1; all may be columns of wider arrays, and factors transposed views.

    It is fast where the rows of `b` lie one after the other (`laid_out` makes them), best with `PADDING` between them.
    """
    if keep == 0:
        for i in range(out.shape[0]):
            out[i, :] = 0
    if b.strides[1] != 4:
        _by_blas(a, b, out)
        return
    m, n = out.shape[0] // ROWS * ROWS, out.shape[1] // LANES * LANES
    if m > 0 and n > 0:
        _tiles(a[:m], b[:, :n], out[:m, :n])
    if n < out.shape[1]:
        _by_blas(a, b[:, n:], out[:, n:])
    if m < out.shape[0] and n > 0:
        _by_blas(a[m:], b[:, :n], out[m:, :n])


@jit
def laid_out(matrix):  # type: ignore[no-untyped-def]
    """A copy whose rows are `PADDING` apart."""
    copy = np.empty((matrix.shape[0], matrix.shape[1] + PADDING), f4)[:, : matrix.shape[1]]
    copy[:, :] = matrix
    return copy
