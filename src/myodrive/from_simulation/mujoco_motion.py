"""A motion in a model of myo-sim in MuJoCo: joints that follow others, inverse dynamics, and muscle geometry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.from_simulation.ground_forces import ExternalForce
from myodrive.from_simulation.mujoco_model import FROM_OPENSIM, MujocoModel
from myodrive.recording import make_signal

Motion = dict[str, Float[np.ndarray, "time _"]]


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


def places_of_bodies(model: MujocoModel, motion: Motion, time: Float[np.ndarray, " time"]) -> xr.DataArray:
    """Where the origins of all bodies are (time, body, axis), in m and in OpenSim's frame."""
    import mujoco

    data = mujoco.MjData(model.compiled)
    places = np.empty((time.size, len(model.bodies), 3))
    for k in range(time.size):
        data.qpos[:] = motion["value"][k]
        mujoco.mj_kinematics(model.compiled, data)
        places[k] = data.xpos[1:] @ FROM_OPENSIM
    axes: dict[str, Sequence[str]] = {"body": model.bodies, "axis": "xyz"}
    return make_signal(places, ("time", "body", "axis"), axes, units="m", time=time)


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
