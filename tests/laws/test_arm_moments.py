"""Moments of an arm from its angles: they hold its weight, move its mass, and do the work that its energy asks for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from myodrive.conditioning import arm_moments
from myodrive.conditioning.arm_moments import CENTRES, GYRATION, LENGTHS, MASSES, ArmJoints
from myodrive.conditioning.features import Input, MotionOptions, motion_features
from myodrive.errors import OptionError, SignalError
from myodrive.from_motion.load_sharing import LoadSharing, Reads
from myodrive.from_motion.lstm import MotionLSTM
from myodrive.from_motion.networks import together
from myodrive.from_motion.training import Batch, Hyper, MotionNet, loaded
from myodrive.recording import Recording, Study, make_signal

RATE = 200.0
T = np.arange(0, 2, 1 / RATE)
JOINTS = ("elv_angle", "shoulder_elv", "shoulder_rot", "elbow_flexion")
BODY = {"height_m": 1.8, "mass_kg": 80.0, "upper_arm_m": 0.3, "forearm_m": 0.26, "hand_m": 0.08}
ABOUT = ("upper arm x", "upper arm y", "upper arm z", JOINTS[3])
WITH_MOMENTS: tuple[Input, ...] = ("angles", "moments")


def arm(plane: object = 90.0, elevation: object = 0.0, rotation: object = 0.0, elbow: object = 0.0) -> Recording:
    columns = [np.broadcast_to(np.asarray(a, dtype=float), T.shape) for a in (plane, elevation, rotation, elbow)]
    angles = make_signal(
        np.stack(columns, axis=1), ("time", "joint"), {"joint": list(JOINTS)}, units="deg", rate_hz=RATE
    )
    return Recording({"angles": angles}, info={"body": BODY})


def moments(recording: Recording, **options: object) -> np.ndarray:
    found = motion_features(recording, MotionOptions(inputs=WITH_MOMENTS, **options))
    about = [f"moment about {axis}" for axis in ABOUT]
    return found.sel(feature=about).values


def parts() -> zip[tuple[float, float, float]]:
    """Length, mass and distance of the centre from the near end of each segment."""
    lengths = np.array([BODY[name] for name in LENGTHS])
    return zip(lengths, MASSES * BODY["mass_kg"], CENTRES * lengths)


def test_an_arm_that_hangs_needs_no_moment() -> None:
    assert np.abs(moments(arm(plane=30.0, rotation=20.0))).max() < 1e-9


@pytest.mark.parametrize("plane", [0.0, 90.0])
def test_an_outstretched_arm_is_held_at_the_shoulder_and_its_forearm_by_the_elbow(plane: float) -> None:
    starts, shoulder, elbow = 0.0, 0.0, 0.0
    for i, (length, mass, centre) in enumerate(parts()):
        shoulder += 9.81 * mass * (starts + centre)
        elbow += 9.81 * mass * (starts + centre - BODY["upper_arm_m"]) * (i > 0)
        starts += length
    found = moments(arm(plane=plane, elevation=90.0, rotation=plane - 90.0))  # with the elbow's axis level
    np.testing.assert_allclose(found[:, 2], shoulder, rtol=1e-9)
    np.testing.assert_allclose(found[:, 3], elbow, rtol=1e-9)
    np.testing.assert_allclose(found[:, :2], 0.0, atol=1e-9)


@pytest.mark.parametrize("from_plane", [True, False])
def test_the_moments_do_the_work_that_goes_into_the_energy_of_the_arm(from_plane: bool) -> None:
    slow = [30 * np.sin(2 * np.pi * f * T + p) for f, p in ((0.5, 0.0), (0.7, 1.0), (0.6, 2.0), (0.8, 3.0))]
    plane, elevation, rotation, elbow = (slow[0] + 60, slow[1] + 60, slow[2], slow[3] + 60)
    recording = arm(plane, elevation, rotation, elbow)
    found = moments(recording, arm_joints=ArmJoints(from_plane=from_plane), cutoff_hz=15.0)

    axial = rotation - plane if from_plane else rotation
    upper = Rotation.from_euler("YXY", np.stack([plane, -elevation, axial], axis=1), degrees=True)
    fore = upper * Rotation.from_euler("Z", elbow[:, None], degrees=True)
    down = np.array([0.0, -1.0, 0.0])
    ways = [upper.apply(down), fore.apply(down), fore.apply(down)]
    energy, start = np.zeros(T.size), np.zeros((T.size, 3))
    for (length, mass, centre), way, gyration in zip(parts(), ways, GYRATION):
        speed = np.gradient(start + centre * way, T, axis=0)
        turning = np.gradient(way, T, axis=0)
        energy += mass * (9.81 * (start + centre * way)[:, 1] + 0.5 * (speed**2).sum(axis=1))
        energy += 0.5 * mass * (gyration * length) ** 2 * (turning**2).sum(axis=1)
        start = start + length * way
    turning = (upper[:-2].inv() * upper[2:]).as_rotvec() * RATE / 2  # about the upper arm's own axes
    rates = np.column_stack([turning, np.gradient(np.deg2rad(elbow), T)[1:-1]])
    power = np.pad((found[1:-1] * rates).sum(axis=1), 1)
    inside = slice(40, -40)
    expected = np.gradient(energy, T)[inside]
    np.testing.assert_allclose(power[inside], expected, atol=0.01 * np.abs(expected).max())
    about = [f"turning about {axis}" for axis in ABOUT]
    options = MotionOptions(inputs=WITH_MOMENTS, arm_joints=ArmJoints(from_plane=from_plane), cutoff_hz=15.0)
    told = motion_features(recording, options).sel(feature=about).values
    np.testing.assert_allclose(told[1:-1][inside], rates[inside], atol=0.01 * np.abs(rates).max())


def test_a_load_in_the_hand_asks_for_what_a_heavier_hand_would() -> None:
    recording = arm(90.0, 60 + 20 * np.sin(5 * T), 0.0, 60 + 30 * np.sin(4 * T))
    point = {"upper_arm_m": 0.3, "forearm_m": 0.26, "hand_m": 1e-9}  # a hand whose mass is all in one point
    light, heavy = (Recording(recording.signals, info={"body": {**BODY, **point, "mass_kg": m}}) for m in (0.001, 80.0))
    found = motion_features(light, MotionOptions(inputs=WITH_MOMENTS))
    of_load = found.sel(feature=[f"moment about {axis} of 1 kg in the hand" for axis in ABOUT]).values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arm_moments, "MASSES", np.array([0.0, 0.0, 1.0 / 80.0]))
        np.testing.assert_allclose(of_load, moments(heavy), atol=1e-4)


def test_a_heavier_person_needs_more_and_an_unknown_one_is_of_usual_size() -> None:
    recording = arm(elevation=60.0)
    heavy = Recording(recording.signals, info={"body": {**BODY, "mass_kg": 160.0}})
    np.testing.assert_allclose(moments(heavy), 2 * moments(recording))
    unknown = moments(Recording(recording.signals))
    assert 0.5 < np.median(unknown[:, 2] / moments(recording)[:, 2]) < 1.5


def test_moments_have_no_derivatives_and_do_not_stand_alone() -> None:
    found = motion_features(arm(), MotionOptions(inputs=WITH_MOMENTS, derivatives=1))
    assert found.feature.size == 2 * len(JOINTS) + 3 * 4 + 9 + 2  # posture: three axes, cosine and sine of the elbow
    with pytest.raises(OptionError, match="beside other inputs"):
        motion_features(arm(), MotionOptions(inputs=("moments",)))


def test_an_angle_that_is_missing_or_a_body_without_mass_is_named() -> None:
    with pytest.raises(SignalError, match="joints elbow are missing"):
        moments(arm(), arm_joints=ArmJoints(elbow="elbow"))
    with pytest.raises(SignalError, match="joints pronation are missing"):
        moments(arm(), arm_joints=ArmJoints(forearm="pronation"))
    with pytest.raises(SignalError, match=r"mass_kg is 0\.0"):
        moments(Recording(arm().signals, info={"body": {**BODY, "mass_kg": 0.0}}))


def test_another_load_changes_moments_and_activity_alike_and_nothing_else() -> None:
    n_time, n_batch, is_moment = 5, 40, np.array([0.0, 1.0, 1.0])
    values, activity = np.random.default_rng(0).normal(size=(2, n_time, n_batch, 3))
    there = jnp.ones((n_time, n_batch, 3), dtype=bool)
    batch = Batch(jnp.asarray(values), jnp.asarray(activity), there, there[..., 0], jnp.zeros(n_batch, jnp.int32))
    found = loaded(batch, Hyper(*[0.0] * 7, load_spread=0.3, moments=is_moment), jax.random.PRNGKey(1))
    times = np.asarray(found.targets) / activity
    assert np.log(times[0, :, 0]).std() == pytest.approx(0.3, rel=0.3)
    np.testing.assert_allclose(times, np.broadcast_to(times[:1, :, :1], times.shape), rtol=1e-5)
    np.testing.assert_allclose(found.inputs, np.where(is_moment > 0, times, 1.0) * values, rtol=1e-4, atol=1e-5)


def test_posture_is_that_of_the_upper_arm_and_of_what_is_beyond_it() -> None:
    raised = motion_features(arm(plane=90.0, elevation=90.0, elbow=90.0), MotionOptions(inputs=WITH_MOMENTS))
    told = {str(f): float(v[0]) for f, v in zip(raised.feature.values, raised.values.T)}
    np.testing.assert_allclose(
        [told[f"posture: upper arm y {way}"] for way in ("forwards", "up", "right")], [-1, 0, 0], atol=1e-9
    )
    assert told["posture: sin elbow_flexion"] == pytest.approx(1.0)
    assert told["posture: upper arm z right"] == pytest.approx(1.0)


def test_a_network_learns_from_them() -> None:
    motion = MotionOptions(inputs=WITH_MOMENTS)
    angle = 60 + 50 * np.sin(2 * np.pi * 0.7 * T)
    trials = []
    for k in range(4):
        recording = arm(elevation=angle + 5 * k)
        effort = np.abs(moments(recording)[:, 2:3])
        emg = make_signal(
            effort, ("time", "muscle"), {"muscle": ["deltoid"]}, units="1", rate_hz=RATE, stage="envelope"
        )
        trials.append(recording.with_signal("emg", emg).replace(subject="a", movement="m", repetition=str(k)))
    model = MotionLSTM(motion=motion, n_unit=8, n_folds=2, n_steps=150, window_s=1.0, batch_size=8).fit(Study(trials))
    found = model.estimate(trials[1])
    measured = model.measured(trials[1]).values
    assert np.corrcoef(found.activation.values[:, 0], measured[:, 0])[0, 1] > 0.9


def test_networks_of_muscles_that_share_them_stand_beside_the_others_and_are_saved_with_them(tmp_path: Path) -> None:
    some = [arm(elevation=60 + 40 * np.sin(2 * np.pi * f * T)) for f in (0.5, 0.6, 0.7, 0.8)]
    trials = [
        r.with_signal("emg", make_signal(np.abs(moments(r)[:, 2:]), ("time", "muscle"), {"muscle": ["a", "b"]}, units="1",
                                         rate_hz=RATE, stage="envelope")).replace(subject="s", movement="m", repetition=str(k))
        for k, r in enumerate(some)
    ]  # fmt: skip
    few = {"n_unit": 4, "n_folds": 2, "n_steps": 5, "window_s": 0.5, "batch_size": 4}
    motion = MotionOptions(inputs=WITH_MOMENTS)
    model = MotionLSTM(motion=motion, **few).fit(Study(trials))
    assert [[type(net).__name__ for net in nets] for nets in model.networks_] == [["MotionNet", "LoadSharing"]] * 2
    own = model.adapt(Study([trials[0].replace(subject="new")]))
    own.save(tmp_path / "own")
    again = MotionLSTM.load(tmp_path / "own")
    for who in ("s", "new"):
        asked = trials[1].replace(subject=who)
        assert again.estimate(asked).dataset.identical(own.estimate(asked).dataset)
    alone = MotionLSTM(motion=motion, load_sharing=False, **few).fit(Study(trials))
    assert [len(nets) for nets in alone.networks_] == [1, 1]


def test_muscles_that_share_count_more_where_nothing_like_it_was_trained_on() -> None:
    one, other = np.ones((2, 3, 1)), np.zeros((2, 3, 1))
    reads = Reads.of(list(motion_features(arm(), MotionOptions(inputs=WITH_MOMENTS)).feature.values.astype(str)))
    assert reads is not None and not reads.forearm
    sharing = LoadSharing.create(reads, 1, 1, 0.02, jax.random.PRNGKey(0))
    plain = MotionNet.create(None, 2, jnp.ones(1), 1, 1, jax.random.PRNGKey(0))
    found = together([one, other], [sharing, plain], np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(found[0, :, 0], [1 / 3, 0.75 / 1.75, 1 / 2])


def test_a_muscle_that_shares_is_weaker_when_it_shortens_and_where_it_is_short() -> None:
    features = motion_features(arm(), MotionOptions(inputs=WITH_MOMENTS)).feature.values.astype(str).tolist()
    reads = Reads.of(features)
    assert reads is not None
    sharing = LoadSharing.create(reads, 1, 1, 0.02, jax.random.PRNGKey(0))
    inputs = np.zeros((3, 1, len(features)), np.float32)
    inputs[1, 0, reads.turning[:3]] = 1.0
    inputs[2, 0, reads.directions[0]] = 1.0
    arms = sharing._arms(jnp.asarray(inputs))
    strength = sharing._strength(jnp.asarray(inputs), arms)[:, 0]
    shortening = np.asarray(arms[:3, 1, 0].sum(axis=0))
    np.testing.assert_allclose(np.sign(strength[1]), -np.sign(shortening))
    np.testing.assert_allclose(strength[0], 0.0)
    longer = dataclasses.replace(sharing, by_posture=sharing.by_posture.at[0].set(0.3))
    np.testing.assert_allclose(longer._strength(jnp.asarray(inputs), arms)[2, 0], 0.3, rtol=1e-5)


def test_a_causal_network_refuses_them() -> None:
    model = MotionLSTM(causal=True, motion=MotionOptions(inputs=WITH_MOMENTS))
    with pytest.raises(OptionError, match="causal"):
        model.fit(Study([arm()]))
