"""The one way in which anything is saved: whole or not at all, and the old file stays until the new one is on disk."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from myodrive.errors import FileError

_MARK = ".myodrive-tmp-"


def safe_write(
    path: str | Path, write: Callable[[Path], object], *, check: Callable[[Path], object] | None = None
) -> Path:
    """Write a file under a temporary name in the same folder and then put it in place at once.

    The order is write, flush to disk, read back (`check`), replace, flush the folder; a process that is killed at any
    moment leaves either the old file or the new one. A temporary in another folder would not do: where that is another
    file system the move is a copy, and a full disk destroys the old file.

    Parameters
    ----------
    path : path
        The file to make or to replace. Its folder is made if need be.
    write : callable
        Writes the content to the path that it is given, whose suffix is that of `path`.
    check : callable, optional
        Reads the temporary file and raises if it is not what was meant.

    Raises
    ------
    FileError
        If the folder cannot be written to, or the disk is full; the old file is then still there.
    """
    path = Path(path)
    temporary = path.with_name(f"{_MARK}{os.getpid()}-{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        _flush(temporary)
        if check is not None:
            check(temporary)
        os.replace(temporary, path)  # noqa: PTH105 (Path.replace is the same call; this is the documented atomic one)
        _flush(path.parent)
    except OSError as error:
        raise FileError(
            f"cannot be written ({error.strerror or error}); what was there before is untouched.",
            where=str(path),
            remedy="Check the folder's permissions and the free space.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def safe_write_bytes(path: str | Path, content: bytes) -> Path:
    """`safe_write` of bytes, read back and compared."""

    def check(temporary: Path) -> None:
        if temporary.read_bytes() != content:
            raise OSError("what was read back differs from what was written")

    return safe_write(path, lambda temporary: temporary.write_bytes(content), check=check)


def safe_write_text(path: str | Path, content: str) -> Path:
    """`safe_write` of text in UTF-8 with the line ends as given."""
    return safe_write_bytes(path, content.encode("utf-8"))


def safe_write_folder(folder: str | Path, write: Callable[[Path], object]) -> Path:
    """The same for a folder: `write` fills a new folder beside it, which then takes its place.

    Between moving the old folder aside and the new one in there is an instant without either under its name; the old
    one is then still beside it, and the next call puts it back before it starts.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f"{_MARK}old-{folder.name}")
    if aside.exists():
        shutil.rmtree(aside) if folder.exists() else aside.rename(folder)
    temporary = folder.with_name(f"{_MARK}{os.getpid()}-{uuid.uuid4().hex[:8]}-{folder.name}")
    try:
        temporary.mkdir()
        write(temporary)
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        if folder.exists():
            folder.rename(aside)
        temporary.rename(folder)
        _flush(folder.parent)
    except OSError as error:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        raise FileError(
            f"cannot be written ({error.strerror or error}); what was there before is untouched.",
            where=str(folder),
            remedy="Check the folder's permissions and the free space.",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(aside, ignore_errors=True)
    return folder


def _flush(path: Path) -> None:
    """fsync of a file or a folder. Windows cannot open a folder for that: there the rename alone must do."""
    if path.is_dir():
        if os.name == "nt":
            return
        descriptor = os.open(path, os.O_RDONLY)
    else:
        descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def holds_other(folder: Path, own: str) -> bool:
    """Whether there is something at the folder's place that is not an earlier result, known by its file `own`."""
    return folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / own).is_file())
