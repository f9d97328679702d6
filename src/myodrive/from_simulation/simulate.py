"""From markers and forces to simulated muscle activity: every step of OpenSim's way in one call, every result kept."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Bool

from myodrive.errors import OptionError, SignalError
from myodrive.from_simulation.findings import judge
from myodrive.from_simulation.ground_forces import (
    ExternalForce,
    check_forces,
    find_feet,
    place_forces,
    read_forces,
    write_loads,
)
from myodrive.from_simulation.laboratory import read_plates, turn_force, turn_forwards, turn_markers
from myodrive.from_simulation.marker_map import MarkerMatch, fill_markers, match_markers
from myodrive.from_simulation.muscle_problem import MuscleProblem
from myodrive.from_simulation.opensim import Model, read_model
from myodrive.from_simulation.scaling import scale_model
from myodrive.from_simulation.steps import (
    ACCURACY,
    MUSCLE_RESERVE,
    inverse_dynamics,
    inverse_kinematics,
    muscle_joints,
    static_optimization,
)
from myodrive.io.files import read
from myodrive.recording import Recording, Source, is_uniform, make_signal

PADDING_S = 0.3  # of motion before and behind the stretch, so that the filter has settled in it
LEAST_STRETCH_S = 0.1
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}

Progress = Callable[[str, float, float], object]


@dataclasses.dataclass(frozen=True)
class _Trial:
    """What was read, in OpenSim's frame."""

    model: Model
    markers: xr.DataArray  # m
    match: MarkerMatch
    forces: list[ExternalForce]
    forces_from: str  # the file, for messages
    start_s: float
    end_s: float
    source: Source

    def covers(self, signal: xr.DataArray) -> Bool[np.ndarray, " time"]:
        """The samples within the stretch."""
        time = signal.time.values
        return (time >= self.start_s - 1e-9) & (time <= self.end_s + 1e-9)


def simulate(
    model: str | Path,
    markers: str | Path | Recording,
    forces: str | Path | None = None,
    *,
    static: str | Path | Recording | None = None,
    mass_kg: float | None = None,
    cutoff_hz: float = 6.0,
    accuracy: float = ACCURACY,
    start_s: float | None = None,
    end_s: float | None = None,
    marker_map: str | Path | None = None,
    force_on: Mapping[str, str] | None = None,
    optimize: bool = True,
    progress: Progress | None = None,
) -> Recording:
    """Simulated muscle activity from motion capture and forces, with every intermediate result.

    In order: scaling of the model (where a static trial is given), inverse kinematics, zero-phase low-pass of the
    angles, inverse dynamics, muscle geometry, static optimisation (OpenSim's own: least sum of squared activations;
    activation dynamics and passive forces are left out).

    Parameters
    ----------
    model : path
        An OpenSim model (.osim), of the person's size unless `static` is given.
    markers : path or Recording
        Markers in OpenSim's frame (x forwards, y up), from a TRC file or any other that has ``markers``. Those of a C3D
        file, and its force plates, are turned into that frame.
    forces : path, optional
        Ground reactions (MOT, STO) in the same frame and on the same clock. Without it, and without force plates in a C3D
        file, nothing outside touches the body.
    static : path or Recording, optional
        A trial of standing still, from which the model is scaled and its markers are placed; needs `mass_kg`.
    mass_kg : float, optional
        Of the person.
    cutoff_hz : float
        Of the low-pass on the angles: a Butterworth filter of third order, run both ways (half the amplitude at the
        cut-off), as in OpenSim's tools. 6 Hz is the custom for walking, 12 to 15 Hz for running.
    accuracy : float
        At which the optimiser of inverse kinematics stops; smaller is slower. 1e-4, found in published setups, leaves
        running angles 1 to 2 degrees short of the best fit, and moments by a tenth.
    start_s, end_s : float, optional
        The stretch that is simulated; by default all that markers and forces share.
    marker_map : str or path, optional
        A set of the shipped ``markers.toml``, or a file like it. Without it, the shipped set that matches most.
    force_on : dict, optional
        Force: the body that it acts on, where neither its name nor the nearest foot says so.
    optimize : bool
        Without it, everything but ``simulated``, ``muscle_forces`` and ``reserves``.
    progress : callable, optional
        Called with what is being done, how much is done, and of how much.

    Returns
    -------
    Recording
        Signals ``markers`` and ``marker_errors`` (m), ``angles_unfiltered`` and ``angles`` (deg, translations m),
        ``forces`` (N, m, N m), ``moments`` (N m; of the coordinates that tie the model to the ground they are the
        residuals), ``moment_arms`` (time, joint, muscle; m), ``muscle_lengths`` (m), ``muscle_velocities`` (m/s),
        ``active_force`` at activation 1 and ``passive_force`` (N, tendons taken as rigid), ``simulated`` (1),
        ``muscle_forces`` (N), ``reserves`` (N m). ``info["simulation"]`` holds the options, the markers that were
        matched and not, and ``findings``: how far to trust it. `muscle_problem` takes it from here.

    Raises
    ------
    MyodriveError
        In one sentence, where a file, the model, or what they say together cannot be right.
    """
    step = progress or (lambda *_: None)
    _check_options(cutoff_hz, accuracy, static, mass_kg)
    step("reading", 0, 4)
    trial = _read_trial(model, markers, forces, marker_map, force_on, start_s, end_s)
    with tempfile.TemporaryDirectory(prefix="myodrive-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        about = trial.model
        factors: dict[str, float] = {}
        if static is not None and mass_kg is not None:
            about, factors = _scale(about, static, mass_kg, marker_map, folder)
        step("inverse kinematics", 1, 4)
        used, gaps = _prepare(trial, about)
        poses, outside = _pose(trial, about, used, mass_kg or about.mass_kg, accuracy, folder)
        step("inverse dynamics", 2, 4)
        loads = write_loads(outside, folder)
        angles = poses["angles_unfiltered"]
        signals = inverse_dynamics(about, angles, cutoff_hz, used.time.values[trial.covers(used)], loads)
        failed = None
        if optimize and "moment_arms" in signals:
            step("static optimisation", 3, 4)
            more, failed = static_optimization(about, angles, cutoff_hz, signals["moment_arms"], loads, folder)
            signals |= more
    step("done", 4, 4)
    found = {"markers": used, "marker_errors": poses["marker_errors"], "angles_unfiltered": in_degrees(angles)}
    found |= {"forces": _forces_signal(outside)} if outside else {}
    signals = {k: v.isel(time=trial.covers(v)) for k, v in found.items()} | signals
    signals["angles"] = in_degrees(signals["angles"])
    largest = float(np.abs(signals["forces"].where(signals["forces"].unit == "N")).max()) if outside else 0.0
    said = {
        "model": {"file": Path(model).name, "mass_kg": about.mass_kg, "scale_factors": factors},
        "cutoff_hz": cutoff_hz,
        "accuracy": accuracy,
        "markers": _matched(trial.match, gaps),
        "forces": {f.name: f.body for f in outside},
        "findings": [dataclasses.asdict(f) for f in judge(signals, about, largest, failed)],
    }
    return Recording(signals, source=dataclasses.replace(trial.source, reader="simulate"), info={"simulation": said})


def muscle_problem(recording: Recording) -> MuscleProblem:
    """The problem of static optimisation in a simulated recording, of the coordinates that muscles act on.

    Passive forces are left out, as OpenSim's own tool has it.

    Raises
    ------
    SignalError
        If the recording does not come from `simulate`, or its model has no muscles.
    """
    arms = recording["moment_arms"]
    joints = muscle_joints(arms)
    return MuscleProblem(
        muscles=_labels(arms, "muscle"),
        coordinates=joints,
        time=arms.time.values,
        torques=recording["moments"].sel(joint=joints).values,
        moment_arms=arms.sel(joint=joints).values,
        active_force=np.maximum(recording["active_force"].values, 0.0),
        reserves=np.full(len(joints), MUSCLE_RESERVE),
    )


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


def in_degrees(angles: xr.DataArray) -> xr.DataArray:
    """Angles in deg where they were in rad; translations stay."""
    turns = angles.unit.values == "rad"
    values = np.where(turns, np.degrees(angles.values), angles.values)
    units = np.where(turns, "deg", angles.unit.values)
    return angles.copy(data=values).assign_coords(unit=("joint", units))


# -- inside ----------------------------------------------------------------------------------------------------------


def _check_options(cutoff_hz: float, accuracy: float, static: object, mass_kg: float | None) -> None:
    if not cutoff_hz > 0:
        raise OptionError(f"the cut-off must be above 0 Hz, and is {cutoff_hz:g}.", where="--cutoff-hz")
    if not 1e-10 <= accuracy <= 1e-2:
        raise OptionError(f"the accuracy must be between 1e-10 and 1e-2, and is {accuracy:g}.", where="accuracy")
    if static is not None and mass_kg is None:
        raise OptionError("scaling from a static trial needs the person's mass.", remedy="Give --mass-kg.")
    if mass_kg is not None and not 1 <= mass_kg <= 300:
        raise OptionError(f"a mass of {mass_kg:g} kg is no person's.", where="--mass-kg")


def _read_trial(
    model: str | Path,
    markers: str | Path | Recording,
    forces: str | Path | None,
    marker_map: str | Path | None,
    force_on: Mapping[str, str] | None,
    start_s: float | None,
    end_s: float | None,
) -> _Trial:
    about = read_model(model)
    movement = markers if isinstance(markers, Recording) else read(markers)
    recorded, source = as_markers(movement), movement.source
    match = match_markers(_labels(recorded), about.markers, marker_map, where=source.path)
    if forces is not None:
        outside, forces_from = read_forces(forces), Path(forces).name
    else:
        outside, forces_from = read_plates(movement), source.path
    if source.reader == "c3d":
        turn = turn_forwards(recorded, match, about)
        recorded = turn_markers(recorded, turn)
        outside = outside if forces is not None else [turn_force(f, turn) for f in outside]
    outside = place_forces(outside, [*about.bodies], force_on)
    start, end = _find_stretch(recorded, outside, start_s, end_s)
    return _Trial(about, recorded, match, outside, forces_from, start, end, source)


def _pose(
    trial: _Trial, model: Model, markers: xr.DataArray, mass_kg: float, accuracy: float, folder: Path
) -> tuple[dict[str, xr.DataArray], list[ExternalForce]]:
    """Inverse kinematics, with the forces checked before it and given their feet after it."""
    if trial.forces:
        check_forces(trial.forces, markers.values, mass_kg, trial.forces_from)
    weights = {m: w for m, w in trial.match.weights.items() if m in markers.marker.values}
    poses = inverse_kinematics(model, markers, weights, _steppers(model, trial.forces), folder, accuracy)
    return poses, find_feet(trial.forces, poses["places"], mass_kg, trial.forces_from)


def _find_stretch(
    markers: xr.DataArray, forces: Sequence[ExternalForce], start_s: float | None, end_s: float | None
) -> tuple[float, float]:
    clocks = {"markers": markers.time.values, **({"forces": forces[0].time} if forces else {})}
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


def _scale(
    model: Model, static: str | Path | Recording, mass_kg: float, choice: str | Path | None, folder: Path
) -> tuple[Model, dict[str, float]]:
    recording = static if isinstance(static, Recording) else read(static)
    standing = as_markers(recording)
    match = match_markers(_labels(standing), model.markers, choice, where=recording.source.path)
    if recording.source.reader == "c3d":
        standing = turn_markers(standing, turn_forwards(standing, match, model))
    standing = standing.sel(marker=list(match.used)).assign_coords(marker=list(match.used.values()))
    return scale_model(model, standing.dropna("marker", how="all"), match, mass_kg, folder)


def _prepare(trial: _Trial, model: Model) -> tuple[xr.DataArray, dict[str, str]]:
    """The matched markers of the stretch and a little more, under the model's names, gaps filled."""
    match, where = trial.match, trial.source.path
    stretch = slice(trial.start_s - PADDING_S, trial.end_s + PADDING_S)
    used = trial.markers.sel(marker=list(match.used), time=stretch)
    used, gaps = fill_markers(used.assign_coords(marker=list(match.used.values())), where)
    bare = {model.markers[m] for m in match.used.values()} - {model.markers[m] for m in _labels(used)}
    if bare:
        raise SignalError(
            f"{', '.join(sorted(bare))}: no marker is left there. {'; '.join(f'{k} {v}' for k, v in gaps.items())}.",
            where=where,
            remedy="Fill the gaps in the motion capture software, or choose a stretch with --start-s and --end-s.",
        )
    return used, gaps


def _steppers(model: Model, forces: Sequence[ExternalForce]) -> list[str]:
    """Bodies that a force may act on: those that it is said of, and the feet where it is not."""
    feet = [b for b in model.bodies if b.startswith("calcn")] or [*model.bodies]
    return list(dict.fromkeys([*(f.body for f in forces if f.body), *feet]))


def _matched(match: MarkerMatch, gaps: Mapping[str, str]) -> dict[str, object]:
    return {
        "map": match.map.name,
        "used": match.used,
        "unused_labels": list(match.unused_labels),
        "unmatched_markers": list(match.unmatched_markers),
        "bodies_without_marker": list(match.bare_bodies),
        "gaps": dict(gaps),
    }


def _forces_signal(forces: Sequence[ExternalForce]) -> xr.DataArray:
    parts = {"v": "N", "p": "m", "t": "N m"}
    labels = [f"{f.name}_{part}{a}" for f in forces for part in parts for a in "xyz"]
    values = np.column_stack([v for f in forces for v in (f.force, f.point, f.torque)])
    signal = make_signal(values, ("time", "channel"), {"channel": labels}, units="mixed", time=forces[0].time)
    return signal.assign_coords(unit=("channel", [u for _ in forces for u in parts.values() for _ in range(3)]))


def _labels(signal: xr.DataArray, dim: str = "marker") -> list[str]:
    return [str(label) for label in signal[dim].values]
