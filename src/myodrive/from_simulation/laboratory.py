"""From a laboratory's frame into OpenSim's: which axis is up, where the person faces, what the force plates measured."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.errors import SignalError
from myodrive.from_simulation.ground_forces import ExternalForce
from myodrive.from_simulation.marker_map import MarkerMatch
from myodrive.from_simulation.opensim import Model, run_opensim
from myodrive.recording import Recording

# (x, y, z) of OpenSim from a laboratory's axes; both keep right-handedness.
UP = {"y": np.eye(3), "z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])}
ACTING_N = 10.0  # on a plate; below it the point of application is noise, and the force is taken as none
_TYPES = (2, 4)  # of force plates in C3D: forces and moments about the plate's origin
_CHANNEL = re.compile(r"([fm])[a-z]*\.?([fm]?)([xyz])(\d+)$", re.IGNORECASE)
_SCALE = {"N": 1.0, "Nm": 1.0, "N m": 1.0, "Nmm": 1e-3, "N mm": 1e-3, "mm": 1e-3, "m": 1.0}


def turn_forwards(markers: xr.DataArray, match: MarkerMatch, model: Model) -> Float[np.ndarray, "3 3"]:
    """The rotation that brings a laboratory's frame to OpenSim's: y up, and the person facing x as the model does.

    Of the laboratory's y and z the one is up with which the markers, in the first frame that shows them all, come closer
    to the model's in its default pose when they are turned about the vertical.

    Raises
    ------
    SignalError
        If the model is tied to the ground, so that where it stands in the laboratory must be known.
    """
    if not any(c.of_ground and c.units == "m" for c in model.free):
        raise SignalError(
            "the model is tied to the ground, and where that is in the laboratory cannot be told from markers.",
            where=model.path,
            remedy="Turn and shift the markers into the model's frame, and give them as TRC.",
        )
    labels, names = [*match.used], [*match.used.values()]
    model_at = run_opensim("marker_positions", model.path, {"markers": names}).arrays["positions"]
    seen = markers.sel(marker=labels).values
    whole = np.flatnonzero(np.isfinite(seen).all(axis=(1, 2)))
    first = seen[whole[0]] if whole.size else np.nanmean(seen, axis=0)
    there = np.isfinite(first).all(axis=1)
    recorded = first[there] - first[there].mean(axis=0)
    target = model_at[there] - model_at[there].mean(axis=0)
    fits = []
    for up in UP.values():
        x, _, z = (recorded @ up.T).T
        angle = np.arctan2((z * target[:, 0] - x * target[:, 2]).sum(), (x * target[:, 0] + z * target[:, 2]).sum())
        about_y = np.array([[np.cos(angle), 0.0, np.sin(angle)], [0.0, 1.0, 0.0], [-np.sin(angle), 0.0, np.cos(angle)]])
        turn = about_y @ up
        fits.append((float(((recorded @ turn.T - target) ** 2).sum()), turn))
    return min(fits, key=lambda fit: fit[0])[1]


def turn_markers(markers: xr.DataArray, turn: Float[np.ndarray, "3 3"]) -> xr.DataArray:
    """Markers (time, marker, axis) in another frame."""
    return markers.copy(data=markers.values @ turn.T)


def turn_force(force: ExternalForce, turn: Float[np.ndarray, "3 3"]) -> ExternalForce:
    """The same force in another frame."""
    return dataclasses.replace(
        force, force=force.force @ turn.T, point=force.point @ turn.T, torque=force.torque @ turn.T
    )


def read_plates(recording: Recording) -> list[ExternalForce]:
    """What the force plates of a C3D file did to the feet, in the laboratory's frame.

    The centre of pressure is the point of the plate's surface about which only a torque around the normal is left,
    with the plate's own axes from its corners.

    Raises
    ------
    SignalError
        If plates and channels do not belong together, or a plate is of another type than 2 and 4.
    """
    plates = recording.info.get("FORCE_PLATFORM", {})
    if "forces" not in recording or not plates.get("CORNERS"):
        return []
    where, channels = recording.label, _channels(recording["forces"])
    corners, origins = _table(plates["CORNERS"], (4, 3)), _table(plates["ORIGIN"], (3,))
    found = []
    for number, (corner, origin, kind) in enumerate(zip(corners, origins, np.ravel(plates["TYPE"])), start=1):
        if int(kind) not in _TYPES or number not in channels:
            raise SignalError(
                f"force plate {number} is of type {int(kind)} with {len(channels.get(number, {}))} channels of its number.",
                where=where,
                remedy="Plates of type 2 and 4 are read from channels such as Force.Fx1 and Moment.Mz1; export a .mot for others.",
            )
        found.append(_one_plate(f"plate{number}", recording["forces"].time.values, channels[number], corner, origin))
    return found


# -- inside ----------------------------------------------------------------------------------------------------------


def _channels(forces: xr.DataArray) -> dict[int, dict[str, np.ndarray]]:
    """Plate number: {"fx": …} in N and N m."""
    found: dict[int, dict[str, np.ndarray]] = {}
    units = (
        forces.unit.values if "unit" in forces.coords else [forces.attrs.get("units", "N")] * forces.sizes["channel"]
    )
    for i, label in enumerate(map(str, forces.channel.values)):
        said = _CHANNEL.search(label)
        if said:
            name = (said[2] or said[1]).lower() + said[3].lower()
            found.setdefault(int(said[4]), {})[name] = forces.values[:, i].astype(np.float64) * _SCALE.get(
                str(units[i]), 1.0
            )
    return {number: parts for number, parts in found.items() if len(parts) == 6}


def _one_plate(name: str, time: np.ndarray, parts: dict[str, np.ndarray], corner: Any, origin: Any) -> ExternalForce:
    force = np.column_stack([parts[f"f{a}"] for a in "xyz"])
    moment = np.column_stack([parts[f"m{a}"] for a in "xyz"])
    corner, origin = np.asarray(corner) / 1000.0, np.asarray(origin) / 1000.0
    x = corner[0] + corner[3] - corner[1] - corner[2]
    y = corner[0] + corner[1] - corner[2] - corner[3]
    z = np.cross(x, y)
    axes = np.column_stack([v / np.linalg.norm(v) for v in (x, np.cross(z, x), z)])
    vertical = int(np.argmax(np.abs(axes[:, 2])))
    # The sensor lies below the surface; laboratories write that with either sign.
    sensor = -origin if (axes @ origin)[vertical] > 0 else origin
    moment = moment + np.cross(sensor, force)  # about the middle of the surface
    acts = np.abs(force[:, 2]) > ACTING_N
    down = np.where(acts, force[:, 2], 1.0)
    point = np.column_stack([-moment[:, 1] / down, moment[:, 0] / down, np.zeros(time.size)])
    torque = np.zeros_like(force)
    torque[:, 2] = moment[:, 2] - point[:, 0] * force[:, 1] + point[:, 1] * force[:, 0]
    for values in (force, torque, point):
        values[~acts] = 0.0
    force, torque, point = force @ axes.T, torque @ axes.T, point @ axes.T + corner.mean(axis=0)
    # Some write what the foot does to the plate. The ground only ever pushes up.
    sign = -1.0 if force[acts, vertical].sum() < 0 else 1.0
    return ExternalForce(name, time, sign * force, point, sign * torque)


def _table(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter of C3D with the plate as its first axis; the file has it as its last."""
    array = np.asarray(values, dtype=np.float64)
    return array.T.reshape(-1, *shape) if array.ndim > 1 else array.reshape(-1, *shape)
