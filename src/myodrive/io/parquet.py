"""Parquet: one table of samples with its column names, as data frames are kept (extra ``parquet``)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

from myodrive.activation import Activation
from myodrive.errors import FileError, SignalError
from myodrive.io.opening import AS_FOUND, Choice, budget, check_path, file_hash, too_large
from myodrive.io.text import TextTable, columns_of, recording_from_table
from myodrive.recording import Recording
from myodrive.safe_write import safe_write


def read_parquet(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read a Parquet file: one row a sample, one column a channel, and a column ``time`` (s) unless `rate_hz` is given.

    Raises
    ------
    FileError
        If it is damaged, would fill the memory, or has no column of numbers.
    SignalError
        If there is neither a time column nor a rate.
    """
    path = check_path(path)
    try:
        file = pq.ParquetFile(path)
        claimed = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if max(claimed, 8 * file.metadata.num_rows) > budget(path):
            raise too_large(path)
        table = file.read()
        numeric = [f.name for f in table.schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)]
        columns = [table[name].to_numpy().astype(np.float64) for name in numeric]
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, TypeError, KeyError) as error:
        if isinstance(error, FileError):
            raise
        said = " ".join(str(error).split())[:120]
        raise FileError(f"is damaged and cannot be read as Parquet ({said}).", where=path) from error
    if not columns or not len(columns[0]):
        raise FileError("has no column of numbers.", where=path)
    about = _about(table.schema.metadata)
    units = [about.get("units", {}).get(name, "") for name in numeric]
    found = TextTable([], numeric, units, np.column_stack(columns))
    recording = recording_from_table(
        found, choice, path, sha256=file_hash(path), reader="parquet", stage=about.get("stage")
    )
    return recording


def write_parquet(thing: Activation | Recording | xr.DataArray, path: str | Path, *, signal: str | None = None) -> Path:
    """Write an Activation, or one signal (time, channel) of a Recording, with a column ``time`` in seconds.

    Raises
    ------
    SignalError
        If two columns have the same name.
    """
    labels, units, columns = columns_of(thing, signal)
    repeated = next((label for i, label in enumerate(labels) if label in labels[:i]), None)
    if repeated is not None:
        raise SignalError(f"two columns would be called '{repeated}', which Parquet cannot hold.", remedy="Write .csv.")
    about = {"units": dict(zip(labels, units))}
    if isinstance(thing, Recording):
        chosen = thing.signals.get(signal or "emg")
        about |= {"stage": chosen.attrs["stage"]} if chosen is not None and "stage" in chosen.attrs else {}
    table = pa.table({label: pa.array(column) for label, column in zip(labels, columns)})
    table = table.replace_schema_metadata({b"myodrive": json.dumps(about).encode()})
    return safe_write(path, lambda temporary: pq.write_table(table, temporary), check=pq.ParquetFile)


def _about(metadata: dict[bytes, bytes] | None) -> dict:
    try:
        return dict(json.loads((metadata or {}).get(b"myodrive", b"{}")))
    except ValueError:
        return {}
