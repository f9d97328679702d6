"""Opening an HDF5 file that may be damaged, or claim more than the memory holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from myodrive.errors import FileError
from myodrive.io.opening import budget, too_large

MAGIC = b"\x89HDF\r\n\x1a\n"


def check_size(path: Path) -> None:
    """Refuse a file whose datasets would fill the memory, before any is loaded: their shapes are only claims."""
    total = 0

    def add(_: str, item: h5py.Dataset | h5py.Group) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            total += item.nbytes

    with opened(path) as file:
        visit(path, file, add)
    if total > budget(path):
        raise too_large(path)


def damaged(path: Path, error: Exception) -> FileError:
    """The refusal of a file that the HDF5 library cannot read."""
    said = " ".join(str(error).split())[:120] or type(error).__name__
    return FileError(f"is damaged or cut short and cannot be read ({said}).", where=path, remedy="Copy it again.")


def opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise damaged(path, error) from error


def visit(path: Path, file: h5py.File, function: Any) -> None:
    try:
        file.visititems(function)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeDecodeError, OverflowError) as error:
        if isinstance(error, FileError):
            raise
        raise damaged(path, error) from error
