"""NumPy's npz and npy files. No pickle is ever loaded, and no shape is believed before it fits the file."""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from myodrive.errors import FileError
from myodrive.io.arrays import recording_from_arrays
from myodrive.io.opening import AS_FOUND, Choice, Opened, budget, check_path, open_file, too_large
from myodrive.io.packing import pack
from myodrive.recording import Recording, Source
from myodrive.safe_write import safe_write

_HEADER_LIMIT = 10_000  # characters; an honest header has about a hundred


def read_npz(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read an npz file, or one array in an npy file. See `myodrive.io.arrays` for how its arrays are understood.

    Raises
    ------
    FileError
        If it is damaged, holds Python objects, or would fill the memory.
    """
    opened = open_file(check_path(path))
    arrays = _read_zip(opened) if opened.content[:2] == b"PK" else {"emg": _read_array(opened.content, opened)}
    return recording_from_arrays(arrays, choice, name=opened.name, source=Source(opened.name, opened.sha256, "npz"))


def write_npz(recording: Recording, path: str | Path) -> Path:
    """Write a Recording as npz, from which `read_npz` makes the same again."""
    arrays = {k: np.asarray(v) for k, v in pack(recording).items()}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:  # given a name, NumPy would add its suffix
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    return safe_write(path, write)


def _read_zip(opened: Opened) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(opened.content)) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
            if not members:
                raise FileError("is a zip archive without NumPy arrays in it.", where=opened.path)
            if sum(m.file_size for m in members) > budget(opened.path):
                raise too_large(opened.path)
            return {m.filename.removesuffix(".npy"): _read_array(archive.read(m), opened) for m in members}
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise _damaged(opened, error) from error
    except Exception as error:  # zlib.error and lzma's, which have no common base
        raise _damaged(opened, error) from error


def _read_array(content: bytes, opened: Opened) -> np.ndarray:
    """One npy array, its declared shape compared with its bytes before memory is taken for it."""
    stream = io.BytesIO(content)
    try:
        major, _ = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(stream, max_header_size=_HEADER_LIMIT)
    except (ValueError, EOFError, tokenize.TokenError, SyntaxError, TypeError, RecursionError) as error:
        raise _damaged(opened, error) from error
    if dtype.hasobject:
        raise FileError(
            "holds Python objects (a pickle), which could run any program when loaded: refused.",
            where=opened.path,
            remedy="Save plain arrays of numbers and text.",
        )
    declared = math.prod(shape) * dtype.itemsize
    if declared != len(content) - stream.tell() or any(n < 0 for n in shape):
        raise FileError(
            f"is cut short or damaged: an array declares {declared} bytes, and {len(content) - stream.tell()} are there.",
            where=opened.path,
            remedy="Copy it again.",
        )
    flat = np.frombuffer(content, dtype=dtype, offset=stream.tell()) if declared else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()


def _damaged(opened: Opened, error: Exception) -> FileError:
    said = " ".join(str(error).split()) or type(error).__name__
    return FileError(
        f"is damaged and cannot be read as npz ({said[:120]}).", where=opened.path, remedy="Copy it again."
    )
