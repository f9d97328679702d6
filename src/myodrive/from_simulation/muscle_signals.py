"""Signals of joints and muscles as every simulation gives them, whoever computed them, and static optimisation on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.errors import SignalError
from myodrive.from_simulation.muscle_problem import LEAST_ARM_M, MUSCLE_RESERVE, MuscleProblem
from myodrive.from_simulation.static_optimization import solve_static_optimization
from myodrive.recording import Recording, make_signal

LEAST_ACTIVATION = 0.01  # the least control of Millard's and Thelen's muscles in OpenSim, which its own tool keeps to
FORCE_UNITS = {"rad": "N m", "m": "N", "": ""}  # of the generalised force, by the unit of the coordinate
_OF_MUSCLES = {"muscle_lengths": "m", "muscle_velocities": "m/s", "active_force": "N", "passive_force": "N"}

Signals = dict[str, xr.DataArray]


def over_joints(
    values: Float[np.ndarray, "time joint"],
    joints: Sequence[str],
    units: Sequence[str],
    time: Float[np.ndarray, " time"],
) -> xr.DataArray:
    """A signal of joints, each with its own unit."""
    signal = make_signal(values, ("time", "joint"), {"joint": list(joints)}, units="mixed", time=time)
    return signal.assign_coords(unit=("joint", list(units)))


def over_muscles(
    found: Mapping[str, np.ndarray], joints: Sequence[str], muscles: Sequence[str], time: Float[np.ndarray, " time"]
) -> Signals:
    """Muscle geometry and forces.

    Parameters
    ----------
    found : dict of str to array
        ``moment_arms`` (time, joint, muscle), ``muscle_lengths``, ``muscle_velocities``, ``active_force`` and
        ``passive_force`` (time, muscle); in m, m/s and N.
    joints, muscles : sequence of str
    time : array (time,)
    """
    labels: dict[str, Sequence[str]] = {"joint": list(joints), "muscle": list(muscles)}
    dims = ("time", "joint", "muscle")
    signals = {"moment_arms": make_signal(found["moment_arms"], dims, labels, units="m", time=time)}
    for name, unit in _OF_MUSCLES.items():
        signals[name] = make_signal(
            found[name], ("time", "muscle"), {"muscle": labels["muscle"]}, units=unit, time=time
        )
    return signals


def muscle_joints(moment_arms: xr.DataArray) -> list[str]:
    """The coordinates that at least one muscle acts on."""
    arms = moment_arms.transpose("joint", "time", "muscle").values
    return [str(j) for j in moment_arms.joint.values[np.abs(arms).max(axis=(1, 2)) > LEAST_ARM_M]]


def in_degrees(angles: xr.DataArray) -> xr.DataArray:
    """Angles in deg where they were in rad; translations stay."""
    turns = angles.unit.values == "rad"
    values = np.where(turns, np.degrees(angles.values), angles.values)
    units = np.where(turns, "deg", angles.unit.values)
    return angles.copy(data=values).assign_coords(unit=("joint", units))


def muscle_problem(recording: Recording, *, passive: bool = False) -> MuscleProblem:
    """The problem of static optimisation in a simulated recording, of the coordinates that muscles act on.

    Where the recording has moments of its own as well (Plug-in Gait in a C3D file that the simulation was joined to), those
    of the simulation are taken. Muscles that `simulate_with_mujoco` does not trust are named in ``untrusted``.

    Parameters
    ----------
    recording : Recording
    passive : bool
        Let passive forces take their part. Without, they are left out, as in OpenSim's own tool.

    Raises
    ------
    SignalError
        If the recording does not come from `simulate` or `simulate_with_mujoco`, or its model has no muscles.
    """
    arms = recording["moment_arms"]
    signals = {"moment_arms": arms, "active_force": recording["active_force"], "moments": _moments(recording, arms)}
    problem = _problem(signals)
    untrusted = recording.info.get("simulation", {}).get("untrusted", {})
    force = recording["passive_force"].values if passive else problem.passive_force
    return dataclasses.replace(problem, untrusted=untrusted, passive_force=force)


def optimize(signals: Mapping[str, xr.DataArray]) -> Signals:
    """Our own static optimisation: ``simulated``, ``muscle_forces`` and ``reserves``, as OpenSim's own tool would have them."""
    solution = solve_static_optimization(_problem(signals), bounds=(LEAST_ACTIVATION, 1.0))
    reserves = signals["moments"].copy()
    reserves.loc[{"joint": list(solution.problem.coordinates)}] = solution.reserves.values
    return {"simulated": solution.activations, "muscle_forces": solution.forces, "reserves": reserves}


def _moments(recording: Recording, moment_arms: xr.DataArray) -> xr.DataArray:
    """Those of all joints that muscles act on, under whatever name they stand beside others."""
    joints = set(muscle_joints(moment_arms))
    for name, signal in recording.signals.items():
        if name.startswith("moments") and joints <= set(map(str, signal.joint.values)):
            return signal
    raise SignalError(f"there are no moments of {', '.join(sorted(joints))}.", where=recording.label)


def _problem(signals: Mapping[str, xr.DataArray]) -> MuscleProblem:
    arms = signals["moment_arms"]
    joints = muscle_joints(arms)
    return MuscleProblem(
        muscles=[str(m) for m in arms.muscle.values],
        coordinates=joints,
        time=arms.time.values,
        torques=signals["moments"].sel(joint=joints).values,
        moment_arms=arms.sel(joint=joints).values,
        active_force=np.maximum(signals["active_force"].values, 0.0),
        reserves=np.full(len(joints), MUSCLE_RESERVE),
    )
