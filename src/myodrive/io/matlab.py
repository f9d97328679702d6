"""MATLAB's mat files, v5 and v7.3, among them what Spike2 exports; through pymatreader."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from myodrive.errors import FileError, MyodriveError
from myodrive.io.arrays import recording_from_arrays
from myodrive.io.channels import UNKNOWN, Channels, make_signals
from myodrive.io.hdf5_file import check_size
from myodrive.io.opening import AS_FOUND, Choice, budget, check_path, file_hash, too_large
from myodrive.io.packing import MARK, pack
from myodrive.recording import Recording, Source, make_events
from myodrive.safe_write import safe_write

_COMPRESSED = 15  # the element type of MATLAB v5 in which a zlib stream follows
_HEADER_BYTES = 128
_CHUNK = 2**20
_NAME_LIMIT = 63  # letters of a MATLAB variable


def read_matlab(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read a mat file: arrays and structs by their names (`myodrive.io.arrays`), Spike2's channels by their members.

    Raises
    ------
    FileError
        If it is damaged, would fill the memory, or holds no samples over time.
    """
    path = check_path(path)
    content = _load(path)
    source = Source(path.name, file_hash(path), "matlab")
    if MARK in content:
        return recording_from_arrays(content, choice, name=path.name, source=source)
    waves = {k: v for k, v in content.items() if _is_wave(v)}
    if waves:
        return _from_spike2(content, waves, choice, path.name, source)
    return recording_from_arrays(_flat(content), choice, name=path.name, source=source)


def write_matlab(recording: Recording, path: str | Path) -> Path:
    """Write a Recording as mat v5: one variable for each signal, its time, labels and unit; events; who and what.

    Raises
    ------
    FileError
        If a signal's name is no name of a MATLAB variable.
    """
    from scipy.io import savemat

    packed = pack(recording)
    bad = [k for k in packed if not k.isidentifier() or len(k) > _NAME_LIMIT]
    if bad:
        raise FileError(
            f"MATLAB cannot have a variable called '{bad[0]}'.", where=str(path), remedy="Write .nc instead."
        )
    cells = {k: np.array(v, dtype=object) if isinstance(v, list) else v for k, v in packed.items()}
    # MATLAB stores a one-dimensional array as a row; `unpack` knows the shape.
    return safe_write(path, lambda temporary: _save(savemat, temporary, cells))


def write_matlab_arrays(arrays: Mapping[str, Any], path: str | Path) -> Path:
    """Write named arrays, for an Activation."""
    from scipy.io import savemat

    cells = {k: np.array(v, dtype=object) if isinstance(v, list) else v for k, v in arrays.items()}
    return safe_write(path, lambda temporary: _save(savemat, temporary, cells))


def _save(savemat: Any, temporary: Path, cells: dict[str, Any]) -> None:
    with temporary.open("wb") as stream:  # given a name, SciPy may add its suffix
        savemat(stream, cells, do_compression=True, long_field_names=True, oned_as="column")


# -- reading ---------------------------------------------------------------------------------------------------------


def _load(path: Path) -> dict[str, Any]:
    from pymatreader import read_mat

    with path.open("rb") as stream:
        head = stream.read(_HEADER_BYTES)
    if head[:8] == b"\x89HDF\r\n\x1a\n" or b"MATLAB 7.3" in head:
        check_size(path)
    else:
        _check_compressed(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts (functions, objects) that it leaves out
            content = read_mat(str(path))
    except MyodriveError:
        raise
    except Exception as error:  # what leaks from damaged files is of a dozen kinds, from zlib's to KeyError
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise FileError(
            f"is damaged or no MATLAB file, and cannot be read ({said}).", where=path, remedy="Save it again."
        ) from error
    content = {k: v for k, v in content.items() if not k.startswith("__") and k != "#refs#"}
    return _in_order(content) if head[:10] == b"MATLAB 7.3" else content


def _check_compressed(path: Path) -> None:
    """Walk over the compressed elements of a v5 file and count what they unpack to, without keeping it."""
    limit, total = budget(path), 0
    with path.open("rb") as stream:
        head = stream.read(_HEADER_BYTES)
        order = ">" if head[126:128] == b"MI" else "<"
        while len(tag := stream.read(8)) == 8:
            kind, n_bytes = struct.unpack(order + "II", tag)
            element = stream.read(n_bytes)
            if len(element) < n_bytes:
                raise FileError(
                    f"is cut short: {n_bytes} bytes are declared where {len(element)} are left.",
                    where=path,
                    remedy="Copy it again.",
                )
            if kind != _COMPRESSED:
                continue
            unpacker, source = zlib.decompressobj(), io.BytesIO(element)
            try:
                while chunk := source.read(_CHUNK):
                    while chunk:
                        total += len(unpacker.decompress(chunk, _CHUNK))
                        chunk = unpacker.unconsumed_tail
                        if total > limit:
                            raise too_large(path)
            except zlib.error as error:
                raise FileError(f"is damaged ({error}).", where=path, remedy="Copy it again.") from error


def _in_order(content: Mapping[str, Any]) -> dict[str, Any]:
    """By name: v7.3 keeps no order, and what comes is another one each time."""
    return {k: _in_order(v) if isinstance(v, Mapping) else v for k, v in sorted(content.items())}


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Members of structs by their path."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}/"))
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            for i, member in enumerate(value):
                flat.update(_flat(member, f"{prefix}{key}{i + 1}/"))
        elif isinstance(value, (np.ndarray, int, float, str)) or (
            isinstance(value, list) and all(isinstance(v, (str, int, float)) for v in value)
        ):
            flat[prefix + key] = value
    return flat


def _is_wave(value: Any) -> bool:
    """Whether a struct is a waveform as Spike2 exports it."""
    return isinstance(value, Mapping) and {"values", "interval"} <= set(value)


def _from_spike2(
    content: Mapping[str, Any], waves: Mapping[str, Any], choice: Choice, name: str, source: Source
) -> Recording:
    """Waveforms become channels, event times events. Channels that start within a sample of each other share a clock."""
    groups, said = _spike2_groups(waves, name)
    signals, warned = make_signals(groups, choice, where=name)
    rows = []
    for key, member in content.items():
        if isinstance(member, Mapping) and "times" in member and not _is_wave(member):
            label = str(member.get("title") or key)
            level = np.atleast_1d(member.get("level", []))
            for i, t in enumerate(np.atleast_1d(member["times"])):
                rows.append((float(t), f"{label} {'on' if level[i] else 'off'}" if i < level.size else label, ""))
    return Recording(
        signals,
        events=make_events(rows),
        source=Source(source.path, source.sha256, "matlab (Spike2)", (*said, *warned)),
    )


def _spike2_groups(waves: Mapping[str, Any], name: str) -> tuple[list[Channels], list[str]]:
    by_clock: dict[tuple[float, int], list[tuple[str, Mapping[str, Any]]]] = {}
    for key, wave in waves.items():
        values = np.atleast_1d(wave["values"])
        interval_s = float(wave["interval"])
        if not interval_s > 0 or values.ndim != 1:
            raise FileError(f"the waveform '{key}' has the interval {interval_s} s.", where=name)
        by_clock.setdefault((interval_s, values.size), []).append((key, wave))
    groups, warnings = [], []
    for (interval_s, n_time), members in by_clock.items():
        starts = [float(wave.get("start", 0.0)) for _, wave in members]
        if max(starts) - min(starts) >= interval_s:
            raise FileError(
                f"the waveforms start {max(starts) - min(starts):g} s apart.", where=name, remedy="Export one section."
            )
        if len(set(starts)) > 1:
            warnings.append(
                f"the channels were sampled one after the other, up to {max(starts) - min(starts):g} s apart (less than "
                "a sample): all are given the clock of the first."
            )
        labels = [str(wave.get("title") or key) for key, wave in members]
        units = [str(wave.get("units") or "") for _, wave in members]
        values = np.column_stack([np.atleast_1d(wave["values"]) for _, wave in members])
        time = starts[0] + np.arange(n_time) * interval_s
        groups.append(Channels(values, time, labels, units, [UNKNOWN] * len(labels)))
    return groups, warnings
