"""From markers and forces to simulated muscle activity: every step of OpenSim's way in one call, every result kept."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from myodrive.errors import OptionError
from myodrive.from_simulation.findings import judge, residual_coordinates
from myodrive.from_simulation.ground_forces import ExternalForce, check_forces, find_feet, forces_signal, write_loads
from myodrive.from_simulation.marker_map import MarkerMatch
from myodrive.from_simulation.muscle_signals import Signals, in_degrees, optimize
from myodrive.from_simulation.opensim import Model, read_model
from myodrive.from_simulation.person import check_person
from myodrive.from_simulation.steps import (
    ACCURACY,
    body_places,
    inverse_dynamics,
    inverse_kinematics,
    static_optimization_of_opensim,
)
from myodrive.from_simulation.trial import Trial, followed_markers, read_angle_trial, read_marker_trial, scale_from
from myodrive.recording import Recording

SOLVERS = ("own", "opensim", "none")
Progress = Callable[[str, float, float], object]


def simulate(
    model: str | Path,
    markers: str | Path | Recording | None = None,
    forces: str | Path | None = None,
    *,
    angles: str | Path | Recording | None = None,
    static: str | Path | Recording | None = None,
    mass_kg: float | None = None,
    cutoff_hz: float = 6.0,
    accuracy: float = ACCURACY,
    start_s: float | None = None,
    end_s: float | None = None,
    marker_map: str | Path | None = None,
    force_on: Mapping[str, str] | None = None,
    static_optimization: str = "own",
    progress: Progress | None = None,
) -> Recording:
    """Simulated muscle activity from motion capture and forces, with every intermediate result.

    In order: scaling of the model (where a static trial is given), inverse kinematics (where angles are not given),
    zero-phase low-pass of the angles, inverse dynamics, muscle geometry, static optimisation (least sum of squared
    activations; activation dynamics and passive forces are left out).

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
    angles : path or Recording, optional
        In place of markers: all coordinates that the model moves in, as OpenSim's inverse kinematics writes them.
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
    static_optimization : "own", "opensim" or "none"
        Who solves it: `solve_static_optimization`, OpenSim's own tool (slow; the same answer where its optimiser
        succeeds), or nobody, and ``simulated``, ``muscle_forces`` and ``reserves`` are missing.
    progress : callable, optional
        Called with what is being done, how much is done, and of how much.

    Returns
    -------
    Recording
        Signals ``markers`` and ``marker_errors`` (m), ``angles_unfiltered`` and ``angles`` (deg, translations m),
        ``forces`` (N, m, N m), ``moments`` (N m; of the coordinates that tie the model to the ground they are the
        residuals), ``moment_arms`` (time, joint, muscle; m), ``muscle_lengths`` (m), ``muscle_velocities`` (m/s),
        ``active_force`` at activation 1 and ``passive_force`` (N, tendons taken as rigid), ``simulated`` (1),
        ``muscle_forces`` (N), ``reserves`` (N m; all of the moment where no muscle acts). ``info["simulation"]`` holds
        the options, the markers that were matched and not, and ``findings``: how far to trust it. `muscle_problem`
        takes it from here.

    Raises
    ------
    MyodriveError
        In one sentence, where a file, the model, or what they say together cannot be right.
    """
    step = progress or (lambda *_: None)
    _check_options(markers, angles, cutoff_hz, accuracy, static, mass_kg, static_optimization)
    step("reading", 0, 4)
    about = read_model(model)
    if markers is not None:
        trial = read_marker_trial(about, markers, forces, marker_map, force_on, (start_s, end_s))
    elif angles is not None:
        trial = read_angle_trial(about, angles, forces, force_on, (start_s, end_s))
    with tempfile.TemporaryDirectory(prefix="myodrive-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        factors: dict[str, float] = {}
        if static is not None and mass_kg is not None:
            about, factors = scale_from(about, static, mass_kg, marker_map, folder)
        step("inverse kinematics", 1, 4)
        found, outside, gaps = _pose(trial, about, mass_kg or about.mass_kg, accuracy, folder)
        step("inverse dynamics", 2, 4)
        loads = write_loads(outside, folder)
        motion = found["angles_unfiltered"]
        signals = inverse_dynamics(about, motion, cutoff_hz, motion.time.values[trial.covers(motion)], loads)
        complaints = 0
        if static_optimization == "opensim" and "moment_arms" in signals:
            step("static optimisation", 3, 4)
            more, complaints = static_optimization_of_opensim(
                about, motion, cutoff_hz, signals["moment_arms"], loads, folder
            )
            signals |= more
    if static_optimization == "own" and "moment_arms" in signals:
        step("static optimisation", 3, 4)
        signals |= optimize(signals)
    step("done", 4, 4)
    found["angles_unfiltered"], signals["angles"] = in_degrees(motion), in_degrees(signals["angles"])
    found |= {"forces": forces_signal(outside)} if outside else {}
    signals = {k: v.isel(time=trial.covers(v)) for k, v in found.items()} | signals
    residuals = residual_coordinates(about)
    said = {
        "backend": "opensim",
        "given": "markers" if trial.match else "angles",
        "model": {"file": Path(model).name, "mass_kg": about.mass_kg, "scale_factors": factors},
        "cutoff_hz": cutoff_hz,
        "accuracy": accuracy,
        "static_optimization": static_optimization,
        "markers": _matched(trial.match, gaps) if trial.match else {},
        "forces": {f.name: f.body for f in outside},
        "residuals": residuals,
        "findings": [dataclasses.asdict(f) for f in judge(signals, residuals, complaints=complaints)],
    }
    return Recording(signals, source=dataclasses.replace(trial.source, reader="simulate"), info={"simulation": said})


# -- inside ----------------------------------------------------------------------------------------------------------


def _check_options(
    markers: object,
    angles: object,
    cutoff_hz: float,
    accuracy: float,
    static: object,
    mass_kg: float | None,
    static_optimization: str,
) -> None:
    if (markers is None) == (angles is None):
        found = "neither is given" if markers is None else "both are given"
        raise OptionError(f"a simulation starts from markers or from angles, and {found}.", where="--markers, --angles")
    if static is not None and markers is None:
        raise OptionError("a static trial scales the model for markers; angles belong to a model that is scaled.")
    if not cutoff_hz > 0:
        raise OptionError(f"the cut-off must be above 0 Hz, and is {cutoff_hz:g}.", where="--cutoff-hz")
    if not 1e-10 <= accuracy <= 1e-2:
        raise OptionError(f"the accuracy must be between 1e-10 and 1e-2, and is {accuracy:g}.", where="accuracy")
    if static is not None and mass_kg is None:
        raise OptionError("scaling from a static trial needs the person's mass.", remedy="Give --mass-kg.")
    check_person(mass_kg, where="--mass-kg")
    if static_optimization not in SOLVERS:
        raise OptionError(f"is own, opensim or none, not '{static_optimization}'.", where="--static-optimization")


def _pose(
    trial: Trial, model: Model, mass_kg: float, accuracy: float, folder: Path
) -> tuple[Signals, list[ExternalForce], dict[str, str]]:
    """Angles, the forces checked and given their feet, and what was done to gaps."""
    bodies = _steppers(model, trial.forces)
    gaps: dict[str, str] = {}
    if trial.match is None:
        poses = {"angles_unfiltered": trial.movement, "places": body_places(model, trial.padded, bodies)}
        check_forces(trial.forces, poses["places"], mass_kg, trial.forces_from)
    else:
        markers, gaps = followed_markers(trial, trial.match, model)
        check_forces(trial.forces, markers, mass_kg, trial.forces_from)
        weights = {m: w for m, w in trial.match.weights.items() if m in markers.marker.values}
        poses = {"markers": markers} | inverse_kinematics(model, markers, weights, bodies, folder, accuracy)
    return poses, find_feet(trial.forces, poses.pop("places"), mass_kg, trial.forces_from), gaps


def _steppers(model: Model, forces: Sequence[ExternalForce]) -> list[str]:
    """Bodies that a force may act on: those that it is said of, and the feet where it is not."""
    feet = [b for b in model.bodies if b.startswith("calcn")] or [*model.bodies]
    return list(dict.fromkeys([*(f.body for f in forces if f.body), *feet]))


def _matched(match: MarkerMatch, gaps: Mapping[str, str]) -> dict[str, object]:
    return {
        "map": match.map.name,
        "used": match.used,
        "means": match.means,
        "unused_labels": list(match.unused_labels),
        "unmatched_markers": list(match.unmatched_markers),
        "bodies_without_marker": list(match.bare_bodies),
        "gaps": dict(gaps),
    }
