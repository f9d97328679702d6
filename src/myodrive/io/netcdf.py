"""The package's own file: Recording, Study and Activation in NetCDF 4 (which is HDF5), with nothing lost.

Layout of a Recording: one group for each signal (a variable ``values``, its coordinates and attributes) under
``signals``, one group ``events``, and one JSON text ``about`` for everything else. A Study holds such a group for each
recording; an Activation is its dataset as it is.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import pandas as pd
import xarray as xr

from myodrive.activation import Activation
from myodrive.errors import FileError, MyodriveError
from myodrive.io.hdf5_file import damaged
from myodrive.io.opening import check_path
from myodrive.io.packing import describe_origin, plain_json, restore_origin
from myodrive.recording import Recording, Study
from myodrive.safe_write import safe_write

FORMAT = 1
TRAILER = b"MYODRIVE"  # and then the SHA-256 of all before it, at the very end, where HDF5 does not look
_TRAILER_BYTES = len(TRAILER) + 32
_KIND = "myodrive"  # the attribute of the root that says what the file holds

Thing = Recording | Study | Activation


def write_netcdf(thing: Thing, path: str | Path) -> Path:
    """Write a Recording, a Study or an Activation; `read_netcdf` gives back an identical one.

    The file is read back and compared before it takes the old one's place.
    """

    def write(temporary: Path) -> None:
        with h5netcdf.File(temporary, "w") as file:
            file.attrs["myodrive_format"] = FORMAT
            if isinstance(thing, Activation):
                file.attrs[_KIND] = "activation"
                _put_dataset(file, thing.dataset)
            elif isinstance(thing, Recording):
                file.attrs[_KIND] = "recording"
                _put_recording(file, thing)
            else:
                file.attrs[_KIND] = "study"
                file.attrs["about"] = json.dumps({"name": thing.name, "n_recordings": len(thing)})
                for i, recording in enumerate(thing):
                    _put_recording(file.create_group(f"recording_{i:05d}"), recording)

        with temporary.open("r+b") as stream:
            digest = hashlib.file_digest(stream, "sha256").digest()
            stream.write(TRAILER + digest)

    return safe_write(path, write, check=read_netcdf)


def read_netcdf(path: str | Path) -> Thing:
    """The inverse of `write_netcdf`.

    Raises
    ------
    FileError
        If the file is damaged, was written by a newer version, or is not one of ours.
    """
    path = check_path(path)
    _check_whole(path)
    try:
        with h5netcdf.File(path, "r") as file:
            if _KIND not in file.attrs:
                raise FileError("is a NetCDF file that myodrive did not write.", where=path)
            if int(file.attrs["myodrive_format"]) > FORMAT:
                raise FileError("was written by a newer myodrive.", where=path, remedy="Run: pip install -U myodrive.")
            kind = str(file.attrs[_KIND])
            if kind == "activation":
                return Activation.from_dataset(_get_dataset(file))
            if kind == "recording":
                return _get_recording(file)
            about = json.loads(file.attrs["about"])
            groups = (file.groups[f"recording_{i:05d}"] for i in range(about["n_recordings"]))
            return Study([_get_recording(group) for group in groups], about["name"])
    except MyodriveError as error:
        raise error.at(path) from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise damaged(path, error) from error


def is_own(path: Path) -> bool:
    """Whether an HDF5 file was written by `write_netcdf`: without opening it, which a damaged one might not survive."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(size - _TRAILER_BYTES, 0))
        return stream.read(len(TRAILER)) == TRAILER


def _check_whole(path: Path) -> None:
    """Compare the file with the hash at its end. Only then is it opened."""
    if not is_own(path):
        raise FileError(
            "is not a file that myodrive wrote, or it is cut short.", where=path, remedy="Copy it again, or use read()."
        )
    content = path.read_bytes()
    if hashlib.sha256(content[:-_TRAILER_BYTES]).digest() != content[-32:]:
        raise FileError("is damaged, or was changed after myodrive wrote it.", where=path, remedy="Copy it again.")


# -- inside ----------------------------------------------------------------------------------------------------------


def _put_recording(group: Any, recording: Recording) -> None:
    about = {"signals": list(recording.signals), "names": {}, **describe_origin(recording)}
    for i, (name, signal) in enumerate(recording.signals.items()):
        about["names"][name] = None if signal.name is None else str(signal.name)
        # By number: a signal may have any name, a group may not.
        _put_dataset(group.create_group(f"signal_{i:03d}"), signal.rename("values").to_dataset())
    events = recording.events
    table = xr.Dataset({c: ("event", events[c].to_numpy()) for c in ("time", "label", "side")})
    _put_dataset(group.create_group("events"), table)
    group.attrs["about"] = json.dumps(about, default=plain_json)


def _get_recording(group: Any) -> Recording:
    about = json.loads(group.attrs["about"])
    signals = {}
    for i, name in enumerate(about["signals"]):
        signals[name] = _get_dataset(group.groups[f"signal_{i:03d}"])["values"].rename(about["names"][name])
    table = _get_dataset(group.groups["events"])
    events = pd.DataFrame(
        {
            "time": table["time"].values.astype(np.float64),
            "label": table["label"].values.astype(object),
            "side": table["side"].values.astype(object),
        }
    ).astype({"label": "object", "side": "object"})
    return Recording(signals, events=events, **restore_origin(about))


def _put_dataset(group: Any, dataset: xr.Dataset) -> None:
    for dim, n in dataset.sizes.items():
        group.dimensions[str(dim)] = n
    coordinates = [str(c) for c in dataset.coords]
    for name, variable in dataset.variables.items():
        _put_variable(group, str(name), variable)
    others = [c for c in coordinates if c not in dataset.dims]
    if others:
        group.attrs["coordinates"] = " ".join(others)  # so that xarray and others take them for what they are
    for key, value in dataset.attrs.items():
        group.attrs[str(key)] = value
    group.attrs["contents"] = json.dumps({"coordinates": coordinates, "attributes": _jsonable(dataset.attrs)})


def _put_variable(group: Any, name: str, variable: xr.Variable) -> None:
    values = np.asarray(variable.values)
    kind = values.dtype.kind
    dtype: Any = values.dtype
    if kind in "UO":
        dtype, values = h5py.string_dtype(), values.astype(object)
    elif kind == "b":
        dtype, values = np.dtype("u1"), values.astype("u1")
    packed = {"compression": "gzip", "compression_opts": 4} if values.size > 64 and kind in "fiub" else {}
    stored = group.create_variable(name, tuple(map(str, variable.dims)), dtype=dtype, **packed)
    if values.size or not variable.dims:
        stored[...] = values
    if "units" in variable.attrs and name != "time":  # "s" on the time would turn it into dates for other programs
        stored.attrs["units"] = str(variable.attrs["units"])
    stored.attrs["contents"] = json.dumps(
        {"name": name, "kind": kind, "attributes": _jsonable(variable.attrs), "types": _types(variable.attrs)}
    )


def _get_dataset(group: Any) -> xr.Dataset:
    contents = json.loads(group.attrs["contents"])
    variables: dict[str, xr.Variable] = {}
    coordinates: dict[str, xr.Variable] = {}
    for stored in group.variables.values():
        about = json.loads(stored.attrs["contents"])
        values = np.asarray(stored[...])
        if about["kind"] in "UO":
            words = [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values.ravel()]
            values = np.array(words, dtype=object if about["kind"] == "O" else None).reshape(values.shape)
            values = values.astype(str) if about["kind"] == "U" else values
        elif about["kind"] == "b":
            values = values.astype(bool)
        target = coordinates if about["name"] in contents["coordinates"] else variables
        target[about["name"]] = xr.Variable(stored.dimensions, values, _restored(about["attributes"], about["types"]))
    return xr.Dataset(variables, coords=coordinates, attrs=contents["attributes"])


def _jsonable(attributes: dict[Any, Any]) -> dict[str, Any]:
    return {str(k): v.tolist() if isinstance(v, (np.ndarray, np.generic)) else v for k, v in attributes.items()}


def _types(attributes: dict[Any, Any]) -> dict[str, str]:
    """The NumPy types of attributes, which JSON would forget."""
    return {str(k): v.dtype.str for k, v in attributes.items() if isinstance(v, (np.ndarray, np.generic))}


def _restored(attributes: dict[str, Any], types: dict[str, str]) -> dict[str, Any]:
    return {
        k: (np.asarray(v, dtype=types[k]) if isinstance(v, list) else np.dtype(types[k]).type(v)) if k in types else v
        for k, v in attributes.items()
    }
