"""What a simulation starts from: markers or angles, and forces, of one stretch of time, in OpenSim's frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Bool

from myodrive.errors import SignalError
from myodrive.from_simulation.ground_forces import ExternalForce, place_forces, read_forces
from myodrive.from_simulation.laboratory import read_plates, turn_force, turn_forwards, turn_markers
from myodrive.from_simulation.marker_map import MarkerMatch, fill_markers, match_markers, with_means
from myodrive.from_simulation.opensim import Model
from myodrive.from_simulation.scaling import scale_model
from myodrive.io.files import read
from myodrive.recording import Recording, Source, is_uniform, make_signal

PADDING_S = 0.3  # of motion before and behind the stretch, so that the filter has settled in it
LEAST_STRETCH_S = 0.1
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}


@dataclasses.dataclass(frozen=True)
class Trial:
    """What was read, in OpenSim's frame."""

    movement: xr.DataArray  # markers (time, marker, axis) in m, or angles (time, joint) in rad and m
    match: MarkerMatch | None  # of markers
    forces: list[ExternalForce]
    forces_from: str  # the file, for messages
    start_s: float
    end_s: float
    source: Source

    def covers(self, signal: xr.DataArray) -> Bool[np.ndarray, " time"]:
        """The samples within the stretch."""
        time = signal.time.values
        return (time >= self.start_s - 1e-9) & (time <= self.end_s + 1e-9)

    @property
    def padded(self) -> xr.DataArray:
        """The movement of the stretch and a little more."""
        return self.movement.sel(time=slice(self.start_s - PADDING_S, self.end_s + PADDING_S))


def read_marker_trial(
    model: Model,
    markers: str | Path | Recording,
    forces: str | Path | None,
    marker_map: str | Path | None,
    force_on: Mapping[str, str] | None,
    stretch: tuple[float | None, float | None],
) -> Trial:
    """Markers and forces. Those of a C3D file, and its force plates, are turned into OpenSim's frame."""
    movement = _recording(markers)
    recorded, source = as_markers(movement), movement.source
    match = match_markers(_labels(recorded), model.markers, marker_map, where=source.path)
    recorded = with_means(recorded, match)
    outside = read_forces(forces) if forces is not None else read_plates(movement)
    if source.reader == "c3d":
        turn = turn_forwards(recorded, match, model)
        recorded = turn_markers(recorded, turn)
        outside = outside if forces is not None else [turn_force(f, turn) for f in outside]
    return _trial(model, recorded, match, outside, forces, force_on, stretch, source)


def read_angle_trial(
    model: Model,
    angles: str | Path | Recording,
    forces: str | Path | None,
    force_on: Mapping[str, str] | None,
    stretch: tuple[float | None, float | None],
) -> Trial:
    """Angles that are known, and forces."""
    movement = _recording(angles)
    outside = read_forces(forces) if forces is not None else []
    return _trial(model, as_angles(movement, model), None, outside, forces, force_on, stretch, movement.source)


def scale_from(
    model: Model, static: str | Path | Recording, mass_kg: float, choice: str | Path | None, folder: Path
) -> tuple[Model, dict[str, float]]:
    """The model scaled from a trial of standing still, and the factors of its bodies; see `scale_model`."""
    recording = _recording(static)
    standing = as_markers(recording)
    match = match_markers(_labels(standing), model.markers, choice, where=recording.source.path)
    standing = with_means(standing, match)
    if recording.source.reader == "c3d":
        standing = turn_markers(standing, turn_forwards(standing, match, model))
    standing = standing.sel(marker=list(match.used)).assign_coords(marker=list(match.used.values()))
    return scale_model(model, standing.dropna("marker", how="all"), match, mass_kg, folder)


def followed_markers(trial: Trial, match: MarkerMatch, model: Model) -> tuple[xr.DataArray, dict[str, str]]:
    """The matched markers of the stretch and a little more, under the model's names, gaps filled.

    Raises
    ------
    SignalError
        If gaps leave a body without any.
    """
    where = trial.source.path
    used = trial.padded.sel(marker=list(match.used))
    used, gaps = fill_markers(used.assign_coords(marker=list(match.used.values())), where)
    bare = {model.markers[m] for m in match.used.values()} - {model.markers[m] for m in _labels(used)}
    if bare:
        raise SignalError(
            f"{', '.join(sorted(bare))}: no marker is left there. {'; '.join(f'{k} {v}' for k, v in gaps.items())}.",
            where=where,
            remedy="Fill the gaps in the motion capture software, or choose a stretch with --start-s and --end-s.",
        )
    return used, gaps


def as_markers(recording: Recording) -> xr.DataArray:
    """The markers of a recording, in m.

    Raises
    ------
    SignalError
        If it has none, or they are not on a uniform clock, or in an unknown unit.
    """
    markers = recording["markers"].transpose("time", "marker", "axis")
    where, units = recording.label, str(markers.attrs.get("units", "mm"))
    if units not in _METRES:
        raise SignalError(f"the markers are in '{units}'.", where=where, remedy="Give them in m, cm or mm.")
    if not is_uniform(markers, tolerance=0.1):
        raise SignalError("the frames of the markers are not evenly spaced.", where=where)
    return (markers.astype(np.float64) * _METRES[units]).assign_attrs(units="m")


def as_angles(recording: Recording, model: Model) -> xr.DataArray:
    """The free coordinates of a model (time, joint), in rad and m.

    Raises
    ------
    SignalError
        If one is missing or has samples that are no numbers, or they are not on a uniform clock.
    """
    angles, where = recording["angles"].transpose("time", "joint"), recording.label
    free = [c.name for c in model.free]
    missing = [name for name in free if name not in _labels(angles, "joint")]
    if missing:
        raise SignalError(
            f"there is no column for {', '.join(missing)}, which the model moves in. Found: "
            f"{', '.join(_labels(angles, 'joint')[:8])}, …",
            where=where,
            remedy="Give all coordinates of this model, as OpenSim's inverse kinematics writes them.",
        )
    angles = angles.sel(joint=free).astype(np.float64)
    holes = [name for name in free if not np.isfinite(angles.sel(joint=name).values).all()]
    if holes:
        raise SignalError(f"{', '.join(holes)} have samples that are no numbers.", where=where, remedy="Fill the gaps.")
    if not is_uniform(angles, tolerance=0.1):
        raise SignalError("the frames of the angles are not evenly spaced.", where=where)
    # What a file says of its columns; that a coordinate is a length, the model knows better.
    said = angles.unit.values if "unit" in angles.coords else np.full(len(free), angles.attrs.get("units"))
    units = np.array([c.units for c in model.free])
    values = np.where((units == "rad") & (said == "deg"), np.radians(angles.values), angles.values)
    signal = make_signal(values, ("time", "joint"), {"joint": free}, units="mixed", time=angles.time.values)
    return signal.assign_coords(unit=("joint", units))


# -- inside ----------------------------------------------------------------------------------------------------------


def _trial(
    model: Model,
    movement: xr.DataArray,
    match: MarkerMatch | None,
    outside: Sequence[ExternalForce],
    forces: str | Path | None,
    force_on: Mapping[str, str] | None,
    stretch: tuple[float | None, float | None],
    source: Source,
) -> Trial:
    placed = place_forces(outside, [*model.bodies], force_on)
    start, end = _find_stretch("angles" if match is None else "markers", movement, placed, *stretch)
    forces_from = source.path if forces is None else Path(forces).name
    return Trial(movement, match, placed, forces_from, start, end, source)


def _find_stretch(
    name: str, movement: xr.DataArray, forces: Sequence[ExternalForce], start_s: float | None, end_s: float | None
) -> tuple[float, float]:
    clocks = {name: movement.time.values, **({"forces": forces[0].time} if forces else {})}
    spans = {k: (float(t[0]), float(t[-1])) for k, t in clocks.items()}
    start = max([s for s, _ in spans.values()] + ([start_s] if start_s is not None else []))
    end = min([e for _, e in spans.values()] + ([end_s] if end_s is not None else []))
    if end - start < LEAST_STRETCH_S:
        asked = (
            f", and {start_s or 0:g}–{end_s or np.inf:g} s was asked for" if (start_s, end_s) != (None, None) else ""
        )
        have = " and ".join(f"{k} go from {s:g} to {e:g} s" for k, (s, e) in spans.items())
        raise SignalError(f"the stretch to simulate is shorter than {LEAST_STRETCH_S:g} s: {have}{asked}.")
    return start, end


def _recording(source: str | Path | Recording) -> Recording:
    return source if isinstance(source, Recording) else read(source)


def _labels(signal: xr.DataArray, dim: str = "marker") -> list[str]:
    return [str(label) for label in signal[dim].values]
