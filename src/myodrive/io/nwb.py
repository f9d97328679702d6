"""NWB: EMG as ElectricalSeries or as TimeSeries, which the standard both allows (extra ``nwb``)."""

from __future__ import annotations

import datetime
import json
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.ecephys import ElectricalSeries
from pynwb.file import Subject

from myodrive.errors import FileError, MyodriveError, SignalError
from myodrive.io.channels import UNKNOWN, Channels, check_number, make_signals, spell_unit
from myodrive.io.hdf5_file import check_size
from myodrive.io.opening import AS_FOUND, Choice, check_path, file_hash
from myodrive.recording import Recording, Source, is_uniform, make_events, sampling_rate
from myodrive.safe_write import safe_write

_LABEL_COLUMNS = ("label", "channel_name", "muscle", "location", "electrode_name")
_IN_VOLTS = {"V": 1.0, "mV": 1e-3, "µV": 1e-6}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)  # the file asks for a date that we do not know


def read_nwb(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read every series of an NWB file; a series whose name or description says EMG is EMG.

    Labels come from the electrodes' table, or from the comments of a series that was written here. Data are given in the
    series' unit, conversion and offset applied. Trials and epochs become events at their start.

    Raises
    ------
    FileError
        If it is damaged, would fill the memory, or holds no series.
    """
    path = check_path(path)
    check_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of older versions of the standard
            with NWBHDF5IO(path, "r") as stream:
                file = stream.read()
                groups = [_group(series) for series in _series(file)]
                stages = [s for series in _series(file) if (s := _about(series).get("stage"))]
                events = list(_events(file))
                subject = str(file.subject.subject_id or "") if file.subject else ""
                session = str(file.session_id or "")
    except MyodriveError:
        raise
    except Exception as error:  # pynwb and h5py raise what they like on damaged files
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise FileError(f"is damaged and cannot be read as NWB ({said}).", where=path) from error
    if not groups:
        raise FileError("holds no time series of numbers.", where=path)
    signals, said_of_channels = make_signals(groups, choice, where=path.name, stage=stages[0] if stages else None)
    source = Source(path.name, file_hash(path), "nwb", tuple(said_of_channels))
    return Recording(signals, events=make_events(events), subject=subject, session=session, source=source)


def write_nwb(recording: Recording, path: str | Path) -> Path:
    """Write all signals (time, channel): EMG in volts as ElectricalSeries, the others as TimeSeries; events as trials.

    Raises
    ------
    SignalError
        If there is no such signal.
    """
    tables = {n: s for n, s in recording.signals.items() if s.ndim == 2}
    if not tables:
        raise SignalError("has no signal (time, channel) to write as NWB.", where=recording.label)

    def write(temporary: Path) -> None:
        file = NWBFile(
            session_description=recording.label,
            identifier=recording.source.sha256 or uuid.uuid4().hex,
            session_start_time=_EPOCH,
            session_id=recording.session or None,
            subject=Subject(subject_id=recording.subject) if recording.subject else None,
        )
        for name, table in tables.items():
            file.add_acquisition(_as_series(file, name, table))
        for t, label, side in recording.events[["time", "label", "side"]].itertuples(index=False, name=None):
            if not file.trials:
                file.add_trial_column("label", "what happened at the start")
                file.add_trial_column("side", "left, right or empty")
            file.add_trial(start_time=float(t), stop_time=float(t), label=str(label), side=str(side))
        with NWBHDF5IO(temporary, "w") as stream:
            stream.write(file)

    return safe_write(path, write)


def _series(file: NWBFile) -> Iterator[Any]:
    for item in [
        *file.acquisition.values(),
        *(i for m in file.processing.values() for i in m.data_interfaces.values()),
    ]:
        inside = getattr(item, "time_series", None) or getattr(item, "electrical_series", None)
        for series in inside.values() if inside else [item]:
            data = getattr(series, "data", None)
            if (
                isinstance(series, TimeSeries)
                and data is not None
                and np.ndim(data) in (1, 2)
                and data.dtype.kind in "fiu"
            ):
                yield series


def _group(series: Any) -> Channels:
    values = np.asarray(series.data[()], dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    check_number(values.shape[1], where=str(series.name))
    factor = np.asarray(getattr(series, "channel_conversion", None) if hasattr(series, "channel_conversion") else 1.0)
    factor = np.ones(1) if factor.dtype == object or factor.size == 0 else factor
    values = values * float(series.conversion) * factor + float(series.offset or 0.0)
    if series.rate is not None:
        time = float(series.starting_time or 0.0) + np.arange(len(values)) / float(series.rate)
    else:
        time = np.asarray(series.timestamps[()], dtype=np.float64)
    about = _about(series)
    labels = (
        about.get("labels") or _electrode_labels(series) or [f"{series.name} {i + 1}" for i in range(values.shape[1])]
    )
    units = about.get("units") or [spell_unit(str(series.unit))] * len(labels)
    scale = np.array([_IN_VOLTS.get(u, 1.0) if series.unit == "volts" else 1.0 for u in units])
    told = f"{series.name} {series.description} {_electrode_group(series)}".lower()
    kind = about.get("kind") or ("emg" if "emg" in told or "electromyo" in told else UNKNOWN)
    return Channels(values / scale, time, [str(v) for v in labels], units, [kind] * len(labels))


def _about(series: Any) -> dict[str, Any]:
    """What `write_nwb` left in the comments; nothing in other files."""
    try:
        content = json.loads(series.comments)
        return content if isinstance(content, dict) else {}
    except (ValueError, TypeError):
        return {}


def _electrode_labels(series: Any) -> list[str]:
    if not isinstance(series, ElectricalSeries):
        return []
    table = series.electrodes.to_dataframe()
    for column in _LABEL_COLUMNS:
        if column in table and table[column].astype(str).nunique() == len(table):
            return [str(v) for v in table[column]]
    return []


def _electrode_group(series: Any) -> str:
    if not isinstance(series, ElectricalSeries):
        return ""
    table = series.electrodes.to_dataframe()
    return " ".join(str(v) for column in ("group_name", "location") if column in table for v in table[column].unique())


def _events(file: NWBFile) -> Iterator[tuple[float, str, str]]:
    for table in (file.trials, file.epochs):
        if table is not None:
            frame = table.to_dataframe()
            for i, row in frame.iterrows():
                side = str(row.get("side", ""))
                label = str(row.get("label", f"{table.name.removesuffix('s')} {i}"))
                yield float(row["start_time"]), label, side if side in ("left", "right") else ""


def _as_series(file: NWBFile, name: str, table: xr.DataArray) -> TimeSeries:
    labels = [str(v) for v in table[table.dims[1]].values]
    unit = str(table.attrs.get("units", ""))
    units = [str(u) for u in table.coords["unit"].values] if "unit" in table.coords else [unit] * len(labels)
    kind = {
        "emg": "emg",
        "analog": "other",
        "forces": "force",
        "angles": "angle",
        "moments": "moment",
        "powers": "power",
    }
    clock: dict[str, Any] = {"timestamps": table.time.values}
    if is_uniform(table, 1e-6) and sampling_rate(table) > 0:
        clock = {"rate": sampling_rate(table), "starting_time": float(table.time[0])}
    comments = json.dumps(
        {"labels": labels, "units": units, "kind": kind.get(name, name), "stage": table.attrs.get("stage")}
    )
    if name == "emg" and unit in _IN_VOLTS:
        device = file.create_device(name="EMG")
        group = file.create_electrode_group("EMG", description="EMG electrodes", location="muscles", device=device)
        file.add_electrode_column("label", "the channel's label")
        for label, muscle in zip(labels, table.coords["name"].values if "name" in table.coords else labels):
            file.add_electrode(location=str(muscle) or "unknown", group=group, label=label)
        region = file.create_electrode_table_region(list(range(len(labels))), "EMG electrodes")
        return ElectricalSeries(
            name=name, data=table.values, electrodes=region, conversion=_IN_VOLTS[unit], comments=comments, **clock
        )
    return TimeSeries(name=name, data=table.values, unit=unit or "unknown", comments=comments, **clock)
