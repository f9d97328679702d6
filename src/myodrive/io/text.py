"""Tables of numbers as text: CSV, TSV and what the laboratories' programs export, with or without a header."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.activation import Activation
from myodrive.errors import FileError, SignalError
from myodrive.io.channels import UNKNOWN, Channels, make_signals, spell_unit, unique_labels
from myodrive.io.numbers import is_number, parse_rows, split_cells
from myodrive.io.opening import AS_FOUND, Choice, Opened, check_path, open_file
from myodrive.recording import Recording, Source
from myodrive.safe_write import safe_write_text

_DIALECTS = (("\t", "."), (";", "."), (",", "."), ("\t", ","), (";", ","), (None, "."), (None, ","))
_COMMENT = ("#", "%", "//")
_PREAMBLE_LIMIT = 500  # lines before the first row of numbers
_LOOK_AHEAD = 5  # rows, most of which must look like the first for it to be the first
_TIME = re.compile(
    r"^(time|zeit|tiempo|temps|tempo|timestamps?|t|x)(\s*[_,]?\s*\(?\[?(s|sec|seconds|ms|msec)\)?\]?)?$", re.I
)
_INDEX = re.compile(r"^(frame|frames|sample|samples|index|row|item|nr|no|#|frame#|sample#|unnamed: 0)$", re.I)
_RATE = re.compile(r"(\d[\d.,]*)\s*(?:samples per second|samples/s|1/s|k?hz)?", re.I)
_RATE_LINE = re.compile(r"sampl\w*[\s_-]*(rate|freq\w*)|samples per second|\brate\b|samplerate|\bfs\b|abtastrate", re.I)
_CHANNEL_LINE = re.compile(r"^Channel\s+\d+:\s*'([^']*)'(?:.*?engineering units:\s*([^,]+))?", re.I)
_IN_BRACKETS = re.compile(r"^(.+?)\s*[\[(](?!\d+[\])])([^\])]{0,8})[\])]$")  # "TA (2)" is the second TA, not in twos
_AFTER_COMMA = re.compile(r"^(.+?),\s*([uµm]?V|s|ms|deg|N|g)$")
_PARTS = {"activation": ("activation", ""), "lower bound": ("lower", "_lower"), "upper bound": ("upper", "_upper")}
"""What stands in brackets behind the labels of an activation: its signal, and the ending that its labels have here."""
_ALL_PARTS = [part for part, _ in _PARTS.values()]
_PART = re.compile(rf"^(.+) \[({'|'.join(_PARTS)})\]$")
_KIND_OF_UNIT = {"deg": "angle", "rad": "angle", "N": "force", "Nm": "moment", "Nmm": "moment", "W": "power"}


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A text as it was found: what stands before the numbers, the columns, and the numbers."""

    preamble: list[str]
    labels: list[str]
    units: list[str]
    values: Float[np.ndarray, "row column"]


def read_text(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read a table of numbers: one row a sample, one column a channel.

    Delimiter, decimal comma, header, units (in a row of their own or in brackets) and comment lines are found. The clock
    is a column called time, or a rate in the header, or `rate_hz`. Where several columns are called time, each belongs
    to the columns after it (devices with clocks of their own).

    Raises
    ------
    FileError
        If there is no table, rows differ in length, or a cell is no number; it names the line.
    SignalError
        If there is neither a time column nor a rate.
    """
    opened = open_file(check_path(path))
    table = parse_text(opened)
    recording = recording_from_table(table, choice, opened.path, sha256=opened.sha256, reader="text")
    source = dataclasses.replace(recording.source, warnings=(*opened.doubts(), *recording.source.warnings))
    return recording.replace(source=source)


def recording_from_table(
    table: TextTable, choice: Choice, path: Path, *, sha256: str, reader: str, stage: str | None = None
) -> Recording:
    """A Recording from a table of samples, whatever file it comes from."""
    groups, warnings = _groups(table, choice, path)
    signals, said = make_signals(groups, choice, where=path.name, stage=stage)
    source = Source(path.name, sha256, reader, tuple(warnings + said))
    return Recording(signals, source=source, info={"header": table.preamble} if table.preamble else {})


def parse_text(opened: Opened) -> TextTable:
    """The columns of a text."""
    lines = [_comment_out(line) for line in opened.text().splitlines()]
    said = [line.lstrip("#%/ \t") for line in opened.text().splitlines()[:_PREAMBLE_LIMIT] if _is_comment(line)]
    first, delimiter, decimal, n_columns = _find_table(lines, opened.path)
    before = [line for line in lines[:first] if line.strip()]
    values = parse_rows(lines, first, n_columns, where=opened.path, delimiter=delimiter, decimal=decimal)
    labels, units, n_header = _header(before, said, delimiter, n_columns)
    preamble = said + before[: len(before) - n_header]
    return TextTable(preamble, labels, units, values)


def write_text(thing: Activation | Recording | xr.DataArray, path: str | Path, *, signal: str | None = None) -> Path:
    """Write an Activation, or one signal (time, channel) of a Recording, as CSV (or TSV by the suffix).

    The first column is ``time`` in seconds; with trials ``trial`` stands before it. A signal's unit stands in brackets
    behind its labels. An activation is ``MUSCLE [activation]``, and where it has an interval each muscle is followed by
    ``MUSCLE_lower [lower bound]`` and ``MUSCLE_upper [upper bound]``: so it is read as what it is. Missing samples are
    empty cells, every number has the digits that give it back exactly.
    """
    delimiter = "\t" if Path(path).suffix.lower() in (".tsv", ".txt") else ","
    labels, units, columns = columns_of(thing, signal)
    # "TA [1]" would be the first of several TA, so "-" stands for no unit.
    header = [f"{label} [{'-' if unit == '1' else unit}]" if unit else label for label, unit in zip(labels, units)]
    rows = [",".join("" if _is_nan(v) else _as_text(v) for v in row) for row in zip(*columns)]
    text = [delimiter.join(_quoted(h, delimiter) for h in header)]
    text += [row.replace(",", delimiter) for row in rows] if delimiter != "," else rows
    return safe_write_text(path, "\n".join(text) + "\n")


# -- reading ---------------------------------------------------------------------------------------------------------


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(_COMMENT)


def _comment_out(line: str) -> str:
    """Comments become empty lines, so that the numbers of lines in messages stay right."""
    return "" if _is_comment(line) else line


def _find_table(lines: Sequence[str], where: Path) -> tuple[int, str | None, str, int]:
    """Line, delimiter, decimal mark and number of columns of the first row of numbers."""
    for i, line in enumerate(lines[:_PREAMBLE_LIMIT]):
        fits = []
        for delimiter, decimal in _DIALECTS:
            n_columns = _n_numbers(line, delimiter, decimal)
            ahead = [row for row in lines[i + 1 : i + 40] if row.strip(" \r\n")][:_LOOK_AHEAD]
            n_fitting = sum(_n_numbers(row, delimiter, decimal) > 0 for row in ahead)
            if n_columns and 2 * n_fitting >= len(ahead):
                fits.append((n_columns, delimiter, decimal))
        if fits:
            n_columns, delimiter, decimal = max(fits, key=lambda f: f[0])
            return i, delimiter, decimal, n_columns
    raise FileError(
        f"has no row of numbers in its first {_PREAMBLE_LIMIT} lines: it is no table of channels.",
        where=where,
        remedy="A table has one row for each sample and one column for each channel.",
    )


def _n_numbers(line: str, delimiter: str | None, decimal: str) -> int:
    """How many columns a row of numbers has; 0 if it is none."""
    if delimiter is not None and delimiter not in line and delimiter != ",":
        return 0
    cells = split_cells(line, delimiter)
    has_number = any(c.strip().strip('"')[:1] in "+-.0123456789" and c.strip() for c in cells)
    all_numbers = all(is_number(c, decimal) for c in cells)
    return len(cells) if all_numbers and (has_number or len(cells) > 1) else 0


def _header(
    before: Sequence[str], comments: Sequence[str], delimiter: str | None, n_columns: int
) -> tuple[list[str], list[str], int]:
    """Labels, units, and how many of the lines before the table they took."""
    named = [m for line in before if (m := _CHANNEL_LINE.match(line.strip()))]
    if named:
        labels = [m.group(1) for m in named]
        units = [spell_unit(m.group(2) or "") for m in named]
        extra = n_columns - len(labels)
        return (labels + [f"digital {i + 1}" for i in range(extra)])[:n_columns], (units + ["-"] * extra)[:n_columns], 0
    rows = [_header_cells(line, delimiter) for line in before]
    fitting = [i for i, cells in enumerate(rows) if len(cells) == n_columns]
    if not fitting or fitting[-1] < len(rows) - 2:
        commented = [_header_cells(line, delimiter) for line in comments]
        fitting_comment = [cells for cells in commented if len(cells) == n_columns and n_columns > 1]
        if not fitting_comment:
            return [""] * n_columns, [""] * n_columns, 0
        return *_labels_and_units(fitting_comment[-1]), 0
    last = fitting[-1]
    if len(fitting) > 1 and fitting[-2] == last - 1 and _is_row_of_units(rows[last]):
        return rows[last - 1], [spell_unit(c) for c in rows[last]], 2
    return *_labels_and_units(rows[last]), len(rows) - last


def _header_cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    return [c.strip() for c in next(csv.reader([line], delimiter=delimiter), [])]


def _is_row_of_units(cells: Sequence[str]) -> bool:
    known = {"v", "mv", "uv", "µv", "μv", "s", "ms", "deg", "°", "n", "nm", "mm", "m", "g", "hz", "%", "", "-", "a.u."}
    return all(c.strip("[]() ").lower() in known for c in cells) and any(cells)


def _labels_and_units(cells: Sequence[str]) -> tuple[list[str], list[str]]:
    """From "Soleus [mV]", "Soleus (mV)" and Noraxon's "LT SOLEUS,uV"."""
    labels, units = [], []
    for cell in cells:
        found = _PART.match(cell) or _IN_BRACKETS.match(cell) or _AFTER_COMMA.match(cell)
        labels.append(found.group(1) if found else cell)
        units.append(spell_unit(found.group(2)) if found else "")
    return labels, units


def _groups(table: TextTable, choice: Choice, where: Path) -> tuple[list[Channels], list[str]]:
    """The channels of each clock in the table."""
    is_time = [i for i, label in enumerate(table.labels) if _TIME.match(label)]
    is_index = [i for i, label in enumerate(table.labels) if _INDEX.match(label)]
    if not is_time and not is_index and _counts_up(table, 0):
        (is_index if _is_whole(table.values[:, 0]) else is_time).append(0)
    channels = [i for i in range(len(table.labels)) if i not in (*is_time, *is_index)]
    if not channels:
        raise FileError("has a time column and no channel.", where=where)
    starts = [*is_time, len(table.labels)] if is_time else []
    groups, warnings = [], []
    for k, time_column in enumerate(is_time):
        mine = [i for i in channels if (i > time_column or k == 0) and i < starts[k + 1]]
        if mine:
            group, said = _timed_group(table, time_column, mine, choice, where)
            groups.append(group)
            warnings += said
    groups = _on_one_clock(groups)
    if not is_time:
        rate_hz = choice.rate_hz or _rate_in(table.preamble)
        if not rate_hz:
            raise SignalError(
                "has neither a column called time nor a sampling rate in its header.",
                where=where,
                remedy="Say the rate: rate_hz=1000 (--rate-hz 1000).",
            )
        groups = [_group(table, np.arange(len(table.values)) / rate_hz, table.values, channels)]
    return groups, warnings


def _on_one_clock(groups: Sequence[Channels]) -> list[Channels]:
    """Groups with the same times as one: devices that repeat the time before each of their channels."""
    joined: list[Channels] = []
    for group in groups:
        place = next((i for i, g in enumerate(joined) if np.array_equal(g.time, group.time)), None)
        if place is None:
            joined.append(group)
            continue
        first = joined[place]
        joined[place] = Channels(
            np.hstack([first.values, group.values]),
            first.time,
            [*first.labels, *group.labels],
            [*first.units, *group.units],
            [*first.kinds, *group.kinds],
        )
    return joined


def _timed_group(
    table: TextTable, time_column: int, columns: Sequence[int], choice: Choice, where: Path
) -> tuple[Channels, list[str]]:
    seconds = table.values[:, time_column]
    if re.search(r"(?<![a-z])m(illi)?s(ec)?", f"{table.labels[time_column]} {table.units[time_column]}", re.I):
        seconds = seconds / 1000
    known = np.isfinite(seconds)
    n_rows = int(np.flatnonzero(known)[-1]) + 1 if known.any() else 0
    if n_rows == 0 or not known[:n_rows].all():
        raise FileError(
            f"the column '{table.labels[time_column] or 'time'}' has missing values between others.",
            where=where,
            remedy="Say the rate instead (rate_hz=, --rate-hz) after removing the column.",
        )
    group = _group(table, seconds[:n_rows], table.values[:n_rows], columns)
    if choice.rate_hz is None:
        return group, []
    stated = dataclasses.replace(group, time=seconds[0] + np.arange(n_rows) / choice.rate_hz)
    found = (n_rows - 1) / (seconds[n_rows - 1] - seconds[0]) if n_rows > 1 else np.nan
    if abs(found / choice.rate_hz - 1) < 1e-3:
        return stated, []
    return stated, [f"the time column says {found:.6g} Hz; the rate that was given, {choice.rate_hz:g} Hz, is used."]


def _group(
    table: TextTable, time: Float[np.ndarray, " time"], values: Float[np.ndarray, "time column"], columns: Sequence[int]
) -> Channels:
    labels = np.array([table.labels[i] or f"channel {i + 1}" for i in columns], dtype=object)
    units = [table.units[i] for i in columns]
    parts = np.array([_PARTS[u][0] if u in _PARTS else "" for u in units])
    for part, ending in [("", ""), *_PARTS.values()]:  # each a signal of its own: labels may be the same
        mine = parts == part
        labels[mine] = unique_labels([label.removesuffix(ending) for label in labels[mine]])
    kinds = [p or ("other" if u == "-" else _KIND_OF_UNIT.get(u, UNKNOWN)) for p, u in zip(parts.tolist(), units)]
    units = ["1" if part else unit for part, unit in zip(parts, units)]
    return Channels(values[:, list(columns)], time, labels.tolist(), units, kinds)


def _counts_up(table: TextTable, column: int) -> bool:
    """Whether an unnamed column is a clock: it rises by the same step from row to row."""
    if table.labels[column] or table.values.shape[1] < 2 or len(table.values) < 10:
        return False
    steps = np.diff(table.values[:, column])
    return bool(np.all(steps > 0) and np.ptp(steps) < 0.01 * steps.mean())


def _is_whole(values: Float[np.ndarray, " row"]) -> bool:
    return bool(np.all(values == np.round(values)))


def _rate_in(preamble: Sequence[str]) -> float:
    """The one sampling rate that the lines before the table state; 0 if there is none, or more than one."""
    found = set()
    for line in preamble:
        said = _RATE_LINE.search(line)
        if said:
            # "extrapolated from 50 to 1000 samples per second": what stands before these words, else what comes after.
            text = line[: said.start()] if "per second" in said.group().lower() else line[said.end() :]
            numbers = _RATE.findall(text)
            if numbers:
                number = numbers[-1] if "per second" in said.group().lower() else numbers[0]
                factor = 1000.0 if re.search(r"khz", text, re.I) else 1.0
                found.add(factor * float(number.replace(",", ".").rstrip(".")))
    return found.pop() if len(found) == 1 else 0.0


# -- writing ---------------------------------------------------------------------------------------------------------


def columns_of(
    thing: Activation | Recording | xr.DataArray, signal: str | None = None
) -> tuple[list[str], list[str], list[np.ndarray]]:
    """Labels, units and columns of the table that `write_text` writes; the first is ``time``."""
    if isinstance(thing, Activation):
        names = _ALL_PARTS if thing.has_interval else ["activation"]
        flat = thing.dataset.where(thing.valid)
        return _columns_of_activation({n: flat[n] for n in names})
    if isinstance(thing, Recording):
        name = signal or ("emg" if "emg" in thing else next(iter(thing.signals), "emg"))
        if name == "activation" and name in thing:
            return _columns_of_activation({n: thing[n] for n in _ALL_PARTS if n in thing})
        thing = thing[name]
    if thing.ndim == 3 and thing.dims == ("time", "marker", "axis"):
        labels = [f"{m}_{a}" for m in thing.marker.values for a in thing.axis.values]
        values = thing.values.reshape(thing.sizes["time"], -1)
    elif thing.ndim == 2 and thing.dims[0] == "time":
        labels, values = [str(v) for v in thing[thing.dims[1]].values], thing.values
    else:
        raise SignalError(f"a table is (time, channel), and this is {tuple(thing.dims)}.", remedy="Write .nc instead.")
    units = (
        thing.coords["unit"].values.tolist() if "unit" in thing.coords else [thing.attrs.get("units", "")] * len(labels)
    )
    return ["time", *labels], ["", *units], [thing.time.values, *values.T]


def _columns_of_activation(parts: Mapping[str, xr.DataArray]) -> tuple[list[str], list[str], list[np.ndarray]]:
    """Muscle by muscle its activation and, as far as they are there, its lower and upper bound."""
    first = parts["activation"]
    time = first["time"].values
    labels, columns = ["time"], [time]
    if "trial" in first.dims:
        n_trials = first.sizes["trial"]
        names = first["trial"].values if "trial" in first.coords else np.arange(n_trials)
        labels, columns = ["trial", "time"], [np.repeat(names, time.size), np.tile(time, n_trials)]
    units = [""] * len(labels)
    for place, muscle in enumerate(first["muscle"].values):
        for mark, (part, ending) in _PARTS.items():
            if part in parts:
                labels.append(f"{muscle}{ending}")
                units.append(mark)
                columns.append(parts[part].isel(muscle=place).values.ravel())
    return labels, units, columns


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and bool(value != value)


def _as_text(value: object) -> str:
    return repr(float(value)) if isinstance(value, (float, np.floating)) else str(value)


def _quoted(cell: str, delimiter: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if delimiter in cell or '"' in cell else cell
