"""OpenSim's text tables: TRC (markers), MOT and STO (everything else), with a parser of our own.

OpenSim's reader loops for ever on a file that is cut inside its header, and users' files come with a dozen dialects of
header. What is written here loads in OpenSim.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.activation import Activation
from myodrive.errors import FileError, SignalError
from myodrive.io.channels import UNKNOWN, Channels, make_signals, unique_labels
from myodrive.io.numbers import parse_rows
from myodrive.io.opening import AS_FOUND, Choice, Opened, check_path, open_file
from myodrive.recording import Recording, Source, make_signal, sampling_rate
from myodrive.safe_write import safe_write_text

_END_OF_HEADER = "endheader"
_HEADER_LIMIT = 1000  # lines; a file without "endheader" in them is no storage file
_ROW_WORDS = ("nrows", "nr", "datarows")
_COLUMN_WORDS = ("ncolumns", "ncols", "nc", "datacolumns")
_ACTIVATION_TITLE = "Activation by"
_TITLES = {
    "emg": "EMG",
    "angles": "Coordinates",
    "moments": "Inverse Dynamics Generalized Forces",
    "activation": f"{_ACTIVATION_TITLE} an estimator",
}
_KIND_OF_TITLE = {"analog": "other", "forces": "force", "powers": "power", "simulated": "simulated"}
_TRC_WORDS = "PathFileType"


@dataclasses.dataclass(frozen=True)
class StorageTable:
    """A MOT or STO file as it is."""

    name: str
    header: dict[str, str]
    labels: list[str]
    time: Float[np.ndarray, " time"]
    values: Float[np.ndarray, "time column"]
    warnings: list[str]

    @property
    def in_degrees(self) -> bool:
        return self.header.get("indegrees", "no").lower() in ("yes", "true", "1")


def read_storage(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read a MOT or STO file: its title and labels say what it holds.

    Measured or processed EMG becomes ``emg``; muscle activity of a simulation ``simulated``; coordinates ``angles``
    (in degrees or radians as the file says; translations in m, by the coordinate ``unit``); inverse dynamics
    ``moments``; ground reactions and muscle forces ``forces``.

    Raises
    ------
    FileError
        If the header does not end, the table is not the size that it declares, or a row is not numbers.
    """
    opened = open_file(check_path(path))
    table = parse_storage(opened)
    kind = _kind_of_table(table, opened.name)
    kinds = [kind] * len(table.labels)
    units = [_unit(label, kind, table.in_degrees) for label in table.labels]
    group = Channels(table.values, table.time, table.labels, units, kinds)
    signals, warnings = make_signals([group], choice, where=opened.name)
    return Recording(
        signals,
        source=Source(opened.name, opened.sha256, "storage", tuple(opened.doubts() + table.warnings + warnings)),
        info={"title": table.name, "header": table.header},
    )


def parse_storage(opened: Opened) -> StorageTable:
    """The table of a MOT or STO file, whatever the dialect of its header."""
    lines = opened.text().splitlines()
    end = next((i for i, row in enumerate(lines[:_HEADER_LIMIT]) if row.strip().lower() == _END_OF_HEADER), None)
    if end is None:
        raise FileError(
            "has no line 'endheader': it is cut short, or no OpenSim table.",
            where=opened.path,
            remedy="Export it again.",
        )
    header = _parse_header(lines[:end])
    name = next((row.strip() for row in lines[:end] if row.strip()), "")
    start = next((i for i in range(end + 1, len(lines)) if lines[i].strip()), None)
    if start is None:
        raise FileError("ends after its header.", where=opened.path, remedy="Export it again.")
    labels = _split_labels(lines[start])
    if not labels or labels[0].lower() != "time":
        raise FileError(
            f"line {start + 1}: the first column should be 'time' and is '{labels[0] if labels else ''}'.",
            where=opened.path,
        )
    rows = parse_rows(lines, start + 1, len(labels), where=opened.path)
    warnings = _check_size(opened, header, rows.shape[0], len(labels))
    return StorageTable(name, header, unique_labels(labels[1:]), rows[:, 0], rows[:, 1:], warnings)


def read_trc(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read a TRC file: ``markers`` (time, marker, axis), NaN where a marker was not seen.

    Raises
    ------
    FileError
        If it has fewer frames or columns than it declares, or a row is not numbers.
    """
    opened = open_file(check_path(path))
    lines = opened.text().splitlines()
    if len(lines) < 6:
        raise FileError(f"has {len(lines)} lines; a TRC file has at least six.", where=opened.path)
    declared = dict(zip(lines[1].split(), lines[2].split()))
    labels = [cell.strip() for cell in lines[3].split("\t")[2:]]
    labels = [label for label in labels if label]
    n_columns = 2 + 3 * len(labels)
    start = next((i for i in range(4, len(lines)) if _starts_with_frame(lines[i])), len(lines))
    rows = parse_rows(lines, start, n_columns, where=opened.path, may_be_short=True)
    n_declared = _whole(declared.get("NumFrames", ""))
    if rows.shape[0] < n_declared:
        raise FileError(
            f"is cut short: {rows.shape[0]} of {n_declared} frames are there.",
            where=opened.path,
            remedy="Copy it again.",
        )
    warnings = opened.doubts()
    if _whole(declared.get("NumMarkers", "")) not in (0, len(labels)):
        warnings.append(f"the header declares {declared['NumMarkers']} markers, and {len(labels)} have a name.")
    markers = make_signal(
        rows[:, 2:].reshape(rows.shape[0], len(labels), 3),
        ("time", "marker", "axis"),
        {"marker": unique_labels(labels), "axis": ["x", "y", "z"]},
        units=declared.get("Units", "mm"),
        time=rows[:, 1],
    )
    return Recording(
        {"markers": markers},
        source=Source(opened.name, opened.sha256, "trc", tuple(warnings)),
        info={"header": declared},
    )


def write_storage(thing: Activation | Recording | xr.DataArray, path: str | Path, *, signal: str | None = None) -> Path:
    """Write an Activation, or one signal (time, channel) of a Recording, as MOT or STO that OpenSim loads.

    A column is a muscle, joint or channel; white space in a label becomes "_", because OpenSim splits there. Samples
    that are not valid are ``nan``.

    Raises
    ------
    SignalError
        If there are trials in it, or more than two dimensions.
    """
    table, title = _table_of(thing, signal)
    labels = [re.sub(r"\s+", "_", str(label).strip()) for label in table[table.dims[1]].values]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise SignalError(f"the labels {', '.join(repeated)} stand more than once, which an OpenSim table cannot hold.")
    degrees = table.attrs.get("units") == "deg" or "deg" in np.asarray(table.coords.get("unit", "")).tolist()
    header = [
        title,
        "version=1",
        f"nRows={table.sizes['time']}",
        f"nColumns={len(labels) + 1}",
        f"inDegrees={'yes' if degrees else 'no'}",
        _END_OF_HEADER,
        "\t".join(["time", *labels]),
    ]
    return safe_write_text(path, "\n".join([*header, *_rows(table.time.values, table.values)]) + "\n")


def write_trc(recording: Recording, path: str | Path) -> Path:
    """Write the markers as TRC. A marker that was not seen is `NaN`; OpenSim refuses rows that end in empty cells."""
    markers = recording["markers"].transpose("time", "marker", "axis")
    rate, n = sampling_rate(markers), markers.sizes["time"]
    labels = [re.sub(r"\s+", "_", str(label)) for label in markers.marker.values]
    header = [
        f"PathFileType\t4\t(X/Y/Z)\t{Path(path).name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate:g}\t{rate:g}\t{n}\t{len(labels)}\t{markers.attrs.get('units', 'mm')}\t{rate:g}\t1\t{n}",
        "Frame#\tTime\t" + "\t\t\t".join(labels) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{i + 1}" for i in range(len(labels)) for axis in "XYZ"),
        "",
    ]
    rows = [
        "\t".join([str(i + 1), repr(float(t)), *("NaN" if np.isnan(v) else repr(float(v)) for v in values.ravel())])
        for i, (t, values) in enumerate(zip(markers.time.values, markers.values))
    ]
    return safe_write_text(path, "\n".join([*header, *rows]) + "\n")


def is_storage(text: str) -> bool:
    """Whether a text that starts so is a MOT or STO file."""
    return any(line.strip().lower() == _END_OF_HEADER for line in text.splitlines()[:_HEADER_LIMIT])


def is_trc(text: str) -> bool:
    """Whether a text that starts so is a TRC file."""
    return text.lstrip().startswith(_TRC_WORDS)


# -- inside ----------------------------------------------------------------------------------------------------------


def _parse_header(lines: Sequence[str]) -> dict[str, str]:
    """``key=value`` and the older ``key value``, keys in lower case."""
    header = {}
    for line in lines:
        parts = [p.strip() for p in line.strip().split("=", 1)] if "=" in line else line.split()
        if len(parts) == 2:
            header[parts[0].lower()] = parts[1]
        elif len(parts) == 3 and parts[0].lower() == "range":
            header["range"] = " ".join(parts[1:])
    return header


def _split_labels(line: str) -> list[str]:
    parts = line.strip("\r\n").split("\t") if "\t" in line else line.split()
    labels = [p.strip() for p in parts]
    while labels and not labels[-1]:
        labels.pop()
    return labels


def _check_size(opened: Opened, header: dict[str, str], n_rows: int, n_columns: int) -> list[str]:
    """Refuse fewer rows than declared. A wrong number of columns is a warning: labels and rows agree, and files have it."""
    said = _declared(header, _ROW_WORDS)
    if said > n_rows:
        raise FileError(
            f"is cut short: its header declares {said} rows, and {n_rows} are there.",
            where=opened.path,
            remedy="Copy or export it again.",
        )
    said = _declared(header, _COLUMN_WORDS)
    return [f"the header declares {said} columns, and {n_columns} are there."] if said and said != n_columns else []


def _whole(word: str) -> int:
    """A number of frames; 0 where the header has none there."""
    return int(word.split(".")[0]) if word.split(".")[0].isdigit() else 0


def _declared(header: dict[str, str], words: Sequence[str]) -> int:
    """0 where the header says nothing; some writers leave 0 there themselves."""
    said = next((header[w] for w in words if w in header), "0")
    return _whole(said)


def _kind_of_table(table: StorageTable, file_name: str) -> str:
    title, first = f"{table.name} {file_name}".lower(), (table.labels or [""])[0].lower()
    if re.search(r"\bemg|electromyogra", title.replace("_", " ")):
        return "emg"
    if table.name in _KIND_OF_TITLE:
        return _KIND_OF_TITLE[table.name]
    if table.name.startswith(_ACTIVATION_TITLE):
        return "activation"
    if "static optimization" in title or "activation" in title or first.endswith("/activation"):
        return "simulated"
    if ("ground" in first and re.search(r"force|torque|_v[xyz]|_p[xyz]", first)) or re.match(r"f\d_v[xyz]", first):
        return "force"
    if "inverse dynamics" in title or first.endswith(("_moment", "_force")):
        return "moment"
    if "forces" in title:
        return "force"
    if "coordinates" in title or first.endswith("/value") or re.match(r"pelvis_(tilt|list|rot)", first):
        return "angle"
    return UNKNOWN


def _unit(label: str, kind: str, in_degrees: bool) -> str:
    label = label.lower().removesuffix("/value")
    if kind == "angle":
        return "m" if re.search(r"_t[xyz]$", label) else "deg" if in_degrees else "rad"
    if kind == "moment":
        return "N" if label.endswith("_force") else "Nm"
    if kind == "force":
        if re.search(r"_p[xyz]$", label):
            return "m"
        return "Nm" if re.search(r"torque|_m[xyz]$", label) else "N"
    return "1" if kind in ("simulated", "activation") else ""


def _starts_with_frame(line: str) -> bool:
    first = line.split("\t")[0].strip()
    return bool(re.fullmatch(r"\d+(\.0*)?", first))


def _table_of(thing: Activation | Recording | xr.DataArray, signal: str | None) -> tuple[xr.DataArray, str]:
    if isinstance(thing, Activation):
        table = thing.activation.where(thing.valid)
        title = f"{_ACTIVATION_TITLE} {thing.method}, relative to {thing.relative_to}"
    elif isinstance(thing, Recording):
        name = signal or ("emg" if "emg" in thing else next(iter(thing.signals), "emg"))
        table, title = thing[name], _TITLES.get(name, name)
    else:
        table, title = thing, str(thing.name or "table")
    if table.dims[0] != "time" or table.ndim != 2:
        raise SignalError(
            f"an OpenSim table is (time, channel), and this is {tuple(table.dims)}.",
            remedy="Write .nc instead, or choose one trial or a signal with two dimensions.",
        )
    return table, title


def _rows(time: np.ndarray, values: np.ndarray) -> list[str]:
    """Numbers in as many digits as give them back exactly."""
    table = np.column_stack([time, values.astype(np.float64)])
    return ["\t".join(map(repr, row)) for row in table.tolist()]
