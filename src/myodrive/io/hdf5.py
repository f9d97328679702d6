"""Any HDF5 file: its datasets by name and shape, their attributes as labels, rates and units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from myodrive.errors import FileError
from myodrive.io.arrays import recording_from_arrays
from myodrive.io.hdf5_file import check_size, opened, visit
from myodrive.io.opening import AS_FOUND, Choice, check_path, file_hash
from myodrive.recording import Recording, Source

_RATE_ATTRIBUTES = ("rate_hz", "rate", "fs", "sampling_rate", "sampling_frequency", "sfreq")
_LABEL_ATTRIBUTES = ("labels", "channels", "channel_names", "names", "muscles", "columns")
_UNIT_ATTRIBUTES = ("units", "unit")


def read_hdf5(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read an HDF5 file of any making. See `myodrive.io.arrays` for how its datasets are understood.

    Raises
    ------
    FileError
        If it is damaged, would fill the memory, or holds no samples over time.
    """
    path = check_path(path)
    check_size(path)
    arrays: dict[str, Any] = {}

    def collect(name: str, item: h5py.Dataset | h5py.Group) -> None:
        for attribute, value in item.attrs.items():
            for words, ending in (
                (_RATE_ATTRIBUTES, "rate_hz"),
                (_LABEL_ATTRIBUTES, "labels"),
                (_UNIT_ATTRIBUTES, "units"),
            ):
                if attribute.lower() in words:
                    arrays[f"{name}_{ending}" if name else ending] = _plain(value)
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiubOS" and item.dtype.names is None:
            arrays[name] = _plain(item[()])

    with opened(path) as file:
        if "nwb_version" in file.attrs:
            from myodrive.io.nwb import read_nwb  # an optional package: only where it is needed

            return read_nwb(path, choice)
        if "myodrive_format" in file.attrs:
            raise FileError("was written by myodrive, and is cut short or was changed since.", where=path)
        collect("", file)
        visit(path, file, collect)
    return recording_from_arrays(arrays, choice, name=path.name, source=Source(path.name, file_hash(path), "hdf5"))


def _plain(value: Any) -> Any:
    """Bytes and text as lists of str."""
    array = np.asarray(value)
    if array.dtype.kind in "SO":
        words = [v.decode("utf-8", errors="replace") if isinstance(v, bytes) else str(v) for v in array.ravel()]
        return words
    return array
