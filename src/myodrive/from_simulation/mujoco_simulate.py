"""From joint angles, and forces or moments, to simulated muscle activity without OpenSim: a model of myo-sim in MuJoCo."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from myodrive.errors import OptionError, SignalError
from myodrive.from_simulation.findings import judge
from myodrive.from_simulation.ground_forces import ExternalForce, check_forces, find_feet, forces_signal
from myodrive.from_simulation.mujoco_input import Movement, match_movement, read_recording
from myodrive.from_simulation.mujoco_model import (
    MODEL_HEIGHT_M,
    MODEL_MASS_KG,
    PELVIS_JOINTS,
    MujocoModel,
    load_mujoco_model,
)
from myodrive.from_simulation.mujoco_motion import Motion, evaluate_motion, places_of_bodies, with_followers
from myodrive.from_simulation.muscle_problem import LEAST_ARM_M
from myodrive.from_simulation.muscle_signals import Signals, in_degrees, optimize, over_joints, over_muscles
from myodrive.from_simulation.person import person_of
from myodrive.from_simulation.steps import smooth_motion
from myodrive.recording import Recording

SOLVERS = ("own", "none")
_FEET = ["calcn_r", "calcn_l"]


def simulate_with_mujoco(
    recording: Recording | str | Path,
    model: str = "legs",
    *,
    forces: str | Path | None = None,
    cutoff_hz: float = 6.0,
    mass_kg: float | None = None,
    height_m: float | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    joint_names: Mapping[str, str] | None = None,
    force_on: Mapping[str, str] | None = None,
    load_kg: Mapping[str, float] | None = None,
    joints: Sequence[str] | None = None,
    static_optimization: str = "own",
) -> Recording:
    """Simulated muscle activity of a movement that is known in joint angles, by a model of myo-sim in MuJoCo.

    Joints that the recording does not have are held still in the neutral pose and are not part of the result, nor are
    muscles that cross none of the others.

    Parameters
    ----------
    recording : Recording or path
        ``angles`` (or ``angles_unfiltered``, which goes first) named as in OpenSim's models: of the legs ``hip_flexion_r``,
        ``knee_angle_l``, … of Rajagopal2016; of the arm ``elv_angle``, ``shoulder_elv``, ``shoulder_rot``,
        ``elbow_flexion``, ``pro_sup``, ``deviation``, ``flexion`` of MoBL-ARMS. In deg or rad. With ``moments`` (N m) of
        these joints nothing else is needed; without, inverse dynamics takes ``forces`` as `simulate` and `read` give
        them, in OpenSim's frame. The legs need them and all six coordinates of the pelvis, translations in m. Of the arm
        of 1.70 m, the sternoclavicular joint is at (-0.076, 1.488, 0.026) m. Angles and moments of Plug-in Gait, of a
        C3D file, go through `from_plug_in_gait`.
    model : "legs" or "arm"
        The arm is a right one, on an upright trunk; a left arm's angles are the same by their names.
    forces : path, optional
        Of forces in a file of their own (MOT, STO).
    cutoff_hz : float
        Of the low-pass on the angles, as in `simulate`.
    mass_kg, height_m : float, optional
        Of the person: the model grows in all directions alike. By default as a C3D file of Plug-in Gait says. Inverse
        dynamics needs them; without, moment arms are those of a man of 1.70 m.
    start_s, end_s : float, optional
        The stretch that is simulated; by default all in which everything is known.
    joint_names : dict, optional
        Name in the recording: name in the model.
    force_on : dict, optional
        Force: the body that it acts on. Of the legs, the foot is found by the name or the place.
    load_kg : dict, optional
        Body: what it carries, for instance ``{"thirdmc_r": 2.0}`` in the hand.
    joints : sequence of str, optional
        Those whose moments muscles have to make. By default all that are known, but not the subtalar and toe joints,
        which are locked in Rajagopal2016 too: markers hardly tell their angles, and ligaments bear much of their moments.
    static_optimization : "own" or "none"
        Whether `solve_static_optimization` is called, with OpenSim's least activation of .01; with "none" ``simulated``,
        ``muscle_forces`` and ``reserves`` are missing. For other options see `muscle_problem`.

    Returns
    -------
    Recording
        ``angles_unfiltered`` and ``angles`` (deg), ``forces`` where inverse dynamics took them, ``moments`` (N m),
        ``moment_arms`` (time, joint, muscle; m), ``muscle_lengths``, ``muscle_velocities``, ``active_force`` at activation
        1 and ``passive_force`` (N), ``simulated`` (1), ``muscle_forces`` (N), ``reserves`` (N m), named and signed as
        those of `simulate`. ``info["simulation"]`` has the options, ``held`` (joints held still), ``untrusted`` (muscle:
        why) and ``findings``.

    Raises
    ------
    MissingExtraError
        If `mujoco` or `myo-sim` is not installed.
    SignalError, OptionError
        If a signal is missing or in another unit, no joint is the model's, or the forces cannot be right.
    """
    if static_optimization not in SOLVERS:
        raise OptionError(f"is {' or '.join(SOLVERS)}, not '{static_optimization}'.", where="--static-optimization")
    recording = read_recording(recording, forces, mass_kg)
    size, notes = _size(recording, model, mass_kg, height_m)
    about = load_mujoco_model(model, mass_kg=size["mass_kg"], height_m=size["height_m"], load_kg=load_kg)
    moves = match_movement(
        recording, about, joint_names=joint_names, joints=joints, force_on=force_on, stretch=(start_s, end_s)
    )
    motion = with_followers(about, moves.posed, smooth_motion(moves.angles, cutoff_hz, moves.time))
    outside = moves.forces
    if outside and model == "legs":
        outside = _stand(outside, about, motion, moves.time, size["mass_kg"], recording.label)
    signals = _signals(about, moves, motion, outside, recording.label)
    signals |= optimize(signals) if static_optimization == "own" else {}
    held = [j for j in about.joints if j not in (*moves.posed, *PELVIS_JOINTS)]
    notes += [f"Held still, since nothing tells their angles: {', '.join(held)}."] if held else []
    muscles = signals["active_force"].muscle.values
    untrusted = {m: why for m, why in about.untrusted.items() if m in muscles}
    said = {
        "backend": "mujoco",
        "given": "angles" if moves.moments is None else "angles and moments",
        "model": {"file": model, **size},
        "cutoff_hz": cutoff_hz,
        "static_optimization": static_optimization,
        "markers": {},
        "forces": {f.name: f.body for f in outside},
        "residuals": [],
        "held": held,
        "notes": notes,
        "untrusted": untrusted,
        "findings": [dataclasses.asdict(f) for f in judge(signals, untrusted=untrusted)],
    }
    return recording.replace(
        signals=signals,
        source=dataclasses.replace(recording.source, reader="simulate_with_mujoco"),
        alignments={},
        info={"simulation": said},
    )


# -- inside ----------------------------------------------------------------------------------------------------------


def _size(
    recording: Recording, model: str, mass_kg: float | None, height_m: float | None
) -> tuple[dict[str, float], list[str]]:
    """Mass and height, as given, or as the file says, or of the model; and what is to be said of that."""
    given = {name: value for name, value in (("mass_kg", mass_kg), ("height_m", height_m)) if value is not None}
    known = person_of(recording) | given
    if "moments" not in recording and len(known) < 2:
        raise OptionError(
            "inverse dynamics needs the person's mass and height.",
            where=recording.label,
            remedy="Give mass_kg and height_m (--mass-kg, --height-m).",
        )
    size = {"mass_kg": MODEL_MASS_KG, "height_m": MODEL_HEIGHT_M} | known
    why = "as was given" if "height_m" in given else "as the file says" if "height_m" in known else "as none was given"
    told = f"The {model} of a person of {size['height_m']:.2f} m, {why}: moment arms grow with the height"
    return size, [f"{told}; the muscles are as strong as those of an adult of {MODEL_MASS_KG:.0f} kg."]


def _stand(
    forces: Sequence[ExternalForce],
    model: MujocoModel,
    motion: Motion,
    time: Float[np.ndarray, " time"],
    mass_kg: float,
    where: str,
) -> list[ExternalForce]:
    """Refuse forces that cannot be right where the feet are, and find the foot of each that names none."""
    places = places_of_bodies(model, motion, time)
    check_forces(forces, places, mass_kg, where)
    return find_feet(forces, places.sel(body=_FEET), mass_kg, where)


def _signals(
    model: MujocoModel, moves: Movement, motion: Motion, outside: Sequence[ExternalForce], where: str
) -> Signals:
    """Of the joints that are balanced, and of the muscles that cross one of them."""
    joints, time = moves.balanced, moves.time
    found = evaluate_motion(model, joints, motion, [f for f in outside if f.body], time)
    crossing = np.abs(found["arms"]).max(axis=(0, 1)) > LEAST_ARM_M
    muscles = [m for m, crosses in zip(model.muscles, crossing) if crosses]
    if not muscles:
        raise SignalError(f"no muscle of the {model.name} crosses {', '.join(joints)}.", where=where)
    angles = np.degrees(motion["value"][:, [model.place[j] for j in joints]])
    moments = found["moments"] if moves.moments is None else moves.moments.values
    of_muscles = {name: values[..., crossing] for name, values in found.items() if name != "moments"}
    inside = slice(time[0] - 1e-9, time[-1] + 1e-9)
    return {
        "angles_unfiltered": in_degrees(moves.angles.sel(time=inside)),
        "angles": over_joints(angles, joints, ["deg"] * len(joints), time),
        "moments": over_joints(moments, joints, ["N m"] * len(joints), time),
        **({"forces": forces_signal(outside)} if outside else {}),
        **over_muscles({**of_muscles, "moment_arms": of_muscles["arms"]}, joints, muscles, time),
    }
