"""The border to XLA: how a Numba function reads the arrays that an XLA program hands to it, and how it is registered.

The fields are those of `XLA_FFI_CallFrame` in ``xla/ffi/api/c_api.h``, which comes with jaxlib and whose layout is kept
within a major version.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba import config as numba_config
from numba.extending import intrinsic
from platformdirs import user_cache_path

# Words of 8 bytes from the start of each structure.
_EXTENSION, _API, _ARGUMENTS, _RESULTS = 1, 2, 9, 14  # of the call frame
_DATA, _DIMENSIONS = 3, 5  # of a buffer
_IS_METADATA = 1

# All of "fast" but what forbids NaN and infinity: a step that diverged must be seen as such.
FAST_MATH = ("contract", "arcp", "nsz", "reassoc")


def _version() -> str:
    """A name that changes with any file of this folder."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


config: Any = numba_config  # its names are made when it is loaded
KEPT_IN = Path(config.CACHE_DIR or user_cache_path("myodrive", appauthor=False) / "kernels") / _version()


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """Numba knows what it compiled before by the file that a function is in, not by those of the functions it calls."""
    before, config.CACHE_DIR = config.CACHE_DIR, str(KEPT_IN)
    try:
        yield
    finally:
        config.CACHE_DIR = before


def jit(function: Callable) -> Callable:
    """Compile a function, and keep the result on disk."""
    with _kept():
        return njit(inspect.unwrap(function), fastmath=set(FAST_MATH), error_model="numpy", cache=True)


def handler(function: Callable) -> Any:
    """Compile a function of the address of a call frame to one that XLA can call; it returns 0."""
    with _kept():
        return cfunc(types.intp(types.uintp), cache=True)(inspect.unwrap(function))


def _address_to_pointer(typing: Any, address: Any) -> Any:
    """An address as a pointer."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.uintp), code


_pointer: Any = intrinsic(_address_to_pointer)


@jit
def words(address, n):  # type: ignore[no-untyped-def]
    """Words of 8 bytes at an address."""
    return carray(_pointer(np.uintp(address)), (n,), np.uint64)


@jit
def argument(frame, i):  # type: ignore[no-untyped-def]
    """The i-th array that is handed over."""
    return words(words(frame, 22)[_ARGUMENTS], i + 1)[i]


@jit
def result(frame, i):  # type: ignore[no-untyped-def]
    """The i-th array that is to be filled."""
    return words(words(frame, 22)[_RESULTS], i + 1)[i]


@jit
def vector(buffer):  # type: ignore[no-untyped-def]
    """A buffer of one dimension as an array."""
    head = words(buffer, 6)
    size = words(head[_DIMENSIONS], 1)
    return carray(_pointer(np.uintp(head[_DATA])), (np.intp(size[0]),), np.float32)


@jit
def matrix(buffer):  # type: ignore[no-untyped-def]
    """A buffer of two dimensions as an array."""
    head = words(buffer, 6)
    size = words(head[_DIMENSIONS], 2)
    return carray(_pointer(np.uintp(head[_DATA])), (np.intp(size[0]), np.intp(size[1])), np.float32)


@jit
def cube(buffer):  # type: ignore[no-untyped-def]
    """A buffer of three dimensions as an array."""
    head = words(buffer, 6)
    size = words(head[_DIMENSIONS], 3)
    shape = (np.intp(size[0]), np.intp(size[1]), np.intp(size[2]))
    return carray(_pointer(np.uintp(head[_DATA])), shape, np.float32)


@jit
def is_query(frame):  # type: ignore[no-untyped-def]
    """Whether XLA asks, when a handler is registered, for its version instead of calling it; then answer."""
    head = words(frame, 3)
    if head[_EXTENSION] == 0:
        return False
    extension = words(head[_EXTENSION], 4)
    if extension[1] & np.uint64(0xFFFFFFFF) != _IS_METADATA:
        return False
    metadata = words(extension[3], 6)
    if head[_API] != 0:
        metadata[3] = words(head[_API], 5)[4]  # major and minor version, as the caller has them
    metadata[4] = 0  # no traits
    return True


def register(name: str, function: Any) -> None:
    """Make a compiled handler known to XLA's CPU programs."""
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(function.ctypes), platform="cpu")


@handler
def _copy_call(frame):  # type: ignore[no-untyped-def]
    if not is_query(frame):
        vector(result(frame, 0))[:] = vector(argument(frame, 0))
    return 0


COPY = "myodrive_copy"
register(COPY, _copy_call)
