"""Named arrays (npz, MATLAB, HDF5) as a Recording: which array is what, on which clock, with which labels.

Two cases. A file that was written here says everything (`pack`, `unpack`). Any other file is read by its names and
shapes: ``emg`` beside ``emg_names`` and ``rate_hz``, ``markers`` of three coordinates, label lists in a struct.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Shaped

from myodrive.errors import FileError, SignalError
from myodrive.io.channels import UNKNOWN, Channels, check_number, make_signals, rechoose
from myodrive.io.opening import Choice
from myodrive.recording import Alignment, Recording, Source, make_events, make_signal

Array = Shaped[np.ndarray, "..."]

MARK = "myodrive_recording"  # present in what was written here; its value is the layout's version
LAYOUT = 1
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
class _Found:
    """One array of samples, sorted to (time, channel), with the clock it needs."""

    name: str
    values: Array
    kind: str
    labels: list[str]
    starts: list[int]  # of trials that were put in a row, as rows of `values`


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
    groups, markers, events, warnings = content.sort()
    signals, said = make_signals(groups, choice, where=name, stage=content.stage)
    signals.update(markers)
    return Recording(
        signals,
        events=make_events(dict.fromkeys(events)),
        source=dataclasses.replace(source, warnings=(*source.warnings, *warnings, *said)),
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

    def sort(
        self,
    ) -> tuple[list[Channels], dict[str, xr.DataArray], list[tuple[float, str, str]], list[str]]:
        series = {k: v for k, v in self.numbers.items() if v.size > 1 and not self._is_clock(k)}
        stretches = _stretches(series)
        warnings: list[str] = []
        events: list[tuple[float, str, str]] = []
        groups: list[Channels] = []
        markers: dict[str, xr.DataArray] = {}
        if stretches:
            rate_hz = self._need_rate(next(iter(stretches)), 0)
            joined, starts = _in_a_row(list(stretches.values()), rate_hz)
            labels = [f"channel {i + 1}" for i in range(joined.shape[1])]
            groups.append(_channels(joined, np.arange(len(joined)) / rate_hz, labels, "emg"))
            events = [(row / rate_hz, key, "") for row, key in zip(starts, stretches)]
            warnings.append(
                f"{len(stretches)} arrays of equal width without labels: taken as EMG channels, one stretch after the "
                f"other with {GAP_S:g} s of missing samples between, and an event at each start."
            )
            return groups, markers, events, warnings
        columns = {k: v for k, v in series.items() if _is_column(v)}
        for key, values in series.items():
            if key in columns:
                continue
            if _kind(key) == "markers" and values.ndim == 3 and 3 in values.shape:
                markers["markers"] = self._markers(key, values)
                continue
            found = self._table(key, values)
            if found is None:
                warnings.append(f"the array '{key}' {values.shape} is no table of samples over time: left out.")
                continue
            time = self._time(key, len(found.values), found.starts)
            groups.append(_channels(found.values, time, found.labels, found.kind))
            events += [(float(time[row]), f"trial {i + 1}", "") for i, row in enumerate(found.starts)]
        groups, events = self._columns(columns, groups, events, warnings)
        if not groups and not markers:
            raise FileError(
                f"has no array that could be samples over time. Found: {self._list()}.",
                where=self.name,
                remedy="Save the EMG as an array (time, muscle) called emg, with muscles (labels) and rate_hz.",
            )
        return groups, markers, events, warnings

    def info(self) -> dict[str, Any]:
        """Single numbers and words that the file says."""
        single = {k: v.ravel()[0].item() for k, v in self.numbers.items() if v.size == 1}
        return {**single, **{k: v[0] for k, v in self.texts.items() if len(v) == 1}}

    # -- clocks ------------------------------------------------------------------------------------------------------

    def _is_clock(self, key: str) -> bool:
        values = self.numbers[key].ravel()
        return bool(_TIME_NAME.search(_last(key)) and values.size > 1 and np.all(np.diff(values) > 0))

    def _time(self, key: str, n_time: int, starts: list[int]) -> Array:
        own = [k for k in self._clocks(n_time) if _belongs(k, key)] if not starts else []
        clocks = own or ([] if starts else self._clocks(n_time))
        if clocks and (self.choice.rate_hz is None or _kind(key) != "emg"):
            return self.numbers[clocks[0]].ravel().astype(np.float64)
        return np.arange(n_time) / self._need_rate(key, n_time)

    def _clocks(self, n_time: int) -> list[str]:
        return [k for k in self.numbers if self._is_clock(k) and self.numbers[k].size == n_time]

    def _need_rate(self, key: str, n_time: int) -> float:
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

    def _table(self, key: str, values: Array) -> _Found | None:
        """An array of two or three dimensions as (time, channel); trials are put in a row."""
        labels, axis = self._labels(key, values.shape)
        starts: list[int] = []
        if values.ndim == 3:
            # (trial, time, channel) as Python keeps it, or (time, channel, trial) as MATLAB does.
            channel = 2 if axis is None else axis
            first, second = (a for a in range(3) if a != channel)
            time = second if channel == 2 else (first if values.shape[first] >= values.shape[second] else second)
            trial = 3 - channel - time
            stack = list(np.moveaxis(values, (trial, time, channel), (0, 1, 2)))
            rate_hz = self._need_rate(key, 0)
            values, starts = _in_a_row(stack, rate_hz)
        elif values.ndim == 2:
            if axis is None:
                axis = int(np.argmin(values.shape))
            values = np.moveaxis(values, axis, 1)
        else:
            return None
        if len(values) < _SHORTEST:
            return None
        check_number(values.shape[1], where=self.name)
        stem = next((p for p in reversed(key.split("/")) if p.lower() not in _PLAIN_NAMES), key)
        labels = labels or [f"{stem} {i + 1}" for i in range(values.shape[1])]
        return _Found(key, values, _kind(key), labels, starts)

    def _markers(self, key: str, values: Array) -> xr.DataArray:
        axis = next(a for a in range(3) if values.shape[a] == 3)
        labels, named = self._labels(key, values.shape)
        rest = [a for a in range(3) if a != axis]
        marker = named if named in rest else min(rest, key=lambda a: values.shape[a])
        time = next(a for a in rest if a != marker)
        table = np.moveaxis(values, (time, marker, axis), (0, 1, 2))
        labels = labels or [f"marker {i + 1}" for i in range(table.shape[1])]
        clock = self._time(key, len(table), [])
        dims: dict[str, Sequence[str]] = {"marker": labels, "axis": ["x", "y", "z"]}
        return make_signal(table, ("time", "marker", "axis"), dims, units=self._unit(key), time=clock)

    def _unit(self, key: str) -> str:
        return next((v[0] for k, v in self.texts.items() if _UNIT_NAME.search(k) and _belongs(k, key) and v), "")

    def _columns(
        self,
        columns: dict[str, Array],
        groups: list[Channels],
        events: list[tuple[float, str, str]],
        warnings: list[str],
    ) -> tuple[list[Channels], list[tuple[float, str, str]]]:
        """Arrays of one dimension: marks that hold for a while become events, the others channels side by side."""
        tables = list(groups)
        by_length: dict[int, list[str]] = {}
        for key, values in columns.items():
            clock = next((g.time for g in groups if len(g.time) == values.size), None)
            flat = values.ravel()
            if clock is not None and _EVENT_NAME.search(_last(key)) and _holds_for_a_while(flat):
                changes = np.flatnonzero(np.diff(flat)) + 1
                events += [(float(clock[i]), f"{_last(key)} {flat[i]:g}", "") for i in [0, *changes]]
            else:
                by_length.setdefault(values.size, []).append(key)
        for n_time, keys in by_length.items():
            if n_time < _SHORTEST or (tables and not any(len(g.time) == n_time for g in tables)):
                continue  # beside tables, a list of another length is no channel: one mass for each trial, indices
            table = np.column_stack([columns[k].ravel() for k in keys])
            time = self._time(keys[0], n_time, [])
            kinds = [_kind(k) for k in keys]
            groups.append(Channels(table, time, [_last(k) for k in keys], [self._unit(k) for k in keys], kinds))
        lengths = sorted({len(g.time) for g in groups if set(g.kinds) <= {UNKNOWN, "emg"}})
        if len(lengths) > 1 and not tables:
            said = ", ".join(f"{_last(k)} {v.size}" for k, v in columns.items())
            raise SignalError(
                f"the channels have unequal lengths ({said}), and nothing says that they are on different clocks.",
                where=self.name,
                remedy="Give them one length, or save each with its own time.",
            )
        return groups, events

    def _list(self) -> str:
        return ", ".join(f"{k} {v.shape}" for k, v in list(self.numbers.items())[:20]) or "nothing numeric"


# -- our own layout --------------------------------------------------------------------------------------------------


def pack(recording: Recording) -> dict[str, Any]:
    """A Recording as named arrays, from which `unpack` makes the same again."""
    arrays: dict[str, Any] = {MARK: LAYOUT, "signals": list(recording.signals)}
    coordinates: dict[str, list[list[str]]] = {}
    for name, signal in recording.signals.items():
        arrays[name] = signal.values
        coordinates[name] = [[str(c), *map(str, signal.coords[c].dims)] for c in signal.coords]
        for coordinate in signal.coords:
            values = signal.coords[coordinate].values
            arrays[f"{name}_{coordinate}"] = list(map(str, values)) if values.dtype.kind in "UO" else values
    arrays["events_time"] = recording.events["time"].to_numpy(dtype=np.float64)
    arrays["events_label"] = [str(v) for v in recording.events["label"]]
    arrays["events_side"] = [str(v) for v in recording.events["side"]]
    arrays["about"] = json.dumps(
        {
            "dims": {n: list(map(str, s.dims)) for n, s in recording.signals.items()},
            "coordinates": coordinates,
            "attributes": {n: s.attrs for n, s in recording.signals.items()},
            **describe_origin(recording),
        }
    )
    return arrays


def describe_origin(recording: Recording) -> dict[str, Any]:
    """Everything of a Recording but signals and events, as JSON allows."""
    return {
        **{field: getattr(recording, field) for field in ("subject", "session", "movement", "repetition", "info")},
        "source": dataclasses.asdict(recording.source),
        "alignments": {name: dataclasses.asdict(a) for name, a in recording.alignments.items()},
    }


def restore_origin(about: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `describe_origin`, as arguments for Recording."""
    source = dict(about["source"])
    return {
        **{field: about[field] for field in ("subject", "session", "movement", "repetition", "info")},
        "source": Source(**{**source, "warnings": tuple(source["warnings"])}),
        "alignments": {name: Alignment(**a) for name, a in about["alignments"].items()},
    }


def unpack(arrays: Mapping[str, Any], *, name: str, source: Source) -> Recording:
    """The inverse of `pack`."""
    try:
        if int(np.asarray(arrays[MARK]).ravel()[0]) > LAYOUT:
            raise FileError("was written by a newer myodrive.", where=name, remedy="Run: pip install -U myodrive.")
        about = json.loads(_word(arrays["about"]))
        signals = {}
        for signal, dims in about["dims"].items():
            coords = {}
            for coordinate, *over in about["coordinates"][signal]:
                values = _plain(arrays[f"{signal}_{coordinate}"])
                coords[coordinate] = (over, values.reshape(-1) if over else values.reshape(()))
            shape = [np.size(coords[d][1]) for d in dims]
            values = np.asarray(arrays[signal]).reshape(shape)
            signals[signal] = xr.DataArray(values, dims=dims, coords=coords, attrs=about["attributes"][signal])
            signals[signal]["time"].attrs["units"] = "s"
        columns = [np.atleast_1d(_plain(arrays[f"events_{c}"])).ravel().tolist() for c in ("time", "label", "side")]
        return Recording(signals, events=make_events(zip(*columns)), **restore_origin(about))
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"was written by myodrive but is damaged ({error}).", where=name) from error


def _word(value: Any) -> str:
    return str(np.asarray(value).ravel()[0]) if not isinstance(value, str) else value


def _plain(value: Any) -> Array:
    """Numbers, or text: MATLAB gives a cell with an empty word back as an empty array."""
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype.kind == "O"):
        return np.array(["" if np.size(v) == 0 else str(v) for v in value], dtype=str)
    return np.asarray(value)


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


def _channels(values: Array, time: Array, labels: list[str], kind: str) -> Channels:
    return Channels(values, time, labels, [""] * len(labels), [kind] * len(labels))
