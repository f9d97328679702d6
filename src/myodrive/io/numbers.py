"""Rows of numbers in a text, fast, and with the line named where one is not a number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from myodrive.errors import FileError

MISSING = {"", "nan", "na", "n/a", "null", "none", "-nan", "nan(ind)", "-nan(ind)", "-1.#ind", "1.#qnan", "#n/a", "--"}


def parse_rows(
    lines: Sequence[str],
    start: int,
    n_columns: int,
    *,
    where: Path,
    delimiter: str | None = "\t",
    decimal: str = ".",
    may_be_short: bool = False,
) -> Float[np.ndarray, "row column"]:
    """The numbers from line `start` on.

    Empty lines are skipped, empty cells are NaN, and rows at the end in which everything is missing are left out (with
    them go the rows of nothing but separators that spreadsheets leave).

    Parameters
    ----------
    lines : sequence of str
    start : int
        Index of the first row.
    n_columns : int
        How many numbers each row has. Empty cells beyond that are ignored.
    delimiter : str or None
        What stands between numbers; where a line has none of it, or for None, any white space.
    decimal : str
        "." or ",".
    may_be_short : bool
        Fill up rows that have fewer numbers (the last markers of a TRC row may be left out) rather than refuse them.

    Raises
    ------
    FileError
        If a row has too few or too many numbers, or a cell is no number; it names the line.
    """
    rows = _parse_fast(lines[start:], n_columns, delimiter, decimal)
    if rows is None:
        found = [
            _parse_line(lines[number], number, n_columns, where, delimiter, decimal, may_be_short)
            for number in range(start, len(lines))
            if lines[number].strip(" \r\n")
        ]
        rows = np.array(found, dtype=np.float64).reshape(len(found), n_columns)
    present = np.flatnonzero(np.isfinite(rows).any(axis=1))
    return rows[: present[-1] + 1] if present.size else rows[:0]


def is_number(cell: str, decimal: str = ".") -> bool:
    """Whether a cell is a number or one of the words for a missing one."""
    cell = cell.strip().strip('"')
    if cell.lower() in MISSING:
        return True
    try:
        float(cell.replace(",", ".") if decimal == "," else cell)
    except ValueError:
        return False
    return "_" not in cell  # Python alone takes 1_000 for a number


def split_cells(line: str, delimiter: str | None) -> list[str]:
    """The cells of one row."""
    return line.rstrip("\r\n").split(delimiter) if delimiter and delimiter in line else line.split()


def _parse_line(
    line: str, number: int, n_columns: int, where: Path, delimiter: str | None, decimal: str, may_be_short: bool
) -> list[float]:
    cells = split_cells(line, delimiter)
    while len(cells) > n_columns and not cells[-1].strip():
        cells.pop()
    if len(cells) > n_columns or (len(cells) < n_columns and not may_be_short):
        raise FileError(
            f"line {number + 1} has {len(cells)} values, and {n_columns} were expected.",
            where=where,
            remedy="The file may be cut short, or have two tables in it; export it again.",
        )
    row = [_number(c, decimal, number, where) for c in cells]
    return row + [np.nan] * (n_columns - len(row))


def _parse_fast(
    lines: Sequence[str], n_columns: int, delimiter: str | None, decimal: str
) -> Float[np.ndarray, "row column"] | None:
    """NumPy's own parser, a hundred times faster; None where the text is anything but regular rows of numbers."""
    text = [line for line in lines if line and not line.isspace()]
    if not text or delimiter is None or any(line.count(delimiter) != n_columns - 1 for line in text):
        return None
    if decimal == ",":
        text = [line.replace(",", ".") for line in text]
    try:
        return np.loadtxt(text, delimiter=delimiter, ndmin=2, comments=None, dtype=np.float64)
    except ValueError:
        return None


def _number(cell: str, decimal: str, line: int, where: Path) -> float:
    cell = cell.strip().strip('"')
    if cell.lower() in MISSING:
        return np.nan
    try:
        return float(cell.replace(",", ".") if decimal == "," else cell)
    except ValueError:
        raise FileError(f"line {line + 1}: '{cell[:40]}' is not a number.", where=where) from None
