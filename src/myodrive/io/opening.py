"""What every reader needs first: the bytes of a file, compressed or not, within a budget, and what kind of file it is."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import lzma
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from myodrive.errors import FileError

MIB = 2**20
FREE_BUDGET = 64 * MIB  # any file may unpack to this much
LARGEST_RATIO = 100  # beyond that, to this many times its size: real recordings stay far below it


@dataclasses.dataclass(frozen=True)
class Choice:
    """What the caller says about a file, beyond what the file says itself. See `myodrive.read`."""

    emg: str | Sequence[str] | None = None
    already: str | None = None
    muscles: Mapping[str, str] | None = None
    rate_hz: float | None = None
    units: str | None = None


AS_FOUND = Choice()
"""The caller says nothing: the file and its channels decide."""


@dataclasses.dataclass(frozen=True)
class Opened:
    """A file in memory, unpacked."""

    path: Path
    content: bytes
    packing: str  # "", "gz" or "xz"

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def sha256(self) -> str:
        """Of the file as it lies on disk."""
        return file_hash(self.path)

    @property
    def suffix(self) -> str:
        """The suffix that says what is in it: ``.csv`` of ``a.csv.gz``."""
        suffixes = [s.lower() for s in self.path.suffixes]
        if suffixes and suffixes[-1] in (".gz", ".xz"):
            suffixes.pop()
        return suffixes[-1] if suffixes else ""

    def doubts(self) -> list[str]:
        """What to warn of: a table whose last line does not end, as when a copy stops within a number."""
        whole = self.content.rstrip(b"\0")[-1:] in (b"\n", b"\r")
        return [] if whole else ["the last line does not end: the file may be cut short, and its last number wrong."]

    def text(self) -> str:
        """The content as text: UTF-8 or UTF-16 by its mark, otherwise Windows' western alphabet, in which many exports are."""
        for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
            if self.content.startswith(mark):
                return self.content.decode(encoding, errors="replace")
        try:
            return self.content.decode("utf-8")
        except UnicodeDecodeError:
            return self.content.decode("cp1252", errors="replace")


def check_path(path: str | Path) -> Path:
    """The path of a file that is there.

    Raises
    ------
    FileError
        If it is missing, a folder, or empty.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError("is a folder, not a file.", where=str(path), remedy="Read a folder with read_study().")
    if not path.exists():
        raise FileError("there is no such file.", where=str(path), remedy="Check the name and the folder.")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FileError(f"cannot be read ({error.strerror}).", where=str(path)) from error
    if size == 0:
        raise FileError("is empty (0 bytes).", where=path, remedy="Copy or export it again.")
    return path


def read_head(path: Path, n_bytes: int = 1024) -> bytes:
    """The first bytes of a file, unpacked if it is packed."""
    try:
        with _unpacked(path) as stream:
            return stream.read(n_bytes)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(path, error) from error


def open_file(path: Path) -> Opened:
    """The whole file in memory, unpacked within the budget.

    Raises
    ------
    FileError
        If it is damaged, or unpacks to more than `budget` allows.
    """
    limit = budget(path)
    try:
        with _unpacked(path) as stream:
            content = stream.read() if not _packing(path) else stream.read(limit + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(path, error) from error
    if _packing(path) and len(content) > limit:
        raise too_large(path)
    return Opened(path, content, _packing(path))


def budget(path: Path) -> int:
    """How many bytes a file may unpack to."""
    return max(FREE_BUDGET, LARGEST_RATIO * path.stat().st_size)


def too_large(path: Path) -> FileError:
    """The refusal of a file that would fill the memory."""
    return FileError(
        f"would unpack to more than {budget(path) // MIB} MiB from {path.stat().st_size} bytes, which no recording does.",
        where=path,
        remedy="If you trust it, unpack it yourself and read the result.",
    )


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _packing(path: Path) -> str:
    with path.open("rb") as stream:
        head = stream.read(6)
    return "gz" if head[:2] == b"\x1f\x8b" else "xz" if head == b"\xfd7zXZ\x00" else ""


def _unpacked(path: Path) -> io.BufferedIOBase:
    packing = _packing(path)
    if packing == "gz":
        return gzip.open(path, "rb")
    if packing == "xz":
        return io.BufferedReader(lzma.open(path, "rb"))
    return path.open("rb")


def _damaged(path: Path, error: Exception) -> FileError:
    return FileError(
        f"is damaged or cut short and cannot be unpacked or read ({str(error) or type(error).__name__}).",
        where=path,
        remedy="Copy or download it again.",
    )
