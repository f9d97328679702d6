"""The legs and the arm in MuJoCo: each repair, what mechanics promises of any model, and refusals in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from myodrive import MyodriveError, solve_static_optimization
from myodrive.errors import MissingExtraError
from myodrive.from_simulation import mujoco_model
from myodrive.from_simulation.mujoco_model import (
    FROM_OPENSIM,
    PATH_REPAIRS,
    REPAIRS,
    compile_model,
    load_mujoco_model,
)
from myodrive.from_simulation.mujoco_muscles import hill_muscles
from myodrive.from_simulation.mujoco_simulate import simulate_with_mujoco
from myodrive.from_simulation.muscle_problem import MuscleProblem
from myodrive.from_simulation.muscle_signals import muscle_problem
from myodrive.recording import Recording, make_signal

installed = pytest.mark.skipif(
    find_spec("mujoco") is None or find_spec("myo_sim") is None,
    reason="the packages mujoco and myo-sim, of the extra mujoco, are not installed",
)
RATE_HZ = 100.0
T = np.arange(0, 1.0, 1 / RATE_HZ)
PERSON = {"mass_kg": 70.0, "height_m": 1.75}
PELVIS = dict.fromkeys(("pelvis_tilt", "pelvis_list", "pelvis_rotation", "pelvis_tx", "pelvis_ty", "pelvis_tz"), 0.0)
SWING = {  # deg; slow enough for the low-pass of 6 Hz to leave them as they are
    "hip_flexion_r": 20 + 15 * np.sin(2 * np.pi * T),
    "hip_adduction_r": 5 * np.cos(2 * np.pi * T),
    "knee_angle_r": 50 - 30 * np.cos(2 * np.pi * T),
    "ankle_angle_r": 10 * np.sin(2 * np.pi * T),
}
LIFT = {
    **dict.fromkeys(("shoulder_rot", "pro_sup"), 0.0),
    "elv_angle": 30.0,
    "shoulder_elv": 10.0,
    "elbow_flexion": 60 - 50 * np.cos(2 * np.pi * T),
}


def moving(angles: dict[str, Any], **signals: Any) -> Recording:
    """A recording of these angles, in deg."""
    values = np.column_stack([np.broadcast_to(v, T.shape) for v in angles.values()])
    signal = make_signal(values, ("time", "joint"), {"joint": list(angles)}, units="deg", rate_hz=RATE_HZ)
    units = ["m" if "_t" in j and "pelvis" in j and "tilt" not in j else "deg" for j in angles]
    return Recording({"angles": signal.assign_coords(unit=("joint", units)), **signals})


def moments(joints: list[str], values: np.ndarray, units: str = "N m") -> Any:
    """A signal of moments."""
    return make_signal(values, ("time", "joint"), {"joint": joints}, units=units, rate_hz=RATE_HZ)


def ground_reaction(newton: float, point: tuple[float, float, float]) -> Any:
    """A vertical force under the right foot, with a little shear and free moment."""
    columns = {
        "ground_force_r_vx": 0.1,
        "ground_force_r_vy": 1.0,
        "ground_force_r_vz": -0.05,
        "ground_torque_r_y": 0.01,
    }
    values = {k: np.full(T.size, v * newton) for k, v in columns.items()}
    values |= {f"ground_torque_r_{a}": np.zeros(T.size) for a in "xz"}
    values |= {f"ground_force_r_p{a}": np.full(T.size, p) for a, p in zip("xyz", point)}
    return make_signal(
        np.column_stack(list(values.values())), ("time", "channel"), {"channel": list(values)}, units="mixed", rate_hz=RATE_HZ
    )  # fmt: skip


# -- each repair -----------------------------------------------------------------------------------------------------


def lengths_m(model: Any, pose: dict[str, float]) -> np.ndarray:
    """Lengths of all muscles in a pose (deg), in m."""
    import mujoco

    data = mujoco.MjData(model)
    for name, value in pose.items():
        data.qpos[model.joint(name).qposadr[0]] = np.radians(value)
    for c in mujoco_model.find_couplings(model):
        other = data.qpos[model.joint(c.follows).qposadr[0]]
        data.qpos[model.joint(c.joint).qposadr[0]] = np.polyval(c.polynomial[::-1], other)
    mujoco.mj_fwdPosition(model, data)
    return data.actuator_length.copy()


def arms_mm(model: Any, muscle: str, joint: str, poses: list[dict[str, float]]) -> np.ndarray:
    """Moment arms about a joint in some poses (deg), from lengths alone."""
    i = model.actuator(muscle).id

    def slope(pose: dict[str, float]) -> float:
        step = 1e-2
        ahead, behind = (lengths_m(model, {**pose, joint: pose[joint] + s})[i] for s in (step, -step))
        return float(ahead - behind) / np.radians(2 * step)

    return np.array([-slope(pose) * 1e3 for pose in poses])


# What OpenSim 4.6 gives for Rajagopal2016.osim, mm: about the knee at 10, 40, 70 degrees with the hip flexed by 30, and
# about the hip at -20, 10, 40, 80 degrees with the knee straight
KNEE_MM = {"semimem_r": (35.80, 45.31, 44.12), "bfsh_r": (23.44, 32.58, 41.23), "vaslat_r": (-44.68, -39.39, -28.07)}
HIP_MM = {
    "psoas_r": (24.17, 25.01, 29.89, 34.31),
    "iliacus_r": (34.15, 35.40, 38.78, 44.21),
    "glmax1_r": (-50.86, -46.67, -43.62, -33.69),
    "glmax2_r": (-66.45, -59.30, -49.62, -32.94),
}


def knees_turn_where_they_should(model: Any) -> bool:
    poses = [{"hip_flexion_r": 30.0, "knee_angle_r": knee} for knee in (10.0, 40.0, 70.0)]
    return all(np.abs(arms_mm(model, m, "knee_angle_r", poses) - arms).max() < 1.0 for m, arms in KNEE_MM.items())


def hip_muscles_wrap(model: Any) -> bool:
    poses = [{"hip_flexion_r": hip} for hip in (-20.0, 10.0, 40.0, 80.0)]
    return all(np.abs(arms_mm(model, m, "hip_flexion_r", poses) - arms).max() < 0.5 for m, arms in HIP_MM.items())


def pelvis_is_straight(model: Any) -> bool:
    import mujoco

    turn = np.empty(9)
    mujoco.mju_quat2Mat(turn, model.body("pelvis").quat)
    return bool(np.allclose(turn.reshape(3, 3), FROM_OPENSIM, atol=1e-9))


def joints_are_free(model: Any) -> bool:
    """The moment at the toes is as large whichever way they turn, and speeding them up takes only their own inertia."""
    import mujoco

    flags = mujoco.mjtDisableBit
    model.opt.disableflags |= flags.mjDSBL_EQUALITY | flags.mjDSBL_LIMIT | flags.mjDSBL_CONTACT
    data, toe = mujoco.MjData(model), model.joint("mtp_angle_r").dofadr[0]

    def moment(speed: float, acceleration: float) -> float:
        data.qvel[toe], data.qacc[toe] = speed, acceleration
        mujoco.mj_inverse(model, data)
        return float(data.qfrc_inverse[toe])

    even = abs(moment(5, 0) - moment(-5, 0)) < 1e-6
    return even and moment(0, 1) - moment(0, 0) < 1e-3


def no_bone_is_wide(model: Any) -> bool:
    """The radius of gyration of a bone of under 300 g is under 3 cm."""
    light = (model.body_mass > 0) & (model.body_mass < 0.3)
    arm = [i for i in np.flatnonzero(light) if model.body(i).name.endswith("_r") and model.body(i).name != "radius_r"]
    return bool((np.sqrt(model.body_inertia[arm].max(axis=1) / model.body_mass[arm]) < 0.03).all())


def active_is_as_strong_as_passive(model: Any) -> bool:
    return bool((model.actuator_gainprm[:, 2] == model.actuator_biasprm[:, 2]).all())


def rotator_cuff_is_as_strong_as_published(model: Any) -> bool:
    strength = {m: model.actuator(m).gainprm[2] for m in ("INFSP", "TMIN")}
    return abs(strength["INFSP"] - 1075.8) < 1 and abs(strength["TMIN"] - 269.5) < 1


def every_muscle_can_pull(model: Any) -> bool:
    import mujoco

    data = mujoco.MjData(model)
    mujoco.mj_fwdPosition(model, data)
    i = model.actuator("LAT1").id
    span, curve = model.actuator_lengthrange[i], model.actuator_gainprm[i, :9]
    return -mujoco.mju_muscleGain(data.actuator_length[i], 0, span, model.actuator_acc0[i], curve) > 30


@installed
@pytest.mark.parametrize(
    ("repair", "model", "holds"),
    [
        ("restore_wraps", "legs", hip_muscles_wrap),
        ("centre_knees", "legs", knees_turn_where_they_should),
        ("straighten_pelvis", "legs", pelvis_is_straight),
        ("free_joints", "legs", joints_are_free),
        ("shrink_placeholders", "arm", no_bone_is_wide),
        ("match_active_to_passive", "arm", active_is_as_strong_as_passive),
        ("restore_strength", "arm", rotator_cuff_is_as_strong_as_published),
        ("restore_length_range", "arm", every_muscle_can_pull),
    ],
)
def test_what_the_conversion_got_wrong_is_right_and_is_not_without_its_repair(
    repair: str, model: str, holds: Callable[[Any], bool]
) -> None:
    assert holds(load_mujoco_model(model).compiled)
    of_paths, others = (tuple(r for r in some if r.__name__ != repair) for some in (PATH_REPAIRS, REPAIRS))
    without = compile_model(model, of_paths)
    for other in others:
        other(without)
    assert not holds(without)


@installed
def test_forces_of_the_legs_are_those_of_the_original_and_are_not_as_the_conversion_fitted_them() -> None:
    """What OpenSim 4.6 gives as `HIP_MM`, N: isometric, with the knee at 10, 40, 70 degrees and the hip flexed by 30."""
    original = {"semimem_r": (1723, 2187, 1442), "vasmed_r": (2652, 2617, 2050), "tibant_r": (1227, 1227, 1227)}
    about = load_mujoco_model("legs")
    poses = [{"hip_flexion_r": 30.0, "knee_angle_r": knee} for knee in (10.0, 40.0, 70.0)]
    lengths = np.array([lengths_m(about.compiled, pose) for pose in poses])
    fitted = hill_muscles(about.compiled, None)
    for muscle, force in original.items():
        i = about.muscles.index(muscle)
        # OpenSim takes pennation as less than it is
        ours, theirs = (
            h.forces(lengths, 0 * lengths, opensim_pennation=h is about.hill)[0][:, i] for h in (about.hill, fitted)
        )
        np.testing.assert_allclose(ours, force, rtol=0.01)
        assert np.abs(theirs / force - 1).max() > 0.1 or muscle == "tibant_r"


@installed
def test_a_reaching_arm_turns_with_the_inertia_of_an_arm() -> None:
    """About the vertical, an arm of 4 kg held out by 45 degrees has .1 to .3 kg m²; placeholders made it above 1."""
    reach = {"elv_angle": 30 + 20 * np.sin(2 * np.pi * T), "shoulder_elv": 45.0, "elbow_flexion": 20.0}
    moment = simulate_with_mujoco(moving(reach), "arm", **PERSON)["moments"].sel(joint="elv_angle_r")
    acceleration = -np.radians(20) * (2 * np.pi) ** 2 * np.sin(2 * np.pi * T)
    inertia = np.polyfit(acceleration[10:-10], moment.values[10:-10], 1)[0]
    assert 0.1 < inertia < 0.4


# -- what mechanics promises -----------------------------------------------------------------------------------------


@installed
def test_moment_arms_are_minus_the_slope_of_the_lengths() -> None:
    joints = list(SWING)
    found = simulate_with_mujoco(moving(SWING, moments=moments(joints, np.zeros((T.size, 4)))))
    speeds = np.gradient(np.radians(found["angles"].values), 1 / RATE_HZ, axis=0)
    by_arms = -np.einsum("tj,tjm->tm", speeds, found["moment_arms"].values)
    by_lengths = np.gradient(found["muscle_lengths"].values, 1 / RATE_HZ, axis=0)
    inside = slice(5, -5)
    assert np.abs(by_arms - found["muscle_velocities"].values)[inside].max() < 2e-3
    # A path that leaves a wrapping surface has a kink there: all but a few frames
    assert np.quantile(np.abs(by_arms - by_lengths)[inside], 0.99) < 5e-3


@installed
def test_the_work_of_the_moments_is_the_energy_of_the_arm() -> None:
    import mujoco

    angles = {**LIFT, "shoulder_elv": 40 + 20 * np.sin(2 * np.pi * T), "elv_angle": 30 + 10 * np.cos(2 * np.pi * T)}
    found = simulate_with_mujoco(moving(angles), "arm", **PERSON)
    about = load_mujoco_model("arm", **PERSON)
    about.compiled.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    data = mujoco.MjData(about.compiled)
    q = np.radians(found["angles"].values)
    speed = np.gradient(q, 1 / RATE_HZ, axis=0)
    energy = np.empty(T.size)
    for k in range(T.size):
        for i, joint in enumerate(map(str, found["angles"].joint.values)):
            data.qpos[about.place[joint]], data.qvel[about.place[joint]] = q[k, i], speed[k, i]
        for c in about.couplings:  # all of the arm's are straight lines
            for state in (data.qpos, data.qvel):
                state[about.place[c.joint]] = c.polynomial[1] * state[about.place[c.follows]]
        mujoco.mj_fwdPosition(about.compiled, data)
        mujoco.mj_fwdVelocity(about.compiled, data)
        mujoco.mj_energyPos(about.compiled, data)
        mujoco.mj_energyVel(about.compiled, data)
        energy[k] = data.energy.sum()
    power = (found["moments"].values * speed).sum(axis=1)
    change = np.gradient(energy, 1 / RATE_HZ)
    assert np.abs(power - change)[10:-10].max() < 0.02 * np.abs(change).max()


@installed
def test_a_ground_reaction_loads_each_joint_by_its_lever() -> None:
    """Moments of 800 N less those of 400 N are minus the force times how the point moves with the joint."""
    import mujoco

    pose = {**PELVIS, "hip_flexion_r": 30.0, "hip_adduction_r": 5.0, "knee_angle_r": 40.0, "ankle_angle_r": 10.0}
    about = load_mujoco_model("legs", **PERSON)
    data = mujoco.MjData(about.compiled)
    q = np.zeros(about.compiled.nv)
    for joint, value in pose.items():
        q[about.place[joint]] = np.radians(value)

    def foot(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        data.qpos[:] = q
        for c in about.couplings:
            data.qpos[about.place[c.joint]] = np.polyval(c.polynomial[::-1], q[about.place[c.follows]])
        mujoco.mj_kinematics(about.compiled, data)
        body = data.body("calcn_r")
        return body.xpos.copy(), body.xmat.reshape(3, 3).copy()

    origin, turned = foot(q)
    point = FROM_OPENSIM.T @ origin + (0.05, -0.05, 0.01)
    low, high = (
        simulate_with_mujoco(moving(pose, forces=ground_reaction(f, tuple(point))), **PERSON)["moments"].isel(time=50)
        for f in (400.0, 800.0)
    )
    local = turned.T @ (FROM_OPENSIM @ point - origin)
    step, force, torque = 1e-6, 400 * np.array([0.1, 1.0, -0.05]), 400 * np.array([0.0, 0.01, 0.0])
    for joint in ("hip_flexion_r", "hip_adduction_r", "knee_angle_r", "ankle_angle_r"):
        ahead, behind = q.copy(), q.copy()
        ahead[about.place[joint]] += step
        behind[about.place[joint]] -= step
        (o1, r1), (o2, r2) = foot(ahead), foot(behind)
        moved = FROM_OPENSIM.T @ ((o1 + r1 @ local) - (o2 + r2 @ local)) / (2 * step)
        spin = (r1 - r2) @ turned.T / (2 * step)
        turn = FROM_OPENSIM.T @ np.array([spin[2, 1], spin[0, 2], spin[1, 0]])
        expected = -(force @ moved + torque @ turn)
        assert float(high.sel(joint=joint) - low.sel(joint=joint)) == pytest.approx(expected, abs=1e-3)


@installed
def test_a_person_half_as_tall_has_half_the_moment_arms_and_lengths() -> None:
    joints = list(SWING)
    recording = moving(SWING, moments=moments(joints, np.zeros((T.size, 4))))
    tall, small = (simulate_with_mujoco(recording, height_m=h) for h in (1.7, 0.85))
    for name in ("moment_arms", "muscle_lengths"):
        np.testing.assert_allclose(small[name].values, tall[name].values / 2, atol=1e-9)
    np.testing.assert_allclose(small["active_force"].values[50], tall["active_force"].values[50], rtol=0.25, atol=60)


@installed
def test_lifting_a_weight_takes_elbow_flexors_and_more_of_them_the_heavier_it_is() -> None:
    def effort(kg: float) -> dict[str, float]:
        activations = simulate_with_mujoco(moving(LIFT), "arm", load_kg={"thirdmc_r": kg}, **PERSON)["simulated"]
        return {str(m): float(activations.sel(muscle=m).mean()) for m in activations.muscle.values}

    empty, loaded = effort(0.0), effort(3.0)
    for muscle in ("BRA", "BIClong", "BRD"):
        assert loaded[muscle] > 1.5 * empty[muscle]
    assert loaded["TRIlat"] < 0.03  # .01 is the least


@installed
def test_only_joints_that_are_known_and_muscles_that_cross_them_take_part() -> None:
    known = moments(["knee_angle_r", "ankle_angle_r"], np.tile([20.0, -30.0], (T.size, 1)))
    problem = muscle_problem(simulate_with_mujoco(moving(SWING, moments=known)))
    assert problem.coordinates == ("knee_angle_r", "ankle_angle_r")
    assert "soleus_r" in problem.muscles and "glmed1_r" not in problem.muscles and "soleus_l" not in problem.muscles


@installed
def test_passive_forces_take_their_part_only_when_asked() -> None:
    """With the hip extended and the knee flexed, the rectus femoris is stretched: the passive moment extends the knee."""
    stretched = {"hip_flexion_r": -15.0, "knee_angle_r": 100 + 5 * np.sin(2 * np.pi * T)}
    recording = moving(stretched, moments=moments(list(stretched), np.zeros((T.size, 2))))
    found = simulate_with_mujoco(recording, static_optimization="none")
    assert "simulated" not in found
    without, with_it = (muscle_problem(found, passive=passive) for passive in (False, True))
    i = without.muscles.index("recfem_r")
    assert (without.passive_force == 0).all() and (with_it.passive_force[:, i] > 50).all()


@installed
def test_muscles_that_the_model_does_not_get_right_are_named_in_the_solution() -> None:
    problem = muscle_problem(simulate_with_mujoco(moving(LIFT), "arm", **PERSON))
    assert {"DELT2", "DELT3", "PECM1", "PECM3", "LAT1", "TRIlong", "ECRL"} <= set(problem.untrusted)
    assert "DELT1" not in problem.untrusted and "BRA" not in problem.untrusted
    said = " ".join(solve_static_optimization(problem).messages)
    assert "Not to be trusted" in said and "DELT2" in said


def test_what_is_not_to_be_trusted_is_kept_in_the_file_of_a_problem(tmp_path: Path) -> None:
    problem = MuscleProblem(
        muscles=("a", "b"),
        coordinates=("elbow",),
        time=np.array([0.0]),
        torques=np.ones((1, 1)),
        moment_arms=np.ones((1, 1, 2)),
        active_force=np.ones((1, 2)),
        reserves=np.ones(1),
        untrusted={"b": "why"},
    )
    assert MuscleProblem.load(problem.save(tmp_path / "p.nc")).untrusted == {"b": "why"}


@installed
def test_loading_a_model_writes_nothing_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_mujoco_model("arm")
    assert list(tmp_path.iterdir()) == []


# -- refusals --------------------------------------------------------------------------------------------------------


def test_a_missing_extra_is_one_sentence_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    mujoco_model._compile.cache_clear()
    monkeypatch.setitem(sys.modules, "myo_sim", None)
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'myodrive\[mujoco\]'"):
        load_mujoco_model("legs")


STANDING = {**PELVIS, **SWING}
ZERO = np.zeros((T.size, 1))


@installed
@pytest.mark.parametrize(
    ("recording", "options", "words"),
    [
        (moving(SWING), {**PERSON, "model": "tail"}, "no model 'tail'.*legs or arm"),
        (moving({"wing": 3.0}), PERSON, "no angle is one of a joint of the legs. Found: wing"),
        (moving(SWING), {}, "needs the person's mass and height"),
        (moving(SWING), PERSON, "needs ground reactions"),
        (moving(SWING, forces=ground_reaction(700, (0, 0, 0))), PERSON, "needs the angles pelvis_tx"),
        (moving(SWING), {**PERSON, "mass_kg": 0.0}, "no person's"),
        (moving(SWING), {**PERSON, "height_m": 175.0}, "no person's. Give it in m"),
        (moving(SWING, moments=moments(["knee_angle_r"], ZERO, "Nmm/kg")), {}, "must be in N m, and are in Nmm/kg"),
        (moving(SWING, moments=moments(["elbow"], ZERO)), {}, "no moment is of a joint whose angle is known"),
        (moving(SWING, moments=moments(["knee_angle_r"], ZERO)), {"joints": ["elbow"]}, "elbow is not known"),
        (moving(SWING, moments=moments(["knee_angle_r"], ZERO)), {"joint_names": {"x": "y"}}, "joint_names has x, y"),
        (moving({**SWING, "knee_angle_r": np.where(T < 0.5, T, np.nan)}), PERSON, "knee_angle_r: samples are missing"),
        (moving(STANDING, forces=ground_reaction(0.7, (0, -0.9, 0.1))), PERSON, "not in N"),
        (moving(STANDING, forces=ground_reaction(700, (0, -900.0, 80.0))), PERSON, "are in mm"),
        (moving(LIFT, forces=ground_reaction(20, (0, 1, 0))), {**PERSON, "model": "arm"}, "nobody said where"),
        (moving(LIFT), {**PERSON, "model": "arm", "load_kg": {"tail": 1.0}}, "no body 'tail'"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused_in_one_sentence(
    recording: Recording, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(MyodriveError, match=words):
        simulate_with_mujoco(recording, **options)
