"""Named arrays (npz, MATLAB, HDF5) as a Recording: which array is what, on which clock, with which labels.

Names and shapes decide: ``emg`` beside ``emg_names`` and ``rate_hz``, ``markers`` of three coordinates, label lists in a
struct. What was written here says it all itself (`myodrive.io.packing`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Shaped

from myodrive.errors import FileError, SignalError
from myodrive.io.channels import UNKNOWN, Channels, check_number, make_signals, rechoose
from myodrive.io.opening import Choice
from myodrive.io.packing import MARK, unpack
from myodrive.recording import Recording, Source, make_events, make_signal

Array = Shaped[np.ndarray, "..."]

GAP_S = 0.5  # of missing samples between trials that are put in a row
_SHORTEST = 2  # samples

_KINDS = (
    # by the name of an array: what it holds
    (r"emg|electromyo|envelope|^muscle_?activity", "emg"),
    (r"marker|^points$", "markers"),
    (r"^activation|_activation", "simulated"),
    (r"angle|glove|^qs?$|^q_|joint|gonio|kinemat|coordinate", "angle"),
    (r"^qdots?|velocit", "velocities"),
    (r"torque|moment", "moment"),
    (r"power", "power"),
    (r"force|grf|^fp\d", "force"),
)
_RATE_NAME = re.compile(r"(^|_)(rate(_?hz)?|fs|sfreq|samp(ling|le)?_?(rate|freq\w*)|freq(uency)?|hz)$", re.I)
_TIME_NAME = re.compile(r"(^|_)(time|times|t|timestamps?|time_s)$", re.I)
_LABEL_NAME = re.compile(r"(names?|labels?|muscles?|channels?|colheaders|headers?|columns?|titles?)$", re.I)
_EVENT_NAME = re.compile(r"(re)?stimulus|repetition|label|phase|condition|trigger|state|event", re.I)
_PLAIN_NAMES = ("all", "data", "values", "raw")  # of a struct's member; the struct's own name says more
_UNIT_NAME = re.compile(r"units?$", re.I)


@dataclasses.dataclass
class _Sorted:
    """What the arrays of a file turned out to be."""

    groups: list[Channels] = dataclasses.field(default_factory=list)
    markers: dict[str, xr.DataArray] = dataclasses.field(default_factory=dict)
    events: list[tuple[float, str, str]] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


def recording_from_arrays(arrays: Mapping[str, Any], choice: Choice, *, name: str, source: Source) -> Recording:
    """A Recording from the arrays of a file.

    Parameters
    ----------
    arrays : mapping of str to array, str, number or list of str
        Flat; the members of a struct are ``struct/member``.
    choice : Choice
    name : str
        The file's name, for messages.
    source : Source
        To which what has to be warned of is added.

    Raises
    ------
    FileError
        If no array can be samples over time.
    SignalError
        If no rate is known, or arrays of one clock differ in length.
    """
    if MARK in arrays:
        return rechoose(unpack(arrays, name=name, source=source), choice, where=name)
    content = _Content(arrays, choice, name)
    found = content.sort()
    signals, said = make_signals(found.groups, choice, where=name, stage=content.stage)
    signals.update(found.markers)
    return Recording(
        signals,
        events=make_events(dict.fromkeys(found.events)),
        source=dataclasses.replace(source, warnings=(*source.warnings, *found.warnings, *said)),
        info=content.info(),
    )


class _Content:
    """The arrays of a file, asked one question after the other."""

    def __init__(self, arrays: Mapping[str, Any], choice: Choice, name: str) -> None:
        self.choice, self.name = choice, name
        self.numbers: dict[str, Array] = {}
        self.texts: dict[str, list[str]] = {}
        for key, value in arrays.items():
            array = np.asarray(value)
            if array.dtype.kind == "S":
                array = np.char.decode(array, "utf-8", "replace")
            if array.dtype.kind == "U" or (array.dtype.kind == "O" and all(isinstance(v, str) for v in array.ravel())):
                self.texts[key] = [str(v).strip() for v in array.ravel()]
            elif array.dtype.kind in "fiub":
                self.numbers[key] = array
        # Where the file itself calls it an envelope, that is what it is.
        called_envelope = any("envelope" in key.lower() for key in arrays)
        self.stage: str | None = "envelope" if called_envelope else None
        _leave_summaries_out(self.numbers)

    def sort(self) -> _Sorted:
        """What each array is."""
        series = {k: v for k, v in self.numbers.items() if v.size > 1 and not self._is_clock(k)}
        found = _Sorted()
        stretches = _stretches(series)
        if stretches:
            self._put_in_a_row(stretches, found)
            return found
        columns = {k: v for k, v in series.items() if _is_column(v)}
        for key, values in series.items():
            if key in columns:
                continue
            if _kind(key) == "markers" and values.ndim == 3 and 3 in values.shape:
                found.markers["markers"] = self._markers(key, values)
            else:
                self._add_table(key, values, found)
        self._add_columns(columns, found)
        if not found.groups and not found.markers:
            raise FileError(
                f"has no array that could be samples over time. Found: {self._list()}.",
                where=self.name,
                remedy="Save the EMG as an array (time, muscle) called emg, with muscles (labels) and rate_hz.",
            )
        return found

    def info(self) -> dict[str, Any]:
        """Single numbers and words that the file says."""
        single = {k: v.ravel()[0].item() for k, v in self.numbers.items() if v.size == 1}
        return {**single, **{k: v[0] for k, v in self.texts.items() if len(v) == 1}}

    # -- clocks ------------------------------------------------------------------------------------------------------

    def _is_clock(self, key: str) -> bool:
        values = self.numbers[key].ravel()
        return bool(_TIME_NAME.search(_last(key)) and values.size > 1 and np.all(np.diff(values) > 0))

    def _time(self, key: str, n_time: int) -> Array:
        clocks = sorted(self._clocks(n_time), key=lambda k: not _belongs(k, key))
        if clocks and (self.choice.rate_hz is None or _kind(key) != "emg"):
            return self.numbers[clocks[0]].ravel().astype(np.float64)
        return np.arange(n_time) / self._need_rate(key)

    def _clocks(self, n_time: int) -> list[str]:
        return [k for k in self.numbers if self._is_clock(k) and self.numbers[k].size == n_time]

    def _need_rate(self, key: str) -> float:
        rates = {k: float(v.ravel()[0]) for k, v in self.numbers.items() if v.size == 1 and _RATE_NAME.search(_last(k))}
        own = {k: r for k, r in rates.items() if _belongs(k, key) and k != key}
        common = {k: r for k, r in rates.items() if not any(_belongs(k, other) for other in self.numbers if other != k)}
        given = self.choice.rate_hz
        found = next(iter(own.values()), 0.0) or next(iter(common.values()), 0.0)
        if given and (_kind(key) == "emg" or not found):
            return given
        if found > 0:
            return found
        raise SignalError(
            f"no sampling rate is known for the array '{key}'.",
            where=self.name,
            remedy="Say it: rate_hz=1000 (--rate-hz 1000).",
        )

    # -- shapes ------------------------------------------------------------------------------------------------------

    def _labels(self, key: str, shape: tuple[int, ...]) -> tuple[list[str], int | None]:
        """The labels of an array and the axis that they name."""
        fitting = {
            k: v for k, v in self.texts.items() if len(v) in shape and len(v) > 1 and _LABEL_NAME.search(_last(k))
        }
        for k in sorted(fitting, key=lambda k: not _belongs(k, key)):
            if _belongs(k, key) or _fits_kind(k, _kind(key)):
                return fitting[k], shape.index(len(fitting[k]))
        return [], None

    def _put_in_a_row(self, stretches: dict[str, Array], found: _Sorted) -> None:
        """Stretches of the same unlabelled channels: one after the other, with an event at the start of each."""
        rate_hz = self._need_rate(next(iter(stretches)))
        joined, starts = _in_a_row(list(stretches.values()), rate_hz)
        labels = [f"channel {i + 1}" for i in range(joined.shape[1])]
        found.groups.append(_channels(joined, np.arange(len(joined)) / rate_hz, labels, "emg", ""))
        found.events += [(row / rate_hz, key, "") for row, key in zip(starts, stretches)]
        found.warnings.append(
            f"{len(stretches)} arrays of equal width without labels: taken as EMG channels, one stretch after the "
            f"other with {GAP_S:g} s of missing samples between, and an event at each start."
        )

    def _add_table(self, key: str, values: Array, found: _Sorted) -> None:
        """An array of two or three dimensions as (time, channel); trials are put in a row."""
        labels, axis = self._labels(key, values.shape)
        starts: list[int] = []
        if values.ndim == 3:
            # (trial, time, channel) as Python keeps it, or (time, channel, trial) as MATLAB does.
            channel = 2 if axis is None else axis
            first, second = (a for a in range(3) if a != channel)
            time_axis = second if channel == 2 or values.shape[first] < values.shape[second] else first
            trial = 3 - channel - time_axis
            stack = list(np.moveaxis(values, (trial, time_axis, channel), (0, 1, 2)))
            values, starts = _in_a_row(stack, self._need_rate(key))
        elif values.ndim == 2:
            values = np.moveaxis(values, int(np.argmin(values.shape)) if axis is None else axis, 1)
        if values.ndim != 2 or len(values) < _SHORTEST:
            found.warnings.append(f"the array '{key}' {values.shape} is no table of samples over time: left out.")
            return
        check_number(values.shape[1], where=self.name)
        stem = next((p for p in reversed(key.split("/")) if p.lower() not in _PLAIN_NAMES), key)
        labels = labels or [f"{stem} {i + 1}" for i in range(values.shape[1])]
        time = np.arange(len(values)) / self._need_rate(key) if starts else self._time(key, len(values))
        found.groups.append(_channels(values, time, labels, _kind(key), self._unit(key)))
        found.events += [(float(time[row]), f"trial {i + 1}", "") for i, row in enumerate(starts)]

    def _markers(self, key: str, values: Array) -> xr.DataArray:
        axis = next(a for a in range(3) if values.shape[a] == 3)
        labels, named = self._labels(key, values.shape)
        rest = [a for a in range(3) if a != axis]
        marker = named if named in rest else min(rest, key=lambda a: values.shape[a])
        time = next(a for a in rest if a != marker)
        table = np.moveaxis(values, (time, marker, axis), (0, 1, 2))
        labels = labels or [f"marker {i + 1}" for i in range(table.shape[1])]
        clock = self._time(key, len(table))
        dims: dict[str, Sequence[str]] = {"marker": labels, "axis": ["x", "y", "z"]}
        return make_signal(table, ("time", "marker", "axis"), dims, units=self._unit(key), time=clock)

    def _unit(self, key: str) -> str:
        return next((v[0] for k, v in self.texts.items() if _UNIT_NAME.search(k) and _belongs(k, key) and v), "")

    def _add_columns(self, columns: dict[str, Array], found: _Sorted) -> None:
        """Arrays of one dimension: marks that hold for a while become events, the others channels side by side."""
        tables = list(found.groups)
        by_length: dict[int, list[str]] = {}
        for key, values in columns.items():
            clock = next((g.time for g in tables if len(g.time) == values.size), None)
            flat = values.ravel()
            if clock is not None and _EVENT_NAME.search(_last(key)) and _holds_for_a_while(flat):
                changes = np.flatnonzero(np.diff(flat)) + 1
                found.events += [(float(clock[i]), f"{_last(key)} {flat[i]:g}", "") for i in [0, *changes]]
            else:
                by_length.setdefault(values.size, []).append(key)
        if tables:  # beside them, a list of another length is no channel: one mass for each trial, indices
            by_length = {n: keys for n, keys in by_length.items() if any(len(g.time) == n for g in tables)}
        elif len(by_length) > 1:
            said = ", ".join(f"{_last(k)} {v.size}" for k, v in columns.items())
            raise SignalError(
                f"the channels have unequal lengths ({said}), and nothing says that they are on different clocks.",
                where=self.name,
                remedy="Give them one length, or save each with its own time.",
            )
        for n_time, keys in by_length.items():
            table = np.column_stack([columns[k].ravel() for k in keys])
            kinds, units = [_kind(k) for k in keys], [self._unit(k) for k in keys]
            found.groups.append(Channels(table, self._time(keys[0], n_time), [_last(k) for k in keys], units, kinds))

    def _list(self) -> str:
        return ", ".join(f"{k} {v.shape}" for k, v in list(self.numbers.items())[:20]) or "nothing numeric"


# -- names and shapes ------------------------------------------------------------------------------------------------


def _last(key: str) -> str:
    return key.rsplit("/", 1)[-1]


def _leave_summaries_out(numbers: dict[str, Array]) -> None:
    """Take out means and standard deviations that stand in a struct beside the trials they are of."""
    for key in [k for k in numbers if _last(k).lower() in ("mean", "std", "sd", "median")]:
        if any(_belongs(key, other) and _last(other).lower() in _PLAIN_NAMES for other in numbers if "/" in other):
            del numbers[key]


def _kind(key: str) -> str:
    """What an array holds, by its own name, or else by the names of the structs that it is in."""
    for part in reversed(key.split("/")):
        for pattern, kind in _KINDS:
            if re.search(pattern, part, re.I):
                return kind
    return UNKNOWN


def _belongs(key: str, other: str) -> bool:
    """Whether ``emg_names`` or ``EMG/colheaders`` belongs to ``emg`` or ``EMG/all``."""
    if "/" in key or "/" in other:
        return key.rpartition("/")[0] == other.rpartition("/")[0]
    a, b = key.lower(), other.lower()
    return a.startswith((b + "_", b.removesuffix("s") + "_")) or b.startswith(a.split("_")[0] + "_")


def _fits_kind(label_key: str, kind: str) -> bool:
    label = _last(label_key).lower()
    if kind in ("emg", "simulated", UNKNOWN) and re.search(r"muscle|channel|^names?$|^labels?$|emg", label):
        return True
    return kind in ("angle", "velocities", "moment") and bool(re.search(r"dof|joint|coordinate|angle", label))


def _is_column(values: Array) -> bool:
    return values.ndim == 1 or (values.ndim == 2 and 1 in values.shape)


def _holds_for_a_while(values: Array) -> bool:
    whole = values.dtype.kind in "iub" or bool(np.all(values == np.round(values)))
    return whole and bool(np.count_nonzero(np.diff(values)) < values.size / 20)


def _stretches(series: dict[str, Array]) -> dict[str, Array]:
    """Several tables of one width and of names that say nothing: stretches of the same channels."""
    tables = {k: v for k, v in series.items() if v.ndim == 2 and min(v.shape) > 1}
    widths = {v.shape[1] for v in tables.values()}
    same = len(tables) == len(series) > 1 and len(widths) == 1 and all(len(v) > v.shape[1] for v in tables.values())
    return tables if same and all(_kind(k) in (UNKNOWN, "emg") for k in tables) else {}


def _in_a_row(tables: list[Array], rate_hz: float) -> tuple[Array, list[int]]:
    """Trials one after the other with missing samples between, and the row at which each starts."""
    gap = np.full((max(round(GAP_S * rate_hz), 1), tables[0].shape[1]), np.nan)
    parts, starts, row = [], [], 0
    for table in tables:
        starts.append(row)
        parts += [table.astype(np.float64), gap]
        row += len(table) + len(gap)
    return np.concatenate(parts[:-1]), starts


def _channels(values: Array, time: Array, labels: list[str], kind: str, unit: str) -> Channels:
    return Channels(values, time, labels, [unit] * len(labels), [kind] * len(labels))
