"""EDF and BDF, each channel at its own rate, with the side files of EMG-BIDS (channels.tsv, emg.json, events.tsv)."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from myodrive.errors import FileError, SignalError
from myodrive.io.channels import UNKNOWN, Channels, make_signals
from myodrive.io.edf_records import describe_gaps, put_on_one_clock, read_layout, record_starts
from myodrive.io.opening import AS_FOUND, Choice, check_path, file_hash
from myodrive.recording import Recording, Source, is_uniform, make_events, sampling_rate
from myodrive.safe_write import safe_write

_LABEL_LETTERS = 16  # what the format has room for
_BIDS_ENTITIES = {"sub": "subject", "ses": "session", "task": "movement", "run": "repetition"}


def read_edf(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read an EDF, EDF+, BDF or BDF+ file; channels of one rate share a signal.

    In a BIDS folder ``channels.tsv`` says which channels are EMG and in which unit, ``events.tsv`` the events, and the
    file's name who and what. Gaps between records (EDF+D) are missing samples.

    Raises
    ------
    FileError
        If it is damaged, shorter than it declares, or has gaps and does not say where.
    """
    import edfio

    path = check_path(path)
    layout = read_layout(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fields that are not as the standard wants them
            # latin-1: the standard's ASCII leaves no way to write µV, and many programs write it all the same
            file = (edfio.read_bdf if layout.is_bdf else edfio.read_edf)(path, header_encoding="latin-1")
            channels = [_Channel(signal) for signal in file.signals]
            annotations = [_event(float(a.onset), str(a.text)) for a in file.annotations]
    except Exception as error:  # on damaged files anything comes, from IndexError to AssertionError
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise FileError(
            f"is damaged and cannot be read as EDF ({said}).", where=path, remedy="Copy it again."
        ) from error
    side = _side_files(path)
    rows = {row.get("name", ""): row for row in side["channels"]}
    groups = [_group(rate, [c for c in channels if c.rate_hz == rate], rows) for rate in _rates(channels)]
    said_of_gaps = []
    if layout.has_gaps and layout.n_records and groups:
        starts_s = record_starts(layout)
        groups = [_with_gaps(group, rate, starts_s, path) for group, rate in zip(groups, _rates(channels))]
        said_of_gaps = describe_gaps(layout, starts_s, _rates(channels))
    signals, said_of_channels = make_signals(groups, choice, where=path.name)
    bad = [name for name, row in rows.items() if row.get("status", "").lower() == "bad"]
    said_of_channels += [f"channels.tsv calls these channels bad: {', '.join(bad)}."] if bad else []
    recording = Recording(
        signals,
        events=make_events([*annotations, *side["events"]]),
        source=Source(
            path.name, file_hash(path), "bdf" if layout.is_bdf else "edf", tuple(said_of_gaps + said_of_channels)
        ),
        info=side["json"],
    )
    return recording.replace(**_bids_labels(path.name))


def write_edf(recording: Recording, path: str | Path) -> Path:
    """Write all signals (time, channel) as EDF (16 bit), or as BDF (24 bit) by the suffix, and the events as annotations.

    Each channel is scaled to its own range, so that the error is at most half a step of 2⁻¹⁶ (2⁻²⁴) of it. Labels have
    room for 16 letters: what stands before a dot goes first.

    Raises
    ------
    SignalError
        If a signal has missing samples or a variable time step, which the format cannot hold.
    """
    import edfio

    is_bdf = Path(path).suffix.lower() == ".bdf"
    signal_class: Any = edfio.BdfSignal if is_bdf else edfio.EdfSignal
    tables = {n: s for n, s in recording.signals.items() if s.ndim == 2}
    if not tables:
        raise SignalError("has no signal (time, channel) to write as EDF.", where=recording.label)
    start_s = min(float(s.time[0]) for s in tables.values())
    labels = iter(_short_labels([str(v) for s in tables.values() for v in s[s.dims[1]].values]))
    channels = []
    for name, table in tables.items():
        _check_writable(name, table, start_s)
        for place in range(table.shape[1]):
            values = table.values[:, place].astype(np.float64)
            unit = str(table.coords["unit"].values[place] if "unit" in table.coords else table.attrs.get("units", ""))
            channels.append(
                signal_class(
                    values,
                    sampling_rate(table),
                    label=next(labels),
                    transducer_type="EMG" if name == "emg" else "",
                    physical_dimension=unit.replace("µ", "u").encode("ascii", "replace").decode()[:8],
                    physical_range=_range(values),
                )
            )
    annotations = [
        edfio.EdfAnnotation(float(t) - start_s, None, f"{side} {label}".strip() if side else label)
        for t, label, side in recording.events[["time", "label", "side"]].itertuples(index=False, name=None)
        if t >= start_s
    ]
    record_s = _record_duration(list(tables.values()), recording.label)
    try:
        file_class: Any = edfio.Bdf if is_bdf else edfio.Edf
        file = file_class(channels, annotations=annotations or None, data_record_duration=record_s)
    except ValueError as error:
        raise SignalError(
            f"cannot be laid out as EDF ({error}).", where=recording.label, remedy="Write .nc instead."
        ) from error
    return safe_write(path, lambda temporary: temporary.write_bytes(file.to_bytes()), check=read_layout)


def _event(onset_s: float, text: str) -> tuple[float, str, str]:
    """ "left Foot Strike" has its side in front, as it is written here."""
    first, _, rest = text.partition(" ")
    return (onset_s, rest, first) if first in ("left", "right") and rest else (onset_s, text, "")


class _Channel:
    """One channel of a file."""

    def __init__(self, signal: Any) -> None:
        self.label = str(signal.label)
        self.unit = str(signal.physical_dimension)
        self.rate_hz = float(signal.sampling_frequency)
        self.values = np.asarray(signal.data, dtype=np.float64)
        told = f"{self.label} {signal.transducer_type}".lower()
        self.kind = "emg" if re.search(r"\bemg\b", told.replace("_", " ")) else UNKNOWN


def _rates(channels: Iterable[_Channel]) -> list[float]:
    return list(dict.fromkeys(c.rate_hz for c in channels))


def _group(rate_hz: float, channels: list[_Channel], rows: dict[str, dict[str, str]]) -> Channels:
    kinds, units = [], []
    for c in channels:
        told = rows.get(c.label, {})
        kinds.append(("emg" if told["type"].upper() == "EMG" else "other") if told.get("type") else c.kind)
        units.append(told.get("units") if told.get("units", "n/a") != "n/a" else c.unit)
    values = np.column_stack([c.values for c in channels])
    return Channels(
        values, np.arange(len(values)) / rate_hz, [c.label for c in channels], [u or "" for u in units], kinds
    )


def _with_gaps(group: Channels, rate_hz: float, starts_s: np.ndarray, path: Path) -> Channels:
    values = put_on_one_clock(group.values, rate_hz, starts_s, path)
    return dataclasses.replace(group, values=values, time=np.arange(len(values)) / rate_hz)


def _side_files(path: Path) -> dict[str, Any]:
    """What lies beside a BIDS file: its channels, events and description."""
    stem = re.sub(r"_(emg|eeg|ieeg)$", "", path.stem)
    channels = _tsv(path.with_name(f"{stem}_channels.tsv"))
    rows = _tsv(path.with_name(f"{stem}_events.tsv"))
    events = []
    for row in rows:
        label = next((row[k] for k in ("trial_type", "value", "event_type") if row.get(k, "n/a") != "n/a"), "event")
        try:
            events.append((float(row["onset"]), label, ""))
        except (KeyError, ValueError):
            continue  # "n/a" as onset is allowed there
    description = path.with_suffix(".json")
    try:
        content = json.loads(description.read_text(encoding="utf-8")) if description.is_file() else {}
    except (ValueError, OSError) as error:
        raise FileError(f"is not valid JSON ({error}).", where=description) from error
    return {"channels": channels, "events": events, "json": content if isinstance(content, dict) else {}}


def _tsv(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        return [{k: v or "" for k, v in row.items() if k} for row in csv.DictReader(stream, delimiter="\t")]


def _bids_labels(name: str) -> dict[str, str]:
    found = dict(re.findall(r"(?:^|_)([a-z]+)-([A-Za-z0-9]+)", name))
    return {label: found[entity] for entity, label in _BIDS_ENTITIES.items() if entity in found}


def _check_writable(name: str, table: xr.DataArray, start_s: float) -> None:
    rate_hz = sampling_rate(table)
    if not np.isfinite(table.values).all():
        problem = "missing samples"
    elif not is_uniform(table) or not rate_hz > 0:
        problem = "a variable time step"
    elif abs(float(table.time[0]) - start_s) > 0.5 / rate_hz:
        problem = "a later start than the others"
    else:
        return
    raise SignalError(f"the signal '{name}' has {problem}, which EDF cannot hold.", remedy="Write .nc or .nwb instead.")


def _record_duration(tables: list[xr.DataArray], where: str) -> float:
    """The length of the file's records, near 1 s: each must hold a whole number of samples of every channel."""
    counts = [t.sizes["time"] for t in tables]
    durations = [n / sampling_rate(t) for n, t in zip(counts, tables)]
    if max(durations) - min(durations) > 1e-9 * max(durations):
        raise SignalError(
            "the signals differ in length, which EDF cannot hold.", where=where, remedy="Write .nc instead."
        )
    common = math.gcd(*counts)
    divisors = {d for i in range(1, math.isqrt(common) + 1) if common % i == 0 for d in (i, common // i)}
    # The header has eight letters for it, and a rounded duration would be a wrong rate.
    fitting = [s for s in (durations[0] / d for d in divisors) if abs(float(f"{s:.7g}"[:8]) / s - 1) < 1e-12]
    if not fitting:
        raise SignalError(
            f"{durations[0]:g} s cannot be cut into records as EDF needs them.",
            where=where,
            remedy="Write .nc instead.",
        )
    return float(f"{min(fitting, key=lambda s: abs(s - 1)):.7g}")


def _range(values: np.ndarray) -> tuple[float, float]:
    """The channel's range in the eight letters that the header has for each limit, rounded outwards."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        high = low + max(abs(low), 1.0)
    return _eight_letters(low, -1), _eight_letters(high, 1)


def _eight_letters(value: float, direction: int) -> float:
    for digits in range(7, 0, -1):
        rounded = float(f"{value:.{digits}g}")
        if (rounded - value) * direction < 0:
            magnitude = 10 ** (np.floor(np.log10(abs(rounded))) - digits + 1) if rounded else 1e-6
            rounded = float(f"{rounded + direction * magnitude:.{digits}g}")
        if len(np.format_float_positional(rounded, trim="-")) <= 8 or len(f"{rounded:g}") <= 8:
            return rounded
    return value


def _short_labels(labels: list[str]) -> list[str]:
    short: list[str] = []
    for label in labels:
        plain = label.encode("ascii", "replace").decode()
        plain = plain if len(plain) <= _LABEL_LETTERS else plain.split(".", 1)[-1]
        candidate, number = plain[:_LABEL_LETTERS].strip(), 2
        while candidate in short:
            ending = f" {number}"
            candidate, number = plain[: _LABEL_LETTERS - len(ending)].strip() + ending, number + 1
        short.append(candidate)
    return short
