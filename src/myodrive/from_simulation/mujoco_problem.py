"""From joint angles, and forces or moments, to a `MuscleProblem` without OpenSim: a model of myo-sim in MuJoCo."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.errors import OptionError, SignalError
from myodrive.from_simulation.ground_forces import (
    ExternalForce,
    check_forces,
    external_forces,
    find_feet,
    place_forces,
)
from myodrive.from_simulation.mujoco_model import (
    FROM_OPENSIM,
    MODEL_HEIGHT_M,
    MODEL_MASS_KG,
    PELVIS_JOINTS,
    MujocoModel,
    load_mujoco_model,
)
from myodrive.from_simulation.muscle_problem import LEAST_ARM_M, MuscleProblem
from myodrive.from_simulation.simulate import muscle_problem
from myodrive.from_simulation.steps import smooth_motion
from myodrive.recording import Recording, make_signal

_IN_RAD = {"rad": 1.0, "deg": np.pi / 180, "m": 1.0}
_FORCE_UNITS = ("N m", "Nm", "N·m", "mixed")
_LEFT_OUT = ("pelvis_", "subtalar_", "mtp_")
_FEET = ("calcn_r", "calcn_l")
_OF_MUSCLES = {"muscle_lengths": "m", "muscle_velocities": "m/s", "active_force": "N", "passive_force": "N"}
Motion = dict[str, Float[np.ndarray, "time _"]]


def mujoco_problem(
    recording: Recording,
    model: str = "legs",
    *,
    cutoff_hz: float = 6.0,
    mass_kg: float | None = None,
    height_m: float | None = None,
    joint_names: Mapping[str, str] | None = None,
    force_on: Mapping[str, str] | None = None,
    load_kg: Mapping[str, float] | None = None,
    joints: Sequence[str] | None = None,
    passive: bool = False,
) -> MuscleProblem:
    """The problem of static optimisation of a recording with angles, and moments or forces, without OpenSim.

    The same as ``muscle_problem(simulate_with_mujoco(recording, …))``, for `solve_static_optimization`. Muscles that the
    model does not get right are named in ``problem.untrusted``, with the reason, and in the messages of the solution.

    Parameters
    ----------
    recording, model, cutoff_hz, mass_kg, height_m, joint_names, force_on, load_kg, joints
        See `simulate_with_mujoco`.
    passive : bool
        Let passive forces take their part. Without, they are left out, as in OpenSim's own tool.

    Raises
    ------
    MyodriveError
        See `simulate_with_mujoco`.
    """
    signals = simulate_with_mujoco(
        recording,
        model,
        cutoff_hz=cutoff_hz,
        mass_kg=mass_kg,
        height_m=height_m,
        joint_names=joint_names,
        force_on=force_on,
        load_kg=load_kg,
        joints=joints,
    )
    problem = muscle_problem(signals)
    return dataclasses.replace(problem, passive_force=signals["passive_force"].values) if passive else problem


def simulate_with_mujoco(
    recording: Recording,
    model: str = "legs",
    *,
    cutoff_hz: float = 6.0,
    mass_kg: float | None = None,
    height_m: float | None = None,
    joint_names: Mapping[str, str] | None = None,
    force_on: Mapping[str, str] | None = None,
    load_kg: Mapping[str, float] | None = None,
    joints: Sequence[str] | None = None,
) -> Recording:
    """Moments and muscle geometry of a movement that is known in joint angles, by a model of myo-sim in MuJoCo.

    Joints that the recording does not have are held still in the neutral pose and are not part of the result, nor are
    muscles that cross none of the others.

    Parameters
    ----------
    recording : Recording
        ``angles`` (or ``angles_unfiltered``, which goes first) named as in OpenSim's models: of the legs ``hip_flexion_r``,
        ``knee_angle_l``, … of Rajagopal2016; of the arm ``elv_angle``, ``shoulder_elv``, ``shoulder_rot``,
        ``elbow_flexion``, ``pro_sup``, ``deviation``, ``flexion`` of MoBL-ARMS. In deg or rad. With ``moments`` (N m) of
        these joints nothing else is needed; without, inverse dynamics takes ``forces`` as `simulate` and `read` give
        them, in OpenSim's frame. The legs need them and all six coordinates of the pelvis, translations in m. Of the arm
        of 1.70 m, the sternoclavicular joint is at (-0.076, 1.488, 0.026) m.
    model : "legs" or "arm"
        The arm is a right one, on an upright trunk; a left arm's angles are the same by their names.
    cutoff_hz : float
        Of the low-pass on the angles, as in `simulate`.
    mass_kg, height_m : float, optional
        Of the person: the model grows in all directions alike. Inverse dynamics needs them; without, moment arms are
        those of a man of 1.70 m.
    joint_names : dict, optional
        Name in the recording: name in the model.
    force_on : dict, optional
        Force: the body that it acts on. Of the legs, the foot is found by the name or the place.
    load_kg : dict, optional
        Body: what it carries, for instance ``{"thirdmc_r": 2.0}`` in the hand.
    joints : sequence of str, optional
        Those whose moments muscles have to make. By default all that are known, but not the subtalar and toe joints,
        which are locked in Rajagopal2016 too: markers hardly tell their angles, and ligaments bear much of their moments.

    Returns
    -------
    Recording
        ``angles`` (deg), ``moments`` (N m), ``moment_arms`` (time, joint, muscle; m), ``muscle_lengths``,
        ``muscle_velocities``, ``active_force`` at activation 1 and ``passive_force`` (N), named and signed as those of
        `simulate`. ``info["simulation"]`` has the options, ``held`` (joints held still) and ``untrusted`` (muscle: why).

    Raises
    ------
    MissingExtraError
        If `mujoco` or `myo-sim` is not installed.
    SignalError, OptionError
        If a signal is missing or in another unit, no joint is the model's, or the forces cannot be right.
    """
    where = recording.label
    inverse = "moments" not in recording
    if inverse and (mass_kg is None or height_m is None):
        raise OptionError(
            "inverse dynamics needs the person's mass and height.", where=where, remedy="Give mass_kg and height_m."
        )
    mass = MODEL_MASS_KG if mass_kg is None else mass_kg
    height = MODEL_HEIGHT_M if height_m is None else height_m
    about = load_mujoco_model(model, mass_kg=mass, height_m=height, load_kg=load_kg)
    _check_names(recording, joint_names, about)
    angles = _angles(recording, about, joint_names)
    posed = list(map(str, angles.joint.values))
    balanced = _balanced(posed, joints, where)
    if inverse:
        forces, moments = _forces(recording, about, posed, force_on), None
        clocks = [f.time for f in forces]
    else:
        forces, moments = [], _moments(recording, balanced, joint_names)
        balanced, clocks = list(map(str, moments.joint.values)), [moments.time.values]
    time = _common_time(angles, clocks, where)
    motion = with_followers(about, posed, smooth_motion(angles, cutoff_hz, time))
    if inverse and model == "legs":
        forces = _stand(forces, about, motion, time, mass, where)
    found = evaluate_motion(about, balanced, motion, [f for f in forces if f.body], time)
    if moments is not None:
        found["moments"] = moments.interp(time=time).values
    found["angles"] = np.degrees(motion["value"][:, [about.place[j] for j in balanced]])
    said = {
        "backend": "mujoco",
        "model": {"file": model, "mass_kg": mass, "height_m": height},
        "cutoff_hz": cutoff_hz,
        "held": [j for j in about.joints if j not in (*posed, *PELVIS_JOINTS)],
    }
    return _as_recording(recording, about, balanced, time, found, said)


# -- what is read ----------------------------------------------------------------------------------------------------


def _angles(recording: Recording, model: MujocoModel, names: Mapping[str, str] | None) -> xr.DataArray:
    """The angles of joints of the model, under its names, in rad and m."""
    signal = recording["angles_unfiltered" if "angles_unfiltered" in recording else "angles"]
    signal = _rename(signal.transpose("time", "joint"), model.joints, names)
    joints = [j for j in map(str, signal.joint.values) if j in model.joints]
    if not joints:
        raise SignalError(
            f"no angle is one of a joint of the {model.name}. Found: {', '.join(map(str, signal.joint.values))}.",
            where=recording.label,
            remedy=f"Say which is which with joint_names. The model has {', '.join(model.joints)}.",
        )
    signal = signal.sel(joint=joints)
    unit = signal.coords.get("unit", signal.attrs.get("units", "no unit"))
    units = [str(u) for u in np.broadcast_to(unit, len(joints))]
    wrong = [f"{j} in '{u}'" for j, u in zip(joints, units) if u not in _IN_RAD]
    if wrong:
        raise SignalError(f"angles must be in deg or rad, and are {', '.join(wrong)}.", where=recording.label)
    if not np.isfinite(signal.values).all():
        gaps = [j for j in joints if not np.isfinite(signal.sel(joint=j)).all()]
        raise SignalError(
            f"{', '.join(gaps)}: samples are missing.", where=recording.label, remedy="Fill the gaps or cut the trial."
        )
    return signal.astype(np.float64) * np.array([_IN_RAD[u] for u in units])


def _balanced(posed: Sequence[str], wanted: Sequence[str] | None, where: str) -> list[str]:
    """The joints whose moments muscles have to make; what acts at the pelvis are residuals."""
    if wanted is None:
        return [j for j in posed if not j.startswith(_LEFT_OUT)]
    unknown = [j for j in wanted if j not in posed or j in PELVIS_JOINTS]
    if unknown:
        raise OptionError(
            f"the angle of {', '.join(unknown)} is not known. Known: {', '.join(posed)}.", where=f"{where}, joints"
        )
    return list(wanted)


def _moments(recording: Recording, joints: Sequence[str], names: Mapping[str, str] | None) -> xr.DataArray:
    """The moments of these joints, as far as they are known, N m."""
    signal = recording["moments"].transpose("time", "joint")
    bare = [str(j).removesuffix("_moment").removesuffix("_force") for j in signal.joint.values]
    signal = _rename(signal.assign_coords(joint=bare), joints, names)
    known = [j for j in map(str, signal.joint.values) if j in joints]
    units = {str(signal.attrs.get("units", "N m"))}
    if not known:
        raise SignalError(
            f"no moment is of a joint whose angle is known. Moments: {', '.join(bare)}. Angles: {', '.join(joints)}.",
            where=recording.label,
            remedy="Say which is which with joint_names.",
        )
    signal = signal.sel(joint=known)
    if "unit" in signal.coords:
        units |= {str(u) for u in signal.unit.values}
    if units - set(_FORCE_UNITS):
        raise SignalError(
            f"moments must be in N m, and are in {', '.join(sorted(units - set(_FORCE_UNITS)))}.",
            where=recording.label,
            remedy="Multiply N m/kg by the mass, and divide N mm by 1000.",
        )
    return signal.astype(np.float64)


def _rename(signal: xr.DataArray, joints: Sequence[str], names: Mapping[str, str] | None) -> xr.DataArray:
    """Under the model's names: as the caller says, else as they are; MoBL-ARMS' own names lack the side."""
    said = [(names or {}).get(str(j), str(j)) for j in signal.joint.values]
    return signal.assign_coords(joint=[j if j in joints or f"{j}_r" not in joints else f"{j}_r" for j in said])


def _check_names(recording: Recording, names: Mapping[str, str] | None, model: MujocoModel) -> None:
    found = {
        str(j) for s in ("angles_unfiltered", "angles", "moments") if s in recording for j in recording[s].joint.values
    }
    unknown = [n for n in names or {} if n not in found] + [n for n in (names or {}).values() if n not in model.joints]
    if unknown:
        raise OptionError(
            f"joint_names has {', '.join(unknown)}, which is not there.",
            where=recording.label,
            remedy=f"The recording has {', '.join(sorted(found))}; the model has {', '.join(model.joints)}.",
        )


def _forces(
    recording: Recording, model: MujocoModel, joints: Sequence[str], on: Mapping[str, str] | None
) -> list[ExternalForce]:
    if model.name == "legs":
        missing = [j for j in PELVIS_JOINTS if j not in joints]
        if "forces" not in recording or missing:
            lack = "ground reactions ('forces')" if "forces" not in recording else f"the angles {', '.join(missing)}"
            raise SignalError(
                f"inverse dynamics of the legs needs {lack}.",
                where=recording.label,
                remedy="Give them, or a signal 'moments' with the joint moments.",
            )
    elif "forces" not in recording:
        return []
    forces = place_forces(external_forces(recording["forces"], recording.label), model.bodies, on)
    nowhere = [f.name for f in forces if not f.body]
    if nowhere and model.name == "arm":
        raise OptionError(
            f"nobody said where {', '.join(nowhere)} acts.",
            where=recording.label,
            remedy=f"Give force_on={{'{nowhere[0]}': 'thirdmc_r'}}, or another body of the arm.",
        )
    return forces


def _common_time(
    angles: xr.DataArray, others: Sequence[Float[np.ndarray, " time"]], where: str
) -> Float[np.ndarray, " time"]:
    """The frames of the angles in which everything else is known."""
    time = angles.time.values
    start, end = max([t[0] for t in others], default=time[0]), min([t[-1] for t in others], default=time[-1])
    common = time[(time >= start - 1e-9) & (time <= end + 1e-9)]
    if common.size < 2:
        raise SignalError(
            f"angles go from {time[0]:g} to {time[-1]:g} s, and forces or moments from {start:g} to {end:g} s.",
            where=where,
            remedy="Bring both onto one clock.",
        )
    return np.clip(common, start, end)


# -- what is computed ------------------------------------------------------------------------------------------------


def with_followers(model: MujocoModel, joints: Sequence[str], known: Motion) -> Motion:
    """The motion of all joints of a model, also of those that follow others.

    Parameters
    ----------
    model : MujocoModel
    joints : sequence of str
        Those whose motion is known; the others are held at zero.
    known : dict
        ``value``, ``speed`` and ``acceleration``, each (time, joint), in rad or m, and s.

    Returns
    -------
    dict
        The same of every joint, in the model's order, and ``slopes`` (time, coupling): how steeply followers follow.
    """
    motion = {name: np.zeros((values.shape[0], len(model.place))) for name, values in known.items()}
    for name, values in known.items():
        motion[name][:, [model.place[j] for j in joints]] = values
    slopes = []
    for c in model.couplings:
        other, own = model.place[c.follows], model.place[c.joint]
        curve = np.polynomial.Polynomial(c.polynomial)
        x, speed = motion["value"][:, other], motion["speed"][:, other]
        slope = curve.deriv()(x)
        motion["value"][:, own] = curve(x)
        motion["speed"][:, own] = slope * speed
        motion["acceleration"][:, own] = slope * motion["acceleration"][:, other] + curve.deriv(2)(x) * speed**2
        slopes.append(slope)
    motion["slopes"] = np.array(slopes).T
    return motion


def _stand(
    forces: Sequence[ExternalForce],
    model: MujocoModel,
    motion: Motion,
    time: Float[np.ndarray, " time"],
    mass_kg: float,
    where: str,
) -> list[ExternalForce]:
    """Refuse forces that cannot be right where the feet are, and find the foot of each that names none."""
    import mujoco

    data = mujoco.MjData(model.compiled)
    places = np.empty((time.size, model.compiled.nbody - 1, 3))
    for k in range(time.size):
        data.qpos[:] = motion["value"][k]
        mujoco.mj_kinematics(model.compiled, data)
        places[k] = data.xpos[1:] @ FROM_OPENSIM
    check_forces(forces, places, mass_kg, where)
    feet = places[:, [model.bodies.index(f) for f in _FEET]]
    axes: dict[str, Sequence[str]] = {"body": _FEET, "axis": "xyz"}
    return find_feet(forces, make_signal(feet, ("time", "body", "axis"), axes, units="m", time=time), mass_kg, where)


def evaluate_motion(
    model: MujocoModel,
    joints: Sequence[str],
    motion: Motion,
    forces: Sequence[ExternalForce],
    time: Float[np.ndarray, " time"],
) -> dict[str, np.ndarray]:
    """Moments and muscle geometry of a motion, with what the joints' followers add.

    Parameters
    ----------
    model : MujocoModel
    joints : sequence of str
        Those whose moments and moment arms are wanted.
    motion : dict
        As `with_followers` gives it.
    forces : sequence of ExternalForce
        Each with its body.
    time : array (time,)
        Of the motion, s.

    Returns
    -------
    dict
        ``moments`` (time, joint; N m), ``arms`` (time, joint, muscle; m), and of all muscles of the model, (time, muscle),
        ``muscle_lengths`` (m), ``muscle_velocities`` (m/s), ``active_force`` and ``passive_force`` (N).
    """
    import mujoco

    compiled, data = model.compiled, mujoco.MjData(model.compiled)
    reach = np.zeros((compiled.nv, len(joints)))  # of every degree of freedom, by how much it moves with each joint
    reach[[model.place[j] for j in joints], np.arange(len(joints))] = 1.0
    followers = [(i, c) for i, c in enumerate(model.couplings) if c.follows in joints]
    loads = [(compiled.body(f.body).id, *_in_world(f, time)) for f in forces]
    found = {"moments": np.empty((time.size, len(joints))), "arms": np.empty((time.size, len(joints), compiled.nu))}
    found |= {name: np.empty((time.size, compiled.nu)) for name in ("muscle_lengths", "muscle_velocities")}
    lever, outside = np.empty((compiled.nu, compiled.nv)), np.empty(compiled.nv)
    for k in range(time.size):
        for i, c in followers:
            reach[model.place[c.joint], joints.index(c.follows)] = motion["slopes"][k, i]
        data.qpos[:], data.qvel[:], data.qacc[:] = motion["value"][k], motion["speed"][k], motion["acceleration"][k]
        mujoco.mj_inverse(compiled, data)
        outside[:] = 0.0
        for body, force, torque, point in loads:
            mujoco.mj_applyFT(compiled, data, force[k], torque[k], point[k], body, outside)
        found["moments"][k] = (data.qfrc_inverse - outside) @ reach
        mujoco.mju_sparse2dense(lever, data.actuator_moment, data.moment_rownnz, data.moment_rowadr, data.moment_colind)
        found["arms"][k] = -(lever @ reach).T  # a muscle shortens the path, MuJoCo's lever lengthens it
        found["muscle_lengths"][k], found["muscle_velocities"][k] = data.actuator_length, lever @ data.qvel
    active, passive = model.hill.forces(found["muscle_lengths"], found["muscle_velocities"])
    return {**found, "active_force": active, "passive_force": passive}


def _in_world(force: ExternalForce, time: Float[np.ndarray, " time"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Force, torque and point at the times of the motion, in MuJoCo's frame."""
    parts = (force.force, force.torque, force.point)
    now = [np.column_stack([np.interp(time, force.time, column) for column in part.T]) for part in parts]
    force_now, torque, point = (np.ascontiguousarray(part @ FROM_OPENSIM.T) for part in now)
    return force_now, torque, point


# -- what is given back ----------------------------------------------------------------------------------------------


def _as_recording(
    recording: Recording,
    model: MujocoModel,
    joints: Sequence[str],
    time: Float[np.ndarray, " time"],
    found: Mapping[str, np.ndarray],
    said: Mapping[str, Any],
) -> Recording:
    crossing = np.abs(found["arms"]).max(axis=(0, 1)) > LEAST_ARM_M
    muscles = [m for m, crosses in zip(model.muscles, crossing) if crosses]
    if not muscles:
        raise SignalError(f"no muscle of the {model.name} crosses {', '.join(joints)}.", where=recording.label)
    over_joints: dict[str, Sequence[str]] = {"joint": joints}
    over_muscles: dict[str, Sequence[str]] = {"muscle": muscles}
    signals = {
        name: make_signal(found[name], ("time", "joint"), over_joints, units=unit, time=time)
        for name, unit in (("angles", "deg"), ("moments", "N m"))
    }
    signals["moment_arms"] = make_signal(
        found["arms"][..., crossing],
        ("time", "joint", "muscle"),
        {**over_joints, **over_muscles},
        units="m",
        time=time,
    )
    for name, unit in _OF_MUSCLES.items():
        signals[name] = make_signal(found[name][:, crossing], ("time", "muscle"), over_muscles, units=unit, time=time)
    untrusted = {m: why for m, why in model.untrusted.items() if m in muscles}
    return recording.replace(
        signals=signals,
        source=dataclasses.replace(recording.source, reader="simulate_with_mujoco"),
        alignments={},
        info={"simulation": {**said, "untrusted": untrusted}},
    )
