"""Forces from outside: which columns are one force, which body it acts on, and whether it can be right."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.errors import OptionError, SignalError
from myodrive.io.opensim_tables import read_storage, write_storage
from myodrive.recording import make_signal
from myodrive.safe_write import safe_write_text

GRAVITY = 9.81  # m/s²
CONTACT = 0.05  # of body weight: a force above it touches
# Of body weight, all forces together: one foot of two on a plate gives half, a step the whole, sprinting reaches 5. In
# pound-force a step is a quarter.
LEAST_PEAK, LARGEST_PEAK = 0.35, 12.0
UPRIGHT = 0.7  # least share of the force that is vertical while it touches
FROM_BODY_M = 0.5  # farthest from all markers that a point of application may lie
METRES = 20.0  # a laboratory is smaller: coordinates beyond it are mm
FROM_FOOT_M = 0.4  # farthest from the origin of the body that it acts on
_AXES = "xyz"


@dataclasses.dataclass(frozen=True)
class ExternalForce:
    """A force that acts on one body, in the ground frame: y is up."""

    name: str
    time: Float[np.ndarray, " time"]
    force: Float[np.ndarray, "time axis"]  # N
    point: Float[np.ndarray, "time axis"]  # m
    torque: Float[np.ndarray, "time axis"]  # N m, about the point
    side: str = ""  # "r", "l" or ""
    body: str = ""
    stated: bool = False  # the caller said which body it acts on

    def touches(self, weight_n: float) -> np.ndarray:
        """The samples in which it acts."""
        return np.linalg.norm(self.force, axis=1) > CONTACT * weight_n


def read_forces(path: str | Path) -> list[ExternalForce]:
    """The external forces in a MOT or STO file.

    A force is the columns STEMvx, STEMvy, STEMvz with its point of application STEMpx, … and its torque under the same
    stem with "torque" or "moment" in place of "force", or STEMmx, …

    Raises
    ------
    FileError
        If the file is missing or damaged.
    SignalError
        If it holds no such columns, or NaN where there should be a force.
    """
    return external_forces(next(iter(read_storage(path).signals.values())), Path(path).name)


def external_forces(signal: xr.DataArray, where: str) -> list[ExternalForce]:
    """The external forces in a signal of named columns, as `read_forces` finds them; `where` is for messages.

    Raises
    ------
    SignalError
        See `read_forces`.
    """
    columns, time = _columns(signal)
    stems = [c[:-2] for c in columns if c.endswith("vx") and all(f"{c[:-1]}{a}" in columns for a in _AXES)]
    found = [_one_force(stem, columns, time, where) for stem in stems]
    if not found:
        raise SignalError(
            f"no column holds a force: three of a name that ends in vx, vy, vz. Found: {', '.join([*columns][:6])}, …",
            where=where,
            remedy="Name them as OpenSim does: ground_force_r_vx, ground_force_r_px, ground_torque_r_x, …",
        )
    return found


def place_forces(
    forces: Sequence[ExternalForce], bodies: Sequence[str], on: Mapping[str, str] | None = None
) -> list[ExternalForce]:
    """Say on which body each force acts: as `on` says, else calcn_r and calcn_l by the side in the name.

    A force without a side stays without a body.

    Raises
    ------
    OptionError
        If `on` names a force or a body that is not there.
    """
    on = dict(on or {})
    unknown = [f"no force '{k}' (found: {', '.join(f.name for f in forces)})" for k in on if k not in _names(forces)]
    unknown += [f"no body '{b}' in the model (found: {', '.join(bodies)})" for b in on.values() if b not in bodies]
    if unknown:
        raise OptionError(f"there is {'; '.join(unknown)}.", where="--force-on")
    feet = {f.name: f"calcn_{f.side}" for f in forces if f.side and f"calcn_{f.side}" in bodies}
    return [dataclasses.replace(f, body=on.get(f.name, feet.get(f.name, "")), stated=f.name in on) for f in forces]


def check_forces(forces: Sequence[ExternalForce], body: xr.DataArray, mass_kg: float, where: str) -> None:
    """Refuse forces in another unit or another frame than the body.

    Parameters
    ----------
    forces : sequence of ExternalForce
    body : DataArray (time, marker or body, axis)
        Where markers or parts of the body were, in m; where a force acts is judged at those times alone.
    mass_kg : float
    where : str
        For messages.

    Raises
    ------
    SignalError
        If the total force is a small or a large multiple of body weight, does not point upwards, or acts where no
        part of the body is near.
    """
    weight = mass_kg * GRAVITY
    for force in forces:
        acts = force.touches(weight) & _at_times_of(body, force)
        if acts.any():
            _check_points(force, acts, body.values, where)
    feet = [f for f in forces if not f.stated]  # a hand may push as it likes
    total = sum((f.force for f in feet), np.zeros(3))
    peak = float(np.linalg.norm(total, axis=-1).max()) / weight
    if feet and not LEAST_PEAK <= peak <= LARGEST_PEAK:
        raise SignalError(
            f"the largest force is {peak:.3g} times the weight of {mass_kg:.0f} kg. Either the forces are not in N, or "
            "nobody stepped on the plates, or the mass is wrong.",
            where=where,
            remedy="Give N and N m (kN times 1000, pound-force times 4.448).",
        )
    for force in feet:
        acts = force.touches(weight)
        if acts.any():
            _check_direction(force, acts, where)


def find_feet(
    forces: Sequence[ExternalForce],
    places: xr.DataArray,
    mass_kg: float,
    where: str,
) -> list[ExternalForce]:
    """Give each force without a body the nearest foot, and check the side that a name says against where the feet are.

    Parameters
    ----------
    forces : sequence of ExternalForce
    places : DataArray (time, body, axis)
        Where the bodies that may be stepped with were, in m.
    mass_kg : float

    Raises
    ------
    SignalError
        If a force acts far from its body, or no body is near one that has none.
    """
    placed = []
    for force in forces:
        acts = force.touches(mass_kg * GRAVITY) & _at_times_of(places, force)
        if force.stated or not acts.any():
            placed.append(force)
            continue
        at = places.interp(time=force.time[acts]).values  # (time, body, axis)
        away = np.median(np.linalg.norm(at - force.point[acts][:, None], axis=2), axis=0)
        distance = dict(zip(map(str, places.body.values), map(float, away)))
        nearest = min(distance, key=lambda b: distance[b])
        body = force.body or nearest
        if distance[body] > FROM_FOOT_M:
            swapped = nearest != body and distance[nearest] <= FROM_FOOT_M
            why = (
                f"It is {distance[nearest]:.2f} m from {nearest}: left and right are probably exchanged."
                if swapped
                else "Motion and forces are probably not in one frame, or not on one clock."
            )
            raise SignalError(
                f"the force '{force.name}' acts {distance[body]:.2f} m from {body} while it touches. {why}",
                where=where,
                remedy=f"Say where it acts with --force-on {force.name}={nearest}." if swapped else None,
            )
        placed.append(dataclasses.replace(force, body=body))
    return placed


def forces_signal(forces: Sequence[ExternalForce]) -> xr.DataArray:
    """The inverse of `external_forces`: (time, channel), N, m and N m."""
    parts = {"v": "N", "p": "m", "t": "N m"}
    labels = [f"{f.name}_{part}{a}" for f in forces for part in parts for a in "xyz"]
    values = np.column_stack([v for f in forces for v in (f.force, f.point, f.torque)])
    signal = make_signal(values, ("time", "channel"), {"channel": labels}, units="mixed", time=forces[0].time)
    return signal.assign_coords(unit=("channel", [u for _ in forces for u in parts.values() for _ in range(3)]))


def write_loads(forces: Sequence[ExternalForce], folder: Path) -> Path | None:
    """Write the two files that OpenSim wants, the table and which of its columns act where; give the second."""
    acting = [f for f in forces if f.body]
    if not acting:
        return None
    labels = [f"f{i}_{kind}{a}" for i, _ in enumerate(acting) for kind in "vpt" for a in _AXES]
    values = np.column_stack([part for f in acting for part in (f.force, f.point, f.torque)])
    table = make_signal(values, ("time", "channel"), {"channel": labels}, units="", time=acting[0].time)
    data = write_storage(table, folder / "forces.mot")
    loads = ElementTree.Element("ExternalLoads", name="loads")
    objects = ElementTree.SubElement(loads, "objects")
    for i, force in enumerate(acting):
        entry = ElementTree.SubElement(objects, "ExternalForce", name=f"f{i}")
        for tag, text in {
            "applied_to_body": force.body,
            "force_expressed_in_body": "ground",
            "point_expressed_in_body": "ground",
            "force_identifier": f"f{i}_v",
            "point_identifier": f"f{i}_p",
            "torque_identifier": f"f{i}_t",
        }.items():
            ElementTree.SubElement(entry, tag).text = text
    ElementTree.SubElement(loads, "datafile").text = str(data)
    document = ElementTree.Element("OpenSimDocument", Version="40000")
    document.append(loads)
    return safe_write_text(folder / "loads.xml", ElementTree.tostring(document, encoding="unicode"))


# -- inside ----------------------------------------------------------------------------------------------------------


def _columns(signal: xr.DataArray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    return {str(c): signal.values[:, i].astype(float) for i, c in enumerate(signal[signal.dims[1]].values)}, (
        signal.time.values
    )


def _one_force(stem: str, columns: Mapping[str, np.ndarray], time: np.ndarray, where: str) -> ExternalForce:
    def triple(begin: str) -> np.ndarray | None:
        names = [begin + a for a in _AXES]
        return np.column_stack([columns[n] for n in names]) if all(n in columns for n in names) else None

    force, point = triple(f"{stem}v"), triple(f"{stem}p")
    begins = [stem.replace("force", "torque"), stem.replace("force", "moment"), f"{stem}m", f"{stem}t"]
    torque = next((t for t in map(triple, begins) if t is not None), None)
    name = stem.rstrip("_")
    if force is None or not np.isfinite(force).all():
        raise SignalError(
            f"the force '{name}' has samples that are no numbers.", where=where, remedy="Write 0 where nothing acts."
        )
    if point is None:
        raise SignalError(
            f"the force '{name}' has no point of application ({stem}px, {stem}py, {stem}pz).",
            where=where,
            remedy="Export the centre of pressure too.",
        )
    sides = [w[0] for w in re.split(r"[\W_]+", stem.lower()) if w in ("r", "l", "right", "left")]
    # Where nothing acts many programs write no point; 0 does no harm there.
    point, torque = np.nan_to_num(point), np.nan_to_num(torque) if torque is not None else np.zeros_like(force)
    return ExternalForce(name, time, force, point, torque, side=sides[0] if len(sides) == 1 else "")


def _at_times_of(signal: xr.DataArray, force: ExternalForce) -> np.ndarray:
    return (force.time >= signal.time.values[0]) & (force.time <= signal.time.values[-1])


def _check_direction(force: ExternalForce, acts: np.ndarray, where: str) -> None:
    mean = force.force[acts].mean(axis=0)
    share = mean / np.linalg.norm(mean)
    if share[1] >= UPRIGHT:
        return
    axis = int(np.argmax(np.abs(share)))
    if axis == 1:
        what, remedy = "points down: it is what the foot does to the plate", "Change the sign of force and torque."
    else:
        what = f"points along {_AXES[axis]}, and OpenSim's vertical is y"
        remedy = "Turn forces and points into OpenSim's frame: x forwards, y up, z to the right."
    raise SignalError(f"the force '{force.name}' {what}.", where=where, remedy=remedy)


def _check_points(force: ExternalForce, acts: np.ndarray, body: np.ndarray, where: str) -> None:
    low, high = np.nanmin(body, axis=(0, 1)), np.nanmax(body, axis=(0, 1))

    def outside(points: np.ndarray) -> float:
        return float(np.median(np.max(np.maximum(low - points, points - high), axis=1)))

    points = force.point[acts]
    if outside(points) <= FROM_BODY_M:
        return
    if outside(points / 1000.0) <= FROM_BODY_M and np.median(np.abs(points)) > METRES:
        what, remedy = "its points of application are in mm", "Give them in m, and torques in N m."
    else:
        what = "motion and forces are not in one frame"
        remedy = "Turn and shift both into OpenSim's frame: x forwards, y up, z to the right, one origin."
    middle = ", ".join(f"{v:.3g}" for v in np.median(points, axis=0))
    raise SignalError(
        f"the force '{force.name}' acts at ({middle}) m, {outside(points):.3g} m away from the body: {what}.",
        where=where,
        remedy=remedy,
    )


def _names(forces: Sequence[ExternalForce]) -> set[str]:
    return {f.name for f in forces}
