"""The arm from its markers: shoulder, elbow, wrist and hand; where the hand is and how it is turned; its swivel angle."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict

from myodrive.conditioning.rotations import SIX_D, from_directions, from_quaternions, six_d
from myodrive.conditioning.swivel import swivel_angle
from myodrive.errors import OptionError, SignalError
from myodrive.recording import Recording, make_signal

# Point of the arm: the marker labels that show it, in the order of preference; what stands together is averaged.
# Labels are compared in small letters without signs, and without a leading L, R, left or right.
POINTS: dict[str, tuple[str, ...]] = {
    "shoulder": ("shoulder", "sho", "acromion", "acrom", "acr"),
    "elbow": ("elbow", "epicl epicm", "lel mel", "lelb melb", "elblateral elbmedial", "elb", "epicl", "lel"),
    "wrist": ("wrist", "wra wrb", "stylr stylu", "wristradial wristulnar", "rwr uwr", "wri"),
    "hand": ("hand", "fin", "mcp3", "handradial handulnar", "mcp2 mcp5"),
    "radial": ("handradial", "mcp2", "wra", "stylr", "wristradial", "rwr"),
    "ulnar": ("handulnar", "mcp5", "wrb", "stylu", "wristulnar", "uwr"),
}
METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
Axis = Literal["x", "y", "z"]


class ArmMarkers(BaseModel):
    """Which markers show which point of the arm; the mean of several counts. Empty: found by name, see `POINTS`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shoulder: tuple[str, ...] = ()
    elbow: tuple[str, ...] = ()
    wrist: tuple[str, ...] = ()
    hand: tuple[str, ...] = ()
    radial: tuple[str, ...] = ()  # of two at the same height of hand or wrist, the one at the thumb's side
    ulnar: tuple[str, ...] = ()
    side: Literal["", "left", "right"] = ""  # of the markers that are found by name; needed where both sides are there


def arm_point(recording: Recording, point: str, arm: ArmMarkers) -> Float[np.ndarray, "time 3"]:
    """Where one point of the arm is, in metres; NaN where one of its markers is not seen.

    Raises
    ------
    SignalError
        If there are no markers, none shows the point, both sides do, or their unit is unknown.
    """
    markers = recording["markers"].transpose("time", "marker", "axis")
    units = str(markers.attrs.get("units", ""))
    if units not in METRES:
        raise SignalError(
            f"the markers are in '{units}', which is no length.",
            where=recording.label,
            remedy='Give units="mm" to read.',
        )
    labels = [str(m) for m in markers.marker.values]
    chosen = getattr(arm, point) or _by_name(labels, point, arm.side, recording.label)
    missing = [m for m in chosen if m not in labels]
    if missing or not chosen:
        told = f"the markers {', '.join(missing)} are not there" if missing else f"no marker shows the point '{point}'"
        raise SignalError(
            f"{told}. Found: {', '.join(labels)}.",
            where=recording.label,
            remedy=f"Name it: arm=ArmMarkers({point}=('LABEL',)).",
        )
    return markers.sel(marker=list(chosen)).values.mean(axis=1) * METRES[units]


def arm_length_m(recording: Recording, arm: ArmMarkers) -> float:
    """From shoulder to elbow to wrist: of ``info["body"]`` (``upper_arm_m`` + ``forearm_m``, or ``arm_m``), else the median
    over the recording.

    Raises
    ------
    SignalError
        If neither is known.
    """
    body = recording.info.get("body", {})
    if {"upper_arm_m", "forearm_m"} <= set(body):
        return float(body["upper_arm_m"] + body["forearm_m"])
    if "arm_m" in body:
        return float(body["arm_m"])
    shoulder, elbow, wrist = (arm_point(recording, point, arm) for point in ("shoulder", "elbow", "wrist"))
    lengths = np.linalg.norm(elbow - shoulder, axis=1) + np.linalg.norm(wrist - elbow, axis=1)
    if not np.isfinite(lengths).any():
        raise SignalError("shoulder, elbow and wrist are never seen together.", where=recording.label)
    return float(np.median(lengths[np.isfinite(lengths)]))


def hand_position(recording: Recording, arm: ArmMarkers = ArmMarkers()) -> xr.DataArray:  # noqa: B008 (frozen)
    """Where the hand (the wrist, where no marker is on the hand) is from the shoulder, in lengths of the arm.

    Along the axes of the laboratory; all people have to face the same way. Of the signal ``pose`` where there is one (its
    x, y and z are taken to be from the shoulder), else from ``markers``.

    Returns
    -------
    DataArray (time, feature)
        ``hand x``, ``hand y``, ``hand z``.
    """
    if "pose" in recording:
        pose = _components(recording, "pose", ("x", "y", "z"))
        units = str(pose.attrs.get("units", ""))
        if units not in METRES:
            raise SignalError(f"the pose is in '{units}', which is no length.", where=recording.label)
        time, place = pose.time.values, pose.values * METRES[units]
        length = arm_length_m(recording, arm) if "markers" in recording or recording.info.get("body") else 1.0
    else:
        time = recording["markers"].time.values
        place = arm_point(recording, _line_of_hand(recording, arm)[1], arm) - arm_point(recording, "shoulder", arm)
        length = arm_length_m(recording, arm)
    return _features(place / length, [f"hand {axis}" for axis in "xyz"], time)


def hand_orientation(recording: Recording, arm: ArmMarkers = ArmMarkers()) -> xr.DataArray:  # noqa: B008
    """How the hand is turned in the laboratory: the first two columns of its rotation matrix, see `rotations`.

    Of the quaternion in the signal ``pose`` (qw, qx, qy, qz) where there is one. From markers the first axis points from
    the wrist to the hand, or from the elbow to the wrist where no marker is on the hand, and the second from the ulnar to
    the radial marker, at a right angle to the first.

    Returns
    -------
    DataArray (time, feature)
        ``hand r11`` to ``hand r32``.
    """
    names = [f"hand {name}" for name in SIX_D]
    if "pose" in recording:
        pose = _components(recording, "pose", ("qw", "qx", "qy", "qz"))
        return _features(six_d(from_quaternions(pose.values)), names, pose.time.values)
    start, end = _line_of_hand(recording, arm)
    along = arm_point(recording, end, arm) - arm_point(recording, start, arm)
    across = arm_point(recording, "radial", arm) - arm_point(recording, "ulnar", arm)
    return _features(six_d(from_directions(along, across)), names, recording["markers"].time.values)


def hand_pose(recording: Recording, arm: ArmMarkers = ArmMarkers()) -> xr.DataArray:  # noqa: B008
    """Position and orientation of the hand side by side: see `hand_position` and `hand_orientation`."""
    return xr.concat([hand_position(recording, arm), hand_orientation(recording, arm)], dim="feature")


def swivel(recording: Recording, arm: ArmMarkers = ArmMarkers(), up: Axis | None = None) -> xr.DataArray:  # noqa: B008
    """Sine, cosine and weight of the swivel angle (time, feature); see `swivel_angle`.

    Parameters
    ----------
    recording : Recording
        With ``markers``; their attribute ``up`` may name the axis that points up.
    arm : ArmMarkers
    up : "x", "y" or "z", optional
        The axis that points up, where the signal does not say it: y in OpenSim, z in most laboratories.
    """
    up = up or recording["markers"].attrs.get("up")
    if up not in ("x", "y", "z"):
        raise OptionError(
            "the swivel angle is measured from where gravity points, and nothing says which axis points up.",
            where=recording.label,
            remedy='Pass up="z" (most laboratories) or up="y" (OpenSim).',
        )
    points = [arm_point(recording, point, arm) for point in ("shoulder", "elbow", "wrist")]
    down = tuple(-1.0 if axis == up else 0.0 for axis in "xyz")
    found = swivel_angle(*points, down=(down[0], down[1], down[2]))
    names = ["sin swivel", "cos swivel", "swivel weight"]
    return _features(np.stack(found, axis=1), names, recording["markers"].time.values)


# -- inside ----------------------------------------------------------------------------------------------------------


def _line_of_hand(recording: Recording, arm: ArmMarkers) -> tuple[str, str]:
    """The points that the hand's first axis runs between: without a marker on the hand it is the forearm's."""
    labels = [str(m) for m in recording["markers"].marker.values]
    has_hand = arm.hand or _by_name(labels, "hand", arm.side, recording.label)
    return ("wrist", "hand") if has_hand else ("elbow", "wrist")


def _by_name(labels: list[str], point: str, side: str, where: str) -> tuple[str, ...]:
    """The first choice of `POINTS` all of whose markers are there; nothing if none is."""
    plain = {label: re.sub(r"[^a-z0-9]", "", label.rsplit(":", 1)[-1].lower()) for label in labels}
    for choice in POINTS[point]:
        found: dict[str, list[str]] = {}
        for start, name in (("left", "left"), ("right", "right"), ("l", "left"), ("r", "right"), ("", "")):
            wanted = [next((lab for lab, text in plain.items() if text == start + w), "") for w in choice.split()]
            if all(wanted):
                found.setdefault(name, wanted)
        if side:
            found = {name: labels for name, labels in found.items() if name in (side, "")}
        if len(found) > 1 and {"left", "right"} <= set(found):
            raise SignalError(
                f"there are markers of both sides for the point '{point}'.",
                where=where,
                remedy='Say which arm: arm=ArmMarkers(side="right").',
            )
        if found:
            return tuple(found.get(side) or next(iter(found.values())))
    return ()


def _components(recording: Recording, name: str, wanted: tuple[str, ...]) -> xr.DataArray:
    signal = recording[name]
    dim = next(str(d) for d in signal.dims if d != "time")
    labels = [str(v) for v in signal[dim].values]
    missing = [w for w in wanted if w not in labels]
    if missing:
        raise SignalError(
            f"the signal '{name}' has no {', '.join(missing)}. Found: {', '.join(labels)}.",
            where=recording.label,
            remedy="A pose has x, y and z from the shoulder, and for its orientation the quaternion qw, qx, qy, qz.",
        )
    return signal.sel({dim: list(wanted)}).transpose("time", dim)


def _features(values: np.ndarray, names: list[str], time: np.ndarray) -> xr.DataArray:
    return make_signal(values, ("time", "feature"), {"feature": names}, units="1", time=time)
