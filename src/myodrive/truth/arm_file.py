"""The trials of the arm scenario in one file: all trials of a signal in one array, so that thousands load in seconds."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import xarray as xr

from myodrive.errors import FileError
from myodrive.recording import Recording, Source, Study, make_signal
from myodrive.safe_write import safe_write

_MARK = "myodrive_arm"
_LAYOUT = 1


def write_arm(study: Study, path: str | Path) -> Path:
    """Write a study of `simulate_arm`; `read_arm` gives the same back."""
    signals = {name: [recording[name] for recording in study] for name in study[0].signals}
    about = {
        "name": study.name,
        "signals": {name: _describe(parts[0]) for name, parts in signals.items()},
        "trials": [[r.subject, r.movement, r.repetition, r.info] for r in study],
    }
    arrays = {f"values of {n}": np.concatenate([p.values for p in parts]) for n, parts in signals.items()}
    arrays |= {f"frames of {n}": np.array([p.sizes["time"] for p in parts]) for n, parts in signals.items()}
    arrays = {n: a.astype(np.float32) if a.dtype == np.float64 else a for n, a in arrays.items()}  # as simulated
    arrays |= {_MARK: np.array(_LAYOUT), "about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]

    return safe_write(path, write, check=_open)


def read_arm(path: str | Path) -> Study:
    """Read what `write_arm` wrote.

    Raises
    ------
    FileError
        If there is no such file, or it is damaged or something else.
    """
    about, arrays = _open(Path(path))
    columns = {name: _signals(said, arrays, name) for name, said in about["signals"].items()}
    return Study(
        [
            Recording(
                {name: column[i] for name, column in columns.items()},
                subject=subject,
                movement=movement,
                repetition=repetition,
                source=Source(reader="simulate_arm"),
                info=info,
            )
            for i, (subject, movement, repetition, info) in enumerate(about["trials"])
        ],
        about["name"],
    )


def _describe(signal: xr.DataArray) -> dict[str, object]:
    time = signal.time.values
    return {
        "dims": list(map(str, signal.dims)),
        "rate_hz": round((time.size - 1) / float(time[-1] - time[0])),
        "attrs": dict(signal.attrs),
        "labels": {d: list(map(str, signal[d].values)) for d in map(str, signal.dims) if d != "time"},
        "beside": {
            str(c): [str(signal[c].dims[0]), list(map(str, signal[c].values))]
            for c in signal.coords
            if c not in signal.dims
        },
    }


def _signals(said: dict, arrays: dict[str, np.ndarray], name: str) -> list[xr.DataArray]:
    """One signal of every trial. They share the labels: to make these anew for each takes ten times as long."""
    counts, values = arrays[f"frames of {name}"], arrays[f"values of {name}"].astype(np.float64)
    longest = make_signal(
        values[: counts.max()], said["dims"], said["labels"], rate_hz=said["rate_hz"], **said["attrs"]
    )
    longest = longest.assign_coords({c: (dim, names) for c, (dim, names) in said["beside"].items()})
    own = [longest[:count] for count in counts]
    return [s.copy(data=part) for s, part in zip(own, np.split(values, np.cumsum(counts)[:-1]))]


def _open(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    if not path.is_file():
        raise FileError("there is no such file.", where=str(path))
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if int(arrays.get(_MARK, -1)) != _LAYOUT:
            raise FileError("was not written by this version of the arm scenario.", where=path)
        return json.loads(arrays.pop("about").tobytes()), arrays
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise FileError("is damaged, or something else.", where=path, remedy="Delete it: it is made again.") from error
