"""Arithmetic on rows of matrices in the widest vectors that the processor has.

A compiler turns a loop into vectors of half that width at the best, and only where it sees that its arrays do not
overlap. Here the loop is written out: `over_rows` takes a function of one number from each matrix, which it is given as
a vector of them, and makes of it a loop over columns within one over rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from myodrive.learning.kernels.frame import FAST_MATH

_features = llvmlite.binding.get_host_cpu_features()
LANES = 16 if _features.get("avx512f") else 8 if _features.get("avx2") else 4  # numbers in a register

_INTEGER, _NUMBER = ir.IntType(64), ir.FloatType()


class Lanes:
    """As many numbers as a register holds (or one, at the end of a row), with the operators of arithmetic."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: Lanes | float) -> Lanes:
        return self._make("fadd", self, other)

    def __radd__(self, other: float) -> Lanes:
        return self._make("fadd", other, self)

    def __sub__(self, other: Lanes | float) -> Lanes:
        return self._make("fsub", self, other)

    def __rsub__(self, other: float) -> Lanes:
        return self._make("fsub", other, self)

    def __mul__(self, other: Lanes | float) -> Lanes:
        return self._make("fmul", self, other)

    def __rmul__(self, other: float) -> Lanes:
        return self._make("fmul", other, self)

    def __truediv__(self, other: Lanes) -> Lanes:
        return self._make("fdiv", self, other)

    def __rtruediv__(self, other: float) -> Lanes:
        return self._make("fdiv", other, self)

    def clipped(self, to: Lanes | float) -> Lanes:
        """Held between −to and to; NaN stays NaN."""
        high = self._as_lanes(to)
        low = 0.0 - high
        below = self._where(">", high, high, self)
        return below._where("<", low, low, below)

    def zero_unless_inside(self, x: Lanes, bound: Lanes) -> Lanes:
        """Itself where ``|x| < bound``, else 0."""
        nothing = self._as_lanes(0.0)
        return x._where("<", bound, x._where(">", 0.0 - bound, self, nothing), nothing)

    def _where(self, how: str, bound: Lanes, yes: Lanes, no: Lanes) -> Lanes:
        chosen = self.builder.fcmp_ordered(how, self.value, bound.value)
        return Lanes(self.builder, self.builder.select(chosen, yes.value, no.value))

    def _make(self, operation: str, a: Lanes | float, b: Lanes | float) -> Lanes:
        left, right = self._as_lanes(a).value, self._as_lanes(b).value
        return Lanes(self.builder, getattr(self.builder, operation)(left, right, flags=FAST_MATH))

    def _as_lanes(self, x: Lanes | float) -> Lanes:
        if isinstance(x, Lanes):
            return x
        kind = self.value.type
        return Lanes(self.builder, ir.Constant(kind, [x] * kind.count if isinstance(kind, ir.VectorType) else x))


class Place:
    """Where the columns are in one row of a matrix. Rows of gates have several parts, each as long as the state."""

    def __init__(self, builder: Any, kind: Any, row: Any, column: Any, length: Any) -> None:
        self.builder, self.kind, self.row, self.column, self.length = builder, kind, row, column, length

    def _pointer(self, part: int) -> Any:
        at = self.builder.add(self.column, self.builder.mul(self.length, _INTEGER(part)))
        address = self.builder.add(self.row, self.builder.mul(at, _INTEGER(4)))
        return self.builder.inttoptr(address, self.kind.as_pointer())

    def get(self, part: int = 0) -> Lanes:
        return Lanes(self.builder, self.builder.load(self._pointer(part), align=4))

    def put(self, x: Lanes, part: int = 0) -> None:
        self.builder.store(x.value, self._pointer(part), align=4)


def over_rows(body: Callable[..., None]) -> Any:
    """A loop as an intrinsic of rows, columns, a number, and two tuples: addresses of matrices, distances of their rows.

    Distances are in numbers; 0 gives every row the same place. `body` is given the number, as `Lanes`, and a `Place` of
    each matrix.
    """

    def loop(typing: Any, rows: Any, columns: Any, number: Any, addresses: Any, distances: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            n_row, n_column, number, *matrices = arguments
            starts, steps = (cgutils.unpack_tuple(builder, m) for m in matrices)
            _write_loops(builder, body, n_row, n_column, number, starts, steps)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.float32, addresses, distances), code

    return intrinsic(loop)


def everywhere(builder: Any, number: Any) -> Any:
    """A number in all places of a register."""
    lane, vector = ir.IntType(32), ir.VectorType(_NUMBER, LANES)
    nothing = vector(ir.Undefined)
    first = builder.insert_element(nothing, number, lane(0))
    return builder.shuffle_vector(first, nothing, ir.VectorType(lane, LANES)([0] * LANES))


def _write_loops(
    builder: Any, body: Callable[..., None], n_row: Any, n_column: Any, number: Any, addresses: Any, distances: Any
) -> None:
    """For each row: whole registers of columns first, then the columns that are left one by one."""
    whole = builder.and_(n_column, _INTEGER(-LANES))
    wide, single = Lanes(builder, everywhere(builder, number)), Lanes(builder, number)

    def columns(as_lanes: Lanes, starts: Sequence[Any], column: Any) -> None:
        body(as_lanes, *(Place(builder, as_lanes.value.type, start, column, n_column) for start in starts))

    def a_row(row: Any) -> None:
        starts = [builder.add(a, builder.mul(builder.mul(row, d), _INTEGER(4))) for a, d in zip(addresses, distances)]
        _count(builder, _INTEGER(0), whole, LANES, partial(columns, wide, starts))
        _count(builder, whole, n_column, 1, partial(columns, single, starts))

    _count(builder, _INTEGER(0), n_row, 1, a_row)


def _count(builder: Any, start: Any, stop: Any, step: int, inside: Callable[[Any], None]) -> None:
    """A counting loop."""
    entry = builder.block
    head, turn, done = (builder.append_basic_block(name) for name in ("head", "turn", "done"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(_INTEGER)
    i.add_incoming(start, entry)
    builder.cbranch(builder.icmp_signed("<", i, stop), turn, done)
    builder.position_at_end(turn)
    inside(i)
    following = builder.add(i, _INTEGER(step))
    i.add_incoming(following, builder.block)
    builder.branch(head)
    builder.position_at_end(done)
