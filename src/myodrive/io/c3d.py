"""C3D: markers, model outputs, force plates, EMG and events of a motion laboratory (c3d.org), through ezc3d."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.errors import FileError, SignalError
from myodrive.io.channels import UNKNOWN, Channels, make_signals, spell_unit, unique_labels
from myodrive.io.child import run_child
from myodrive.io.opening import AS_FOUND, Choice, check_path, file_hash
from myodrive.recording import Recording, Source, make_events, make_signal, sampling_rate
from myodrive.safe_write import safe_write

_CHILD = Path(__file__).with_name("_c3d_child.py")
_BLOCK = 512  # bytes
_MOST_STRINGS = 255  # in one parameter
_MOST_FRAMES = 65535  # what the header can count; longer files say it in their parameters
_MODEL_OUTPUTS = {
    # Vicon's groups of points that are results of a model, not markers: (signal, the parameter with their unit)
    "ANGLES": ("angles", "ANGLE_UNITS"),
    "MOMENTS": ("moments", "MOMENT_UNITS"),
    "POWERS": ("powers", "POWER_UNITS"),
    "FORCES": ("joint_forces", "FORCE_UNITS"),
    "SCALARS": ("scalars", "SCALAR_UNITS"),
}
_SUFFIX_OF_OUTPUT = {"Angles": "ANGLES", "Moment": "MOMENTS", "Power": "POWERS", "Force": "FORCES"}
_INFO_GROUPS = ("PROCESSING", "MANUFACTURER", "SUBJECTS", "FORCE_PLATFORM")


def read_c3d(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read a C3D file. Time 0 is its first frame, for points, analogs and events alike.

    Points become ``markers`` (time, marker, axis), NaN where the marker was not seen; the results of Plug-in Gait and
    its like become ``angles``, ``moments``, ``powers``, ``joint_forces``, ``scalars`` (time, joint) with labels such as
    ``RKneeAngles_x``; the channels of force plates ``forces``; EMG ``emg``; other channels ``analog``.

    Raises
    ------
    FileError
        If it is no C3D file, is cut short, or is damaged; a crash or hang of the library ends here too.
    """
    path = check_path(path)
    frame_bytes = _check_length(path)
    written = run_child(_CHILD, ["read", path.resolve()], where=path)
    with np.load(io.BytesIO(written["arrays.npz"]), allow_pickle=False) as arrays:
        points, analogs = arrays["points"], arrays["analogs"]
    content = json.loads(written["parameters.json"])
    parameters, header = content["parameters"], content["header"]
    _check_frames(path, header, points.shape[2], analogs.shape[1], frame_bytes)

    point_rate_hz, analog_rate_hz = _rates(path, parameters, header, points.shape[2], analogs.shape[1])
    signals, warnings = _analog_signals(path, parameters, analogs, analog_rate_hz, choice)
    signals.update(_point_signals(parameters, points, point_rate_hz))
    n_frames = points.shape[2]
    duration_s = max(
        n_frames / point_rate_hz if n_frames else 0.0, analogs.shape[1] / analog_rate_hz if analogs.size else 0.0
    )
    first_s = _first_frame(parameters, header) / point_rate_hz if point_rate_hz else 0.0
    events, said = _events(parameters, first_s, duration_s)
    subjects = _strings(parameters, "SUBJECTS", "NAMES")
    return Recording(
        signals,
        events=events,
        subject=subjects[0] if len(subjects) == 1 else "",
        source=Source(path.name, file_hash(path), "c3d", tuple(warnings + said)),
        info={
            "first_frame": _first_frame(parameters, header) + 1,
            **{g: parameters[g] for g in _INFO_GROUPS if parameters.get(g)},
        },
    )


def write_c3d(recording: Recording, path: str | Path) -> Path:
    """Write markers, EMG, other analog channels, force plate channels and events into a C3D file.

    The format has one rate for points and a whole multiple of it for all analog channels, and single precision. What it
    cannot hold is refused, not resampled.

    Raises
    ------
    SignalError
        If the signals' rates do not fit together, or there is neither a marker nor a channel.
    """
    markers = recording.signals.get("markers")
    analogs = [recording.signals[n] for n in ("emg", "forces", "analog") if n in recording]
    if markers is None and not analogs:
        raise SignalError("has neither markers nor EMG nor other channels to write.", where=recording.label)
    if len(recording.events) > _MOST_STRINGS:
        raise SignalError(
            f"has {len(recording.events)} events, and C3D holds {_MOST_STRINGS}.",
            where=recording.label,
            remedy="Write .nc instead, or drop events: recording.replace(events=…).",
        )
    content = _content(recording, markers, analogs)
    if content["points"].shape[2] > _MOST_FRAMES:
        raise SignalError(
            f"has {content['points'].shape[2]} frames, and a C3D header counts to {_MOST_FRAMES}.",
            where=recording.label,
            remedy="Write .nc instead, or cut the recording.",
        )

    def write(temporary: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="myodrive-", ignore_cleanup_errors=True) as folder:
            source = Path(folder) / "content.npz"
            np.savez(source, **content)  # type: ignore[arg-type]
            run_child(_CHILD, ["write", source, temporary.resolve()], where=Path(path))

    def check(temporary: Path) -> None:
        # The library works the samples of each frame out of the two rates, in single precision, and drops what is over.
        again = read_c3d(temporary)
        n_again = {s.sizes["time"] for n, s in again.signals.items() if n in ("emg", "analog", "forces")}
        if analogs and n_again != {content["analogs"].shape[1]}:
            raise FileError(f"{content['analogs'].shape[1]} samples became {n_again}.", where=path)

    try:
        return safe_write(path, write, check=check)
    except FileError as error:
        raise FileError(
            f"could not be written so that it can be read again: {error.what}",
            where=str(path),
            remedy="Write .nc instead.",
        ) from error


def is_c3d(head: bytes) -> bool:
    """Whether a file that starts with these bytes can be C3D: its second byte is the format's mark."""
    return len(head) >= 16 and head[1] == 0x50 and head[0] > 0 and any(byte < 9 for byte in head[:16])


# -- reading ---------------------------------------------------------------------------------------------------------


def _check_length(path: Path) -> int:
    """Refuse what is no C3D, and what is shorter than its header declares: the library would return less without a word.

    Returns the bytes of one frame.
    """
    with path.open("rb") as stream:
        head = stream.read(_BLOCK)
        if not is_c3d(head):
            raise FileError(
                "is not a C3D file: it does not start with the format's mark.",
                where=path,
                remedy="If it is text or another format, give it its true suffix (.csv, .txt, .trc, …).",
            )
        if len(head) < _BLOCK:
            raise _cut_short(path, f"it has {len(head)} bytes, and its header alone has {_BLOCK}")
        stream.seek((head[0] - 1) * _BLOCK)
        parameter_head = stream.read(4)
    processor = parameter_head[3] if len(parameter_head) == 4 else 84
    order = ">" if processor == 86 else "<"  # 84 Intel, 85 DEC, 86 MIPS
    _, n_points, n_analog, first, last = struct.unpack(order + "5H", head[:10])
    data_block = struct.unpack(order + "H", head[16:18])[0]
    sign_byte = head[{86: 12, 85: 13}.get(processor, 15)]
    bytes_per_value = 4 if sign_byte & 0x80 else 2  # a negative scale says that the values are floating point
    frame_bytes = (4 * n_points + n_analog) * bytes_per_value
    n_frames = last - first + 1
    if last == _MOST_FRAMES or n_frames <= 0 or data_block == 0:
        return frame_bytes  # the header cannot say; what the parameters say is compared afterwards
    declared = (data_block - 1) * _BLOCK + n_frames * frame_bytes
    size = path.stat().st_size
    if size < declared:
        raise _cut_short(path, f"it has {size} bytes, and its header declares {declared} ({n_frames} frames)")
    return frame_bytes


def _cut_short(path: Path, what: str) -> FileError:
    return FileError(f"is cut short: {what}.", where=path, remedy="Copy or export it again.")


def _check_frames(path: Path, header: dict[str, Any], n_frames: int, n_samples: int, frame_bytes: int) -> None:
    declared = header["points"]["last_frame"] - header["points"]["first_frame"] + 1
    per_frame = header["analogs"]["frame_rate"] / (header["points"]["frame_rate"] or 1)
    n_read = n_frames if n_frames else round(n_samples / per_frame) if per_frame else 0
    if n_read < declared:
        raise _cut_short(path, f"{n_read} of {declared} frames could be read")
    # Longer files than the header can count exist, and say their length in other places, which not all programs fill in.
    header_bytes = 255 * _BLOCK  # at most
    if n_read == _MOST_FRAMES and path.stat().st_size > header_bytes + n_read * frame_bytes + 100 * frame_bytes:
        raise FileError(
            f"is longer than the {_MOST_FRAMES} frames that could be read.", where=path, remedy="Export it in parts."
        )


def _rates(
    path: Path, parameters: dict[str, Any], header: dict[str, Any], n_frames: int, n_samples: int
) -> tuple[float, float]:
    """Rates of points and analogs. Some exports lack ANALOG:RATE: then the samples of each frame decide."""
    point_rate = _number(parameters, "POINT", "RATE") or float(header["points"]["frame_rate"])
    analog_rate = _number(parameters, "ANALOG", "RATE") or float(header["analogs"]["frame_rate"])
    if n_samples and not analog_rate > 0 and n_frames:
        analog_rate = point_rate * n_samples / n_frames
    if (n_frames and not point_rate > 0) or (n_samples and not analog_rate > 0):
        raise FileError(
            "states no sampling rate (POINT:RATE, ANALOG:RATE).", where=path, remedy="Export it again with its rates."
        )
    return point_rate, analog_rate


def _analog_signals(
    path: Path, parameters: dict[str, Any], analogs: Float[np.ndarray, "channel time"], rate_hz: float, choice: Choice
) -> tuple[dict[str, xr.DataArray], list[str]]:
    n_channels, n_samples = analogs.shape
    if n_channels == 0 or n_samples == 0:
        return make_signals([], choice, where=path.name)
    labels = _series(parameters, "ANALOG", "LABELS", n_channels)
    units = _series(parameters, "ANALOG", "UNITS", n_channels)
    plates = np.asarray(parameters.get("FORCE_PLATFORM", {}).get("CHANNEL", []), dtype=int).ravel() - 1
    kinds = ["force" if i in plates else UNKNOWN for i in range(n_channels)]
    time = np.arange(n_samples) / rate_hz
    group = Channels(np.ascontiguousarray(analogs.T), time, labels, units, kinds)
    return make_signals([group], choice, where=path.name)


def _point_signals(
    parameters: dict[str, Any], points: Float[np.ndarray, "axis point time"], rate_hz: float
) -> dict[str, xr.DataArray]:
    n_points, n_frames = points.shape[1:]
    if n_points == 0 or n_frames == 0:
        return {}
    labels = unique_labels(_series(parameters, "POINT", "LABELS", n_points))
    kinds = [_kind_of_point(parameters, label) for label in labels]
    time = np.arange(n_frames) / rate_hz
    signals: dict[str, xr.DataArray] = {}
    is_marker = [i for i, kind in enumerate(kinds) if not kind]
    if is_marker:
        signals["markers"] = make_signal(
            np.ascontiguousarray(points[:, is_marker].transpose(2, 1, 0)),
            ("time", "marker", "axis"),
            {"marker": [labels[i] for i in is_marker], "axis": ["x", "y", "z"]},
            units=_unit(parameters, "UNITS", "mm"),
            time=time,
        )
    for kind, (name, unit_parameter) in _MODEL_OUTPUTS.items():
        chosen = [i for i, k in enumerate(kinds) if k == kind]
        if chosen:
            signals[name] = make_signal(
                points[:, chosen].transpose(2, 1, 0).reshape(n_frames, -1),
                ("time", "joint"),
                {"joint": [f"{labels[i]}_{axis}" for i in chosen for axis in "xyz"]},
                units=_unit(parameters, unit_parameter, ""),
                time=time,
            )
    return signals


def _kind_of_point(parameters: dict[str, Any], label: str) -> str:
    for kind in _MODEL_OUTPUTS:
        if label in _strings(parameters, "POINT", kind):
            return kind
    if not any(parameters.get("POINT", {}).get(kind) for kind in _MODEL_OUTPUTS):
        for suffix, kind in _SUFFIX_OF_OUTPUT.items():
            if label.endswith(suffix) and label != suffix:
                return kind
    return ""


def _events(parameters: dict[str, Any], first_s: float, duration_s: float) -> tuple[Any, list[str]]:
    """Events with their side. Their times count from the start of the trial that the file may be a part of."""
    times = np.asarray(parameters.get("EVENT", {}).get("TIMES", []), dtype=float)
    n_events = int(_number(parameters, "EVENT", "USED")) if times.size else 0
    if times.ndim != 2 or n_events == 0:
        return make_events([]), []
    seconds = (60 * times[0] + times[1])[:n_events]
    labels = _series(parameters, "EVENT", "LABELS", len(seconds))
    sides = [c.lower() for c in _series(parameters, "EVENT", "CONTEXTS", len(seconds))]
    said: list[str] = []

    def inside(t: np.ndarray) -> bool:
        return bool(np.all((t > -0.05) & (t < duration_s + 0.05)))

    shifted = seconds - first_s
    if not inside(shifted):
        if inside(seconds):
            shifted = seconds
            said = ["the events' times fit the file only if they count from its first frame: taken so."]
        else:
            said = ["some events lie outside the recording (before its first or after its last frame)."]
    rows = [(float(t), label, s if s in ("left", "right") else "") for t, label, s in zip(shifted, labels, sides)]
    return make_events(rows), said


def _first_frame(parameters: dict[str, Any], header: dict[str, Any]) -> int:
    """How many frames of the trial lie before the file's first."""
    field = parameters.get("TRIAL", {}).get("ACTUAL_START_FIELD", [])
    if len(field) == 2:
        return max(int(field[0]) + 65536 * int(field[1]) - 1, 0)
    return max(int(header["points"]["first_frame"]), 0)


def _series(parameters: dict[str, Any], group: str, name: str, count: int) -> list[str]:
    """LABELS, then LABELS2, LABELS3, … (one parameter holds at most 255), filled up to the count."""
    found: list[str] = []
    number = 1
    while (part := f"{name}{number if number > 1 else ''}") in parameters.get(group, {}):
        found += _strings(parameters, group, part)
        number += 1
    return (found + [""] * count)[:count]


def _strings(parameters: dict[str, Any], group: str, name: str) -> list[str]:
    value = parameters.get(group, {}).get(name, [])
    return [str(v).strip() for v in value] if isinstance(value, list) else [str(value)]


def _number(parameters: dict[str, Any], group: str, name: str) -> float:
    value = np.asarray(parameters.get(group, {}).get(name, []))
    return float(value.ravel()[0]) if value.size and value.dtype.kind in "fiu" else 0.0


def _unit(parameters: dict[str, Any], name: str, otherwise: str) -> str:
    found = _strings(parameters, "POINT", name)
    return spell_unit(found[0]) if found and found[0] else otherwise


# -- writing ---------------------------------------------------------------------------------------------------------


def _content(
    recording: Recording, markers: xr.DataArray | None, analogs: Sequence[xr.DataArray]
) -> dict[str, np.ndarray]:
    n_samples = {a.sizes["time"] for a in analogs}
    analog_rates = {sampling_rate(a) for a in analogs}
    if len(n_samples) > 1 or len(analog_rates) > 1:
        raise SignalError(
            "EMG, forces and other channels have different rates or lengths, which C3D cannot hold.",
            where=recording.label,
            remedy="Write .nc instead, or leave signals out.",
        )
    analog_rate = analog_rates.pop() if analogs else 0.0
    if markers is None:
        # An analog-only file (a maximum contraction) needs frames all the same: as near to 100 a second as fits.
        n = n_samples.pop()
        per_frame = min((k for k in range(1, n + 1) if n % k == 0), key=lambda k: abs(np.log(analog_rate / k / 100)))
        point_rate, n_frames = _single_rate(analog_rate, per_frame), n // per_frame
        points = np.zeros((3, 0, n_frames))
    else:
        point_rate, n_frames = sampling_rate(markers), markers.sizes["time"]
        points = markers.transpose("axis", "marker", "time").values
        if analogs and n_samples != {round(analog_rate / point_rate) * n_frames}:
            raise SignalError(
                f"C3D needs a whole number of analog samples for each frame, not {analog_rate:g} Hz with "
                f"{n_samples.pop()} samples beside {point_rate:g} Hz with {n_frames} frames.",
                where=recording.label,
                remedy="Write .nc instead, or leave the markers out.",
            )
    values = np.concatenate([a.values.T for a in analogs]) if analogs else np.zeros((0, n_frames))
    parameters = _parameters(recording, markers, analogs, point_rate, analog_rate)
    return {"points": points, "analogs": values, "parameters": np.array(json.dumps(parameters))}


def _single_rate(analog_rate: float, per_frame: int) -> float:
    """The frame rate in single precision, rounded so that the samples of a frame come out as a whole number."""
    rate = np.float32(analog_rate / per_frame)
    divides = float(np.float32(analog_rate)) / float(rate) >= per_frame
    return float(rate if divides else np.nextafter(rate, np.float32(0)))


def _parameters(
    recording: Recording,
    markers: xr.DataArray | None,
    analogs: Sequence[xr.DataArray],
    point_rate: float,
    analog_rate: float,
) -> dict[str, dict[str, Any]]:
    labels = [str(v) for a in analogs for v in a[a.dims[1]].values]
    units = [
        str(u)
        for a in analogs
        for u in (a["unit"].values if "unit" in a.coords else [a.attrs.get("units", "")] * a.sizes[a.dims[1]])
    ]
    point_labels = [] if markers is None else [str(m) for m in markers.marker.values]
    events = recording.events
    contexts = {"left": "Left", "right": "Right"}
    start_s = float((markers if markers is not None else analogs[0]).time[0])
    return {
        "POINT": {
            "RATE": [point_rate],
            "UNITS": ["mm" if markers is None else markers.attrs.get("units", "mm")],
            **_in_parts("LABELS", point_labels),
        },
        "ANALOG": {"RATE": [analog_rate or point_rate], **_in_parts("LABELS", labels), **_in_parts("UNITS", units)},
        "EVENT": {
            "USED": [len(events)],
            "LABELS": list(events["label"]),
            "CONTEXTS": [contexts.get(s, "General") for s in events["side"]],
            "TIMES": [[0.0] * len(events), [float(t) - start_s for t in events["time"]]],
        }
        if len(events)
        else {},
        "SUBJECTS": {"NAMES": [recording.subject]} if recording.subject else {},
    }


def _in_parts(name: str, values: list[str]) -> dict[str, list[str]]:
    """LABELS, LABELS2, …: the length of a parameter is one byte."""
    starts = range(0, max(len(values), 1), _MOST_STRINGS)
    return {f"{name}{i // _MOST_STRINGS + 1 if i else ''}": values[i : i + _MOST_STRINGS] for i in starts}
