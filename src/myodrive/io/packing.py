"""A Recording as named arrays and back, the same to the last bit: the layout of our npz and mat files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Shaped

from myodrive.errors import FileError, SignalError
from myodrive.recording import Alignment, Recording, Source, make_events

Array = Shaped[np.ndarray, "..."]

MARK = "myodrive_recording"  # present in what was written here; its value is the layout's version
LAYOUT = 1


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
    if len(arrays) != 2 + sum(1 + len(s.coords) for s in recording.signals.values()):
        raise SignalError(
            "two signals have names that run into each other in this format.", remedy="Write .nc instead."
        )
    arrays["events_time"] = recording.events["time"].to_numpy(dtype=np.float64)
    arrays["events_label"] = [str(v) for v in recording.events["label"]]
    arrays["events_side"] = [str(v) for v in recording.events["side"]]
    arrays["about"] = json.dumps(
        {
            "dims": {n: list(map(str, s.dims)) for n, s in recording.signals.items()},
            "coordinates": coordinates,
            "attributes": {n: s.attrs for n, s in recording.signals.items()},
            **describe_origin(recording),
        },
        default=plain_json,
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


def plain_json(value: Any) -> Any:
    """NumPy's numbers and arrays as JSON has them."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a file")
