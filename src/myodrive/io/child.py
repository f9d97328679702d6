"""Run a native reader in a process of its own, with a limit on time and memory: a crash there is one clear refusal here.

The C3D library kills its process on a few of a hundred damaged files and loops for ever on others.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from myodrive.errors import FileError

TIME_LIMIT_S = 60.0
MEMORY_LIMIT = (
    4 * 2**30
)  # bytes of address space, where the system offers such a limit (Linux); the rest have the time limit


def run_child(
    script: Path, arguments: Sequence[str | Path], *, where: Path, time_limit_s: float = TIME_LIMIT_S
) -> dict[str, bytes]:
    """Run a Python script in a child process and give back the files that it wrote.

    The script gets the name of an empty folder as its first argument, then `arguments`. It refuses a file by writing
    the sentence to ``refusal.txt`` there. A script and not `multiprocessing`: it imports nothing but what it needs, and
    the caller's main module need not be importable.

    Parameters
    ----------
    script : path
        The Python file.
    arguments : sequence of str or path
    where : path
        The file that is being read, for messages.
    time_limit_s : float

    Returns
    -------
    dict of str to bytes
        What the script wrote, by file name.

    Raises
    ------
    FileError
        If it refused, crashed, or ran past the limit.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        # Each thread that these libraries start reserves address space, which the memory limit counts.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MYODRIVE_MEMORY_LIMIT": str(MEMORY_LIMIT),
    }
    with tempfile.TemporaryDirectory(prefix="myodrive-", ignore_cleanup_errors=True) as folder:
        # -P: this package's folder, with its file names, must not come before the libraries.
        command = [sys.executable, "-P", str(script), folder, *map(str, arguments)]
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=time_limit_s
            )
        except subprocess.TimeoutExpired as error:
            raise FileError(
                f"could not be read within {time_limit_s:g} s; it is probably damaged.",
                where=where,
                remedy="Export it again.",
            ) from error
        written = {p.name: p.read_bytes() for p in Path(folder).iterdir() if p.is_file()}
        if "refusal.txt" in written:
            raise FileError(
                written["refusal.txt"].decode("utf-8", errors="replace"), where=where, remedy="Export it again."
            )
        if done.returncode != 0:
            raise FileError(_say_crash(done), where=where, remedy="Export it again.")
    return written


def _say_crash(done: subprocess.CompletedProcess[bytes]) -> str:
    said = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
    if any("MemoryError" in line or "bad_alloc" in line for line in said[-3:]):
        return (
            f"asks for more than {MEMORY_LIMIT / 2**30:g} GiB of memory; it is damaged, or too long to be read at once."
        )
    if done.returncode < 0:
        return f"is damaged: the reader crashed on it (signal {-done.returncode})."
    return f"is damaged: the reader stopped on it ({said[-1] if said else f'exit code {done.returncode}'})."
