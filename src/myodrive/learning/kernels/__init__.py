"""Loops over time as machine code for the CPU, called by XLA programs on their own memory.

XLA's CPU code spends more time between the products of a recurrent network than in them. Here a whole sequence, there
and back, is one call: products in tiles, the arithmetic of the gates fused between them, input products and weight
gradients as a few large products, and no memory but what XLA hands over. Numba compiles it when it is first used and
keeps the result on disk. Without Numba, on a GPU, or with ``MYODRIVE_PLAIN_SCANS=1`` in the
environment, the plain scans do the same work (docs/speed.md).

`frame` is the border to XLA, `products` and `vectors` write loops for the processor's registers, `arithmetic` holds the
gates, `gru` and `lstm` the sequences. Every array is float32, in C order.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import ShapeDtypeStruct
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

MAJOR_VERSION = 0  # of XLA's interface, as `frame` reads it


@functools.cache
def available() -> bool:
    """Whether kernels can be used: on a CPU, with Numba, and not switched off by ``MYODRIVE_PLAIN_SCANS=1``."""
    if os.environ.get("MYODRIVE_PLAIN_SCANS") == "1" or jax.default_backend() != "cpu":
        return False
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    if importlib.util.find_spec("numba") is None or not header.exists():
        return False
    version = re.search(r"#define XLA_FFI_API_MAJOR (\d+)", header.read_text(encoding="utf-8"))
    return version is not None and int(version[1]) == MAJOR_VERSION


def usable(*arrays: Array) -> bool:
    """Whether kernels can be used for these arrays: all in single precision."""
    return all(a.dtype == jnp.float32 for a in arrays) and available()


def call(name: str, shapes: Sequence[tuple[int, ...]], *arguments: Array) -> list[Array]:
    """Call a registered kernel, whose results have these shapes; under `jax.vmap` one member after the other."""
    results = [ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return list(jax.ffi.ffi_call(name, results, vmap_method="sequential")(*arguments))


def finished(x: Array) -> Array:
    """The same array, whose making XLA cannot repeat for each of its uses, as it else does with cheap arithmetic."""
    if not usable(x):
        return jax.lax.optimization_barrier(x)
    from myodrive.learning.kernels import frame

    return call(frame.COPY, [(x.size,)], x.reshape(-1))[0].reshape(x.shape)


def dense(slope: Any) -> Array:
    """A slope as an array, also where JAX hands over only that it is zero."""
    return jnp.zeros(slope.shape, slope.dtype) if isinstance(slope, SymbolicZero) else slope
