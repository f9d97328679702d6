"""How work is spread over the cores of one machine: processes of one thread each, or threads that run compiled programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from platformdirs import user_cache_path

T = TypeVar("T")

# Freed memory stays with the process, in huge pages: a step otherwise spends up to half of its time on page faults.
KEPT_MEMORY = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:glibc.malloc.arena_max=1"
)
LARGEST_CACHE = 256 * 2**20  # bytes; the programs of one model take one or two million
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def worker_environment() -> dict[str, str]:
    """The environment of a single-threaded worker, to be added to that of the process before it starts.

    Everything here is read once, when libraries are loaded or the process starts: a worker of `multiprocessing` (spawn)
    or `subprocess` must be started with it. Flags that the user has set already are kept, and stand last.

    - One thread for each library of matrix products and for XLA: a small network gains nothing from two, and one
      process per core gains all.
    - On Linux with glibc, memory in huge pages that are kept between steps: see `KEPT_MEMORY` and docs/speed.md. The
      process holds no more than at its peak. Elsewhere the variable is left out.
    """
    environment = dict.fromkeys(ONE_THREAD, "1")
    environment["XLA_FLAGS"] = _joined(" ", "--xla_cpu_multi_thread_eigen=false", "XLA_FLAGS")
    if sys.platform == "linux":
        environment["GLIBC_TUNABLES"] = _joined(":", KEPT_MEMORY, "GLIBC_TUNABLES")
    return environment


def keep_programs() -> None:
    """Let JAX keep on disk what it compiles, for this process and its children, unless the user has arranged it.

    Compiling the programs of LFADS takes some 12 s, and recordings with as many muscles need the same ones. A file's
    name tells the machine that its program is for; those not used for longest go when the room is full.
    """
    kept = {
        "jax_compilation_cache_dir": str(user_cache_path("myodrive", appauthor=False) / "programs"),
        "jax_persistent_cache_min_compile_time_secs": 0.1,
        "jax_compilation_cache_max_size": LARGEST_CACHE,
    }
    if any(name.upper() in os.environ for name in (*kept, "jax_enable_compilation_cache")):
        return
    os.environ.update({name.upper(): str(value) for name, value in kept.items()})
    if "jax" in sys.modules:  # which has read its environment
        import jax

        if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
            for name, value in kept.items():
                jax.config.update(name, value)


def _joined(separator: str, ours: str, variable: str) -> str:
    """What is added to a variable, and after it what the user has put there, which so has the last word."""
    theirs = os.environ.get(variable, "")
    return separator.join([ours, theirs]) if theirs and ours not in theirs else theirs or ours


def usable_cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: a batch system may have given it fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(work: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
    """What `work` makes of each of the arguments, as `map` does, in as many threads as there are cores.

    For work that is nearly all in compiled programs, each of which runs on one core; nothing else is gained by threads.
    Ctrl-C, or an error, waits for what has begun and begins nothing more.
    """
    threads = ThreadPoolExecutor(usable_cores())
    try:
        return list(threads.map(work, *arguments))
    finally:
        threads.shutdown(cancel_futures=True)
