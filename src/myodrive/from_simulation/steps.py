"""The steps between markers and muscle activity, each one task of OpenSim's child, as labelled signals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy import signal as sps
from scipy.interpolate import make_interp_spline

from myodrive.errors import SignalError
from myodrive.from_simulation.muscle_problem import MUSCLE_RESERVE
from myodrive.from_simulation.muscle_signals import FORCE_UNITS, muscle_joints, over_joints, over_muscles
from myodrive.from_simulation.opensim import STARTING_S, Model, run_opensim
from myodrive.io.opensim_tables import read_storage, write_trc
from myodrive.recording import Recording, make_signal, sampling_rate

ACCURACY = 1e-5  # of inverse kinematics: OpenSim's default; at 1e-4 running angles stop 1 to 2 degrees short
FILTER_ORDER = 3  # run both ways: OpenSim's tools filter motion so, and only the same filter meets their results
OTHER_RESERVE = 100.0  # N m or N for one unit of control, where no muscle acts and something must
# Time limits: seconds a frame, about forty times what an idle core takes with 80 muscles, as the machine may be busy.
_IK_S, DYNAMICS_S, _OPTIMIZATION_S = 1.0, 0.2, 6.0
_FAILED = re.compile(r"could not find a solution|optimizer (failed|could not)|did not converge", re.IGNORECASE)


def inverse_kinematics(
    model: Model,
    markers: xr.DataArray,
    weights: Mapping[str, float],
    bodies: Sequence[str],
    folder: Path,
    accuracy: float = ACCURACY,
) -> dict[str, xr.DataArray]:
    """The pose that brings the markers of the model closest to those recorded.

    Parameters
    ----------
    model : Model
    markers : DataArray (time, marker, axis)
        In m, named as in the model, without NaN.
    weights : dict of str to float
        Of the markers that are followed.
    bodies : sequence of str
        Whose places are wanted.
    folder : path
        For the files that OpenSim reads.
    accuracy : float
        At which its optimiser stops; smaller is slower.

    Returns
    -------
    dict of str to DataArray
        ``angles_unfiltered`` (time, joint) in rad and m, ``marker_errors`` (time, marker) in m, ``places`` (time, body,
        axis) of the bodies' origins in m.
    """
    trc = write_trc(Recording({"markers": markers}), folder / "markers.trc")
    time = markers.time.values
    done = run_opensim(
        "inverse_kinematics",
        model.path,
        {"trc": trc, "weights": dict(weights), "bodies": list(bodies), "accuracy": accuracy},
        {"time": time},
        time_limit_s=STARTING_S + _IK_S * time.size,
    )
    angles = _over_coordinates(done.arrays["angles"], done.answer["coordinates"], model, time)
    errors = make_signal(
        done.arrays["errors"], ("time", "marker"), {"marker": done.answer["markers"]}, units="m", time=time
    )
    places = _over_bodies(done.arrays["places"], bodies, time)
    return {"angles_unfiltered": angles, "marker_errors": errors, "places": places}


def body_places(model: Model, angles: xr.DataArray, bodies: Sequence[str]) -> xr.DataArray:
    """Where the origins of bodies are (time, body, axis) in m, at angles of all free coordinates in rad and m."""
    time = angles.time.values
    done = run_opensim(
        "body_places",
        model.path,
        {"coordinates": [str(j) for j in angles.joint.values], "bodies": list(bodies)},
        {"value": angles.values},
        time_limit_s=STARTING_S + DYNAMICS_S * time.size,
    )
    return _over_bodies(done.arrays["places"], bodies, time)


def inverse_dynamics(
    model: Model, angles: xr.DataArray, cutoff_hz: float, time: Float[np.ndarray, " time"], loads: Path | None
) -> dict[str, xr.DataArray]:
    """Smooth the angles, and compute moments and muscle geometry at the times that are asked for.

    Parameters
    ----------
    model : Model
    angles : DataArray (time, joint)
        In rad and m, on a uniform clock, with some motion before and behind `time`.
    cutoff_hz : float
        See `smooth_motion`.
    time : array (time,)
    loads : path, optional
        The external loads, as OpenSim wants them.

    Returns
    -------
    dict of str to DataArray
        ``angles`` (all coordinates, in rad and m, those coupled to others following them), ``moments`` and
        ``moment_arms`` of the free coordinates, ``muscle_lengths``, ``muscle_velocities``, ``active_force``,
        ``passive_force``.
    """
    free = [c.name for c in model.free]
    motion = smooth_motion(angles.sel(joint=free), cutoff_hz, time)
    done = run_opensim(
        "dynamics",
        model.path,
        {"coordinates": free, "loads": loads or ""},
        {"time": time, **motion},
        time_limit_s=STARTING_S + DYNAMICS_S * time.size,
    )
    joints, muscles = done.answer["coordinates"], done.answer["muscles"]
    signals = {
        "angles": _over_coordinates(done.arrays["values"], done.answer["all_coordinates"], model, time),
        "moments": over_joints(done.arrays["moments"], joints, _force_units(model, joints), time),
    }
    return signals | (over_muscles(done.arrays, joints, muscles, time) if muscles else {})


def static_optimization_of_opensim(
    model: Model, angles: xr.DataArray, cutoff_hz: float, moment_arms: xr.DataArray, loads: Path | None, folder: Path
) -> tuple[dict[str, xr.DataArray], int]:
    """OpenSim's own static optimisation of the same motion, at the times of the moment arms.

    It is given the motion before and behind that stretch too: the spline that it differentiates is bad at its ends.

    Returns
    -------
    dict of str to DataArray
        ``simulated`` (time, muscle), ``muscle_forces`` (N) and ``reserves`` (time, joint; N m or N).
    int
        How many complaints of its optimiser it left in the log: it writes frames that failed without a mark.
    """
    free = [c.name for c in model.free]
    motion = smooth_motion(angles.sel(joint=free), cutoff_hz, angles.time.values)
    wanted = moment_arms.time.values
    with_muscle = set(muscle_joints(moment_arms))
    reserves = {c.name: MUSCLE_RESERVE if c.name in with_muscle else OTHER_RESERVE for c in model.free}
    done = run_opensim(
        "static_optimization",
        model.path,
        {
            "coordinates": free,
            "loads": loads or "",
            "reserves": reserves,
            "exponent": 2.0,
            "start_s": float(wanted[0]),
            "end_s": float(wanted[-1]),
        },
        {"time": angles.time.values, "value": motion["value"]},
        time_limit_s=STARTING_S + _OPTIMIZATION_S * wanted.size,
    )
    activation = _table(done.files, "so_StaticOptimization_activation.sto", folder)
    force = _table(done.files, "so_StaticOptimization_force.sto", folder)
    muscles = list(map(str, moment_arms.muscle.values))
    time, written = wanted, activation.time.values  # the tool writes eight decimals
    if written.size != time.size or np.abs(written - time).max() > 1e-5:
        raise SignalError(f"OpenSim's static optimisation wrote {written.size} of {time.size} frames.")
    simulated = make_signal(_pick(activation, muscles), ("time", "muscle"), {"muscle": muscles}, units="1", time=time)
    forces = make_signal(_pick(force, muscles), ("time", "muscle"), {"muscle": muscles}, units="N", time=time)
    taken = _pick(force, [f"reserve_{j}" for j in reserves])
    used = over_joints(taken, [*reserves], _force_units(model, [*reserves]), time)
    return {"simulated": simulated, "muscle_forces": forces, "reserves": used}, len(_FAILED.findall(done.log))


def smooth_motion(
    angles: xr.DataArray, cutoff_hz: float, time: Float[np.ndarray, " time"]
) -> dict[str, Float[np.ndarray, "time joint"]]:
    """Value, speed and acceleration at the times that are asked for.

    A Butterworth filter of third order runs over the motion both ways, so that nothing is delayed and a sine at the
    cut-off keeps half its amplitude; a spline of fifth degree through the result is differentiated.

    Raises
    ------
    SignalError
        If the motion is too short, or sampled too slowly for the cut-off.
    """
    rate = sampling_rate(angles)
    if cutoff_hz >= rate / 2:
        raise SignalError(f"the motion has {rate:g} frames per second, too few for a cut-off of {cutoff_hz:g} Hz.")
    if angles.sizes["time"] < 8:
        raise SignalError(f"the motion has {angles.sizes['time']} frames, too few to differentiate it twice.")
    sections = sps.butter(FILTER_ORDER, cutoff_hz, fs=rate, output="sos")
    padding = min(angles.sizes["time"] - 1, round(rate / cutoff_hz * FILTER_ORDER))
    smooth = sps.sosfiltfilt(sections, angles.values, axis=0, padlen=padding)
    spline = make_interp_spline(angles.time.values, smooth, k=5)
    return {name: spline(time, nu=order) for order, name in enumerate(("value", "speed", "acceleration"))}


# -- inside ----------------------------------------------------------------------------------------------------------


def _over_coordinates(values: np.ndarray, names: Sequence[str], model: Model, time: np.ndarray) -> xr.DataArray:
    unit = {c.name: c.units for c in model.coordinates}
    return over_joints(values, names, [unit[n] for n in names], time)


def _force_units(model: Model, names: Sequence[str]) -> list[str]:
    unit = {c.name: FORCE_UNITS[c.units] for c in model.coordinates}
    return [unit[n] for n in names]


def _over_bodies(places: np.ndarray, bodies: Sequence[str], time: np.ndarray) -> xr.DataArray:
    axes = ["x", "y", "z"]
    return make_signal(places, ("time", "body", "axis"), {"body": list(bodies), "axis": axes}, units="m", time=time)


def _table(files: Mapping[str, bytes], name: str, folder: Path) -> xr.DataArray:
    if name not in files:
        raise SignalError("OpenSim's static optimisation left no result.")
    (folder / name).write_bytes(files[name])
    return next(iter(read_storage(folder / name).signals.values()))


def _pick(table: xr.DataArray, labels: Sequence[str]) -> Float[np.ndarray, "time label"]:
    return table.sel({str(table.dims[1]): list(labels)}).values.astype(np.float64)
