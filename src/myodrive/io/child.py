"""Run a native reader in a process of its own, with a limit on time and memory: a crash there is one clear refusal here.

The C3D library kills its process on a few of a hundred damaged files and loops for ever on others; the HDF5 library
crashes on damaged files with text in them.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from myodrive import errors
from myodrive.errors import FileError, MissingExtraError
from myodrive.io.opening import Choice
from myodrive.io.packing import unpack
from myodrive.recording import Recording, Source

TIME_LIMIT_S = 60.0
SECONDS_PER_MIB = 0.5  # more for large files; measured: 0.08 s for C3D on one busy core
MEMORY_LIMIT = (
    4 * 2**30
)  # bytes of address space, where the system offers such a limit (Linux); the rest have the time limit
MEMORY_PER_BYTE = 16  # more for large files; measured: 10.5 for C3D
_LIMIT_VARIABLE = "MYODRIVE_MEMORY_LIMIT"
_EXTRA_OF = {"pynwb": "nwb", "hdmf": "nwb"}


@dataclasses.dataclass(frozen=True)
class Ended:
    """A child process that came to its end, well or not."""

    files: dict[str, bytes]  # what it wrote into its folder, by name
    returncode: int  # negative: the signal that killed it
    output: str  # what it said on stdout and stderr


def spawn(script: Path, arguments: Sequence[str | Path], *, time_limit_s: float, memory_limit: int) -> Ended | None:
    """Run a Python script in a child process, which gets the name of an empty folder as its first argument.

    None if it did not end within its time.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        # Each thread that these libraries start reserves address space, which the memory limit counts.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        _LIMIT_VARIABLE: str(memory_limit),
    }
    with tempfile.TemporaryDirectory(prefix="myodrive-", ignore_cleanup_errors=True) as folder:
        # -P: this package's folder, with its file names, must not come before the libraries.
        command = [sys.executable, "-P", str(script), folder, *map(str, arguments)]
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=time_limit_s
            )
        except subprocess.TimeoutExpired:
            return None
        files = {p.name: p.read_bytes() for p in Path(folder).iterdir() if p.is_file()}
    output = (done.stdout + done.stderr).decode("utf-8", errors="replace")
    return Ended(files, done.returncode, output)


def run_child(
    script: Path, arguments: Sequence[str | Path], *, where: Path, time_limit_s: float | None = None
) -> dict[str, bytes]:
    """Run a Python script in a child process and give back the files that it wrote.

    The script gets the name of an empty folder as its first argument, then `arguments`. It refuses a file by writing
    ``refusal.json`` there (kind, what, remedy). A script and not `multiprocessing`: it imports nothing but what it needs,
    and the caller's main module need not be importable.

    Parameters
    ----------
    script : path
        The Python file.
    arguments : sequence of str or path
    where : path
        The file that is being read, for messages.
    time_limit_s : float, optional
        By default 60 s and more for large files.

    Returns
    -------
    dict of str to bytes
        What the script wrote, by file name.

    Raises
    ------
    FileError
        If it refused, crashed, or ran past the limit.
    """
    n_bytes = sum(a.stat().st_size for a in arguments if isinstance(a, Path) and a.is_file())
    memory_limit = MEMORY_LIMIT + MEMORY_PER_BYTE * n_bytes
    if time_limit_s is None:
        time_limit_s = TIME_LIMIT_S + SECONDS_PER_MIB * n_bytes / 2**20
    done = spawn(script, arguments, time_limit_s=time_limit_s, memory_limit=memory_limit)
    if done is None:
        raise FileError(
            f"could not be read within {time_limit_s:g} s; it is probably damaged.",
            where=where,
            remedy="Export it again.",
        )
    written = done.files
    if "refusal.json" in written:
        raise _refusal(json.loads(written["refusal.json"]), where)
    if done.returncode != 0:
        raise FileError(_say_crash(done, memory_limit), where=where, remedy="Export it again.")
    return written


def read_isolated(module: str, function: str, path: Path, choice: Choice) -> Recording:
    """Read a file with ``myodrive.io.MODULE.FUNCTION`` in a child process.

    Raises
    ------
    MyodriveError
        What the function raised there, or a FileError if it crashed.
    """
    choice_text = json.dumps(dataclasses.asdict(choice), default=list)
    script = Path(__file__).with_name("_read_child.py")
    written = run_child(script, [module, function, path.resolve(), choice_text], where=path)
    with np.load(io.BytesIO(written["recording.npz"]), allow_pickle=False) as arrays:
        return unpack(dict(arrays), name=path.name, source=Source())


def limit_memory() -> None:
    """Called in a child before any library is loaded: set the limit that `run_child` asks for."""
    try:
        import resource

        limit = int(os.environ[_LIMIT_VARIABLE])
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ImportError, KeyError, ValueError, OSError):
        pass  # Windows has no such limit and macOS may refuse it: the time limit must do there


def _refusal(said: dict[str, str], where: Path) -> errors.MyodriveError:
    if said["kind"] == "missing":
        return MissingExtraError(f"Reading {where.name}", _EXTRA_OF.get(said["what"].split(".")[0], "all"))
    kind = getattr(errors, said["kind"], FileError)
    if kind is MissingExtraError:
        kind = FileError
    return kind(said["what"], where=where, remedy=said["remedy"])


def _say_crash(done: Ended, memory_limit: int) -> str:
    said = done.output.strip().splitlines()
    if any("MemoryError" in line or "bad_alloc" in line for line in said[-3:]):
        return f"asks for more than {memory_limit / 2**30:.3g} GiB of memory; it is damaged, or too long to be read at once."
    if done.returncode < 0:
        return f"is damaged: the reader crashed on it (signal {-done.returncode})."
    return f"is damaged: the reader stopped on it ({said[-1] if said else f'exit code {done.returncode}'})."
