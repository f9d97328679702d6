"""Features of a movement: they never wrap, cross no gap, know no body size, and their names are stable."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from myodrive.conditioning.features import JointRotation, MotionOptions, derivative_of, motion_features
from myodrive.conditioning.pose import ArmMarkers
from myodrive.conditioning.swivel import swivel_angle
from myodrive.errors import OptionError, SignalError
from myodrive.recording import Recording, make_signal

RATE = 100.0
T = np.arange(0, 2, 1 / RATE)
DOWN = (0.0, 0.0, -1.0)


def angles(**joints: np.ndarray) -> Recording:
    values = np.stack(list(joints.values()), axis=1)
    return Recording(
        {"angles": make_signal(values, ("time", "joint"), {"joint": list(joints)}, units="deg", rate_hz=RATE)}
    )


def arm_points(swivel: np.ndarray, flexion: float = 1.2, turn: Rotation | None = None) -> dict[str, np.ndarray]:
    """An arm of 30 and 25 cm whose hand is in front of the shoulder, its elbow turned about that line (z is up)."""
    upper, fore = 0.30, 0.25
    reach = np.sqrt(upper**2 + fore**2 + 2 * upper * fore * np.cos(flexion))
    along = (upper**2 + reach**2 - fore**2) / (2 * reach)
    off = np.sqrt(max(upper**2 - along**2, 0.0))
    shoulder = np.tile([0.1, 0.2, 1.4], (swivel.size, 1))
    n, u = np.array([1.0, 0.0, 0.0]), np.array(DOWN)
    side = np.cross(n, u)
    elbow = shoulder + along * n + off * (np.cos(swivel)[:, None] * u + np.sin(swivel)[:, None] * side)
    wrist = shoulder + reach * n
    points = {
        "shoulder": shoulder, "elbow": elbow, "wrist": wrist, "hand": wrist + np.array([0.08, 0.0, 0.0]),
        "hand_radial": wrist + np.array([0.08, 0.0, 0.04]), "hand_ulnar": wrist + np.array([0.08, 0.0, -0.04]),
    }  # fmt: skip
    return points if turn is None else {k: turn.apply(v) for k, v in points.items()}


def marked(points: dict[str, np.ndarray], size: float = 1.0, **attrs: str) -> Recording:
    values = 1000 * size * np.stack(list(points.values()), axis=1)
    labels = {"marker": list(points), "axis": list("xyz")}
    return Recording(
        {"markers": make_signal(values, ("time", "marker", "axis"), labels, units="mm", rate_hz=RATE, **attrs)}
    )


# -- angles ----------------------------------------------------------------------------------------------------------


def test_positions_come_first_then_velocities_then_accelerations() -> None:
    found = motion_features(angles(a=T, b=2 * T), MotionOptions())
    names = found.feature.values.tolist()
    assert names == ["a", "b", "a velocity", "b velocity", "a acceleration", "b acceleration"]
    assert [derivative_of(n) for n in names] == [0, 0, 1, 1, 2, 2]
    assert np.allclose(found.sel(feature="b velocity"), 2.0)


def test_radians_and_degrees_give_the_same_features() -> None:
    degrees = angles(a=60 * np.sin(T))
    radians = degrees.with_signal("angles", np.deg2rad(degrees["angles"]).assign_attrs(units="rad"))
    options = MotionOptions(derivatives=2)
    assert np.allclose(motion_features(degrees, options), motion_features(radians, options))


def test_an_angle_that_turns_full_circle_has_features_without_a_jump() -> None:
    wrapped = (200 * T + 180) % 360 - 180
    options = MotionOptions(circular=("crank",), derivatives=1)
    found = motion_features(angles(crank=wrapped), options)
    assert found.feature.values.tolist() == ["sin crank", "cos crank", "sin crank velocity", "cos crank velocity"]
    assert np.abs(np.diff(found.values[:, :2], axis=0)).max() < 0.05
    assert np.abs(found.sel(feature="sin crank velocity")).max() < 1.05 * np.deg2rad(200)


def test_an_angle_that_has_wrapped_is_refused_with_a_remedy() -> None:
    with pytest.raises(SignalError, match=r"crank.*wrapped.*circular"):
        motion_features(angles(crank=(200 * T + 180) % 360 - 180), MotionOptions())


def test_a_shoulder_that_passes_gimbal_lock_has_smooth_features() -> None:
    """The arm swings past hanging down, where plane and axial rotation jump by half a turn and cancel."""
    elevation = 30 * np.cos(2 * np.pi * T)
    past = elevation < 0
    three = {"plane": np.where(past, 180.0, 0.0), "elevation": np.abs(elevation), "axial": np.where(past, -180.0, 0.0)}
    shoulder = JointRotation(name="shoulder", joints=("plane", "elevation", "axial"), sequence="YXY")
    found = motion_features(angles(**three), MotionOptions(rotations=(shoulder,), derivatives=1))
    assert found.sizes["feature"] == 12
    assert np.abs(np.diff(found.values[:, :6], axis=0)).max() < 0.05


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (MotionOptions(joints=("knee",)), "knee.*missing.*elbow"),
        (MotionOptions(inputs=("pose",)), "no signal 'markers'"),
        (MotionOptions(inputs=("orientation",)), "no signal 'orientation'"),
    ],
)
def test_what_is_missing_is_named(options: MotionOptions, said: str) -> None:
    with pytest.raises(SignalError, match=said):
        motion_features(angles(elbow=T), options)


def test_angles_without_a_known_unit_are_refused() -> None:
    recording = angles(elbow=T)
    with pytest.raises(SignalError, match="deg or rad"):
        motion_features(recording.with_signal("angles", recording["angles"].assign_attrs(units="1")), MotionOptions())


def test_joints_of_a_file_with_several_units_have_each_its_own() -> None:
    recording = angles(knee=np.full(T.size, 0.5), slide=np.full(T.size, 20.0))
    mixed = recording["angles"].assign_attrs(units="mixed").assign_coords(unit=("joint", ["rad", "mm"]))
    found = motion_features(recording.with_signal("angles", mixed), MotionOptions(derivatives=0))
    assert np.allclose(found, [np.rad2deg(0.5), 0.02])


def test_no_feature_crosses_a_gap() -> None:
    values = 60 * np.sin(3 * T)
    with_gap = np.where((T > 0.9) & (T < 1.1), np.nan, values)
    beyond = np.where(T >= 1.1, values + 500, with_gap)
    first, second = (motion_features(angles(a=v), MotionOptions()) for v in (with_gap, beyond))
    assert np.isnan(first.values[(T > 0.91) & (T < 1.09)]).all()
    assert np.allclose(first.values[T <= 0.9], second.values[T <= 0.9])


# -- hand and swivel -------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 2.0))
def test_pose_and_swivel_do_not_know_the_size_of_the_body(size: float) -> None:
    options = MotionOptions(inputs=("pose", "swivel"), up="z")
    points = arm_points(0.8 * np.sin(3 * T))
    small, large = (motion_features(marked(points, s), options) for s in (1.0, size))
    assert np.allclose(small, large, atol=1e-6)


def test_a_known_body_gives_the_length_of_the_arm() -> None:
    options = MotionOptions(inputs=("position",), derivatives=0)
    recording = marked(arm_points(np.zeros(T.size)))
    known = recording.replace(info={"body": {"upper_arm_m": 0.6, "forearm_m": 0.5}})
    assert np.allclose(motion_features(recording, options), 2 * motion_features(known, options))


@settings(max_examples=30, deadline=None)
@given(st.floats(-np.pi, np.pi), st.floats(0.3, 2.5))
def test_the_swivel_angle_is_that_by_which_the_elbow_was_turned(angle: float, flexion: float) -> None:
    points = arm_points(np.array([angle]), flexion)
    found = swivel_angle(points["shoulder"], points["elbow"], points["wrist"], down=DOWN)
    assert found.sin[0] == pytest.approx(np.sin(angle), abs=1e-9)
    assert found.cos[0] == pytest.approx(np.cos(angle), abs=1e-9)


def test_the_swivel_angle_turns_with_nothing_but_the_elbow() -> None:
    """Turned about the vertical, all of the arm keeps its swivel angle."""
    swivels = np.linspace(-3, 3, 50)
    points = arm_points(swivels, turn=Rotation.from_euler("z", 70, degrees=True))
    found = swivel_angle(points["shoulder"], points["elbow"], points["wrist"], down=DOWN)
    assert np.allclose(found.angle_rad, swivels)


def test_a_full_turn_of_the_elbow_has_no_jump() -> None:
    options = MotionOptions(inputs=("swivel",), derivatives=1, up="z")
    found = motion_features(marked(arm_points(np.pi * 2 * T)), options)
    assert np.abs(np.diff(found.sel(feature=["sin swivel", "cos swivel"]).values, axis=0)).max() < 0.1
    assert np.abs(found.sel(feature="sin swivel velocity")).max() < 1.1 * np.pi * 2


def test_a_straight_arm_keeps_the_swivel_angle_it_had() -> None:
    bent = np.where(np.abs(T - 1) < 0.3, 0.0, 1.2)
    noise = np.random.default_rng(0).normal(0, 1e-4, (T.size, 3))
    rows = [{k: v[0] for k, v in arm_points(np.array([0.7]), f).items()} for f in bent]
    points = {k: np.stack([row[k] for row in rows]) for k in rows[0]}
    points["elbow"] = points["elbow"] + noise
    found = swivel_angle(points["shoulder"], points["elbow"], points["wrist"], down=DOWN)
    assert np.abs(found.angle_rad - 0.7).max() < 0.01
    assert found.weight[T.size // 2] < 0.05
    assert found.weight[0] > 0.9


def test_an_arm_that_is_always_straight_has_finite_features_of_no_weight() -> None:
    points = arm_points(np.zeros(T.size), flexion=0.0)
    found = motion_features(marked(points), MotionOptions(inputs=("swivel",), up="z"))
    assert np.isfinite(found.values).all()
    assert float(found.sel(feature="swivel weight").max()) < 1e-5


def test_a_hand_that_passes_below_the_shoulder_has_features_without_a_jump() -> None:
    """There the direction that the angle is measured from turns by half a circle."""
    tilt = Rotation.from_euler("y", 90 + 40 * np.cos(np.pi * T)[:, None], degrees=True)
    still = arm_points(np.full(T.size, 1.0))
    points = {k: tilt.apply(v - still["shoulder"]) for k, v in still.items()}
    found = swivel_angle(points["shoulder"], points["elbow"], points["wrist"], down=DOWN)
    assert np.isfinite(found.sin).all()
    assert found.weight.min() < 0.2
    assert np.hypot(np.diff(found.sin), np.diff(found.cos)).max() < 0.5


def test_a_gap_of_a_marker_stays_a_gap() -> None:
    points = arm_points(0.5 * np.sin(T))
    points["elbow"] = np.where(((T > 0.9) & (T < 1.1))[:, None], np.nan, points["elbow"])
    found = motion_features(marked(points, up="z"), MotionOptions(inputs=("swivel", "position"), derivatives=0))
    assert np.isnan(found.sel(feature="sin swivel").values).sum() == 19
    assert np.isfinite(found.sel(feature="hand x").values).all()


def test_markers_are_found_by_name_given_by_name_and_missed_by_name() -> None:
    points = arm_points(np.zeros(T.size))
    options = MotionOptions(inputs=("pose",), derivatives=0)
    wanted = motion_features(marked(points), options)
    labels = {"shoulder": "Sub:R.Shoulder", "hand_radial": "RHand_Radial"}
    assert np.allclose(motion_features(marked({labels.get(k, k): v for k, v in points.items()}), options), wanted)
    renamed = {k.replace("shoulder", "M1"): v for k, v in points.items()}
    with pytest.raises(SignalError, match=r"point 'shoulder'.*M1.*ArmMarkers"):
        motion_features(marked(renamed), options)
    given = MotionOptions(inputs=("pose",), derivatives=0, arm=ArmMarkers(shoulder=("M1",)))
    assert np.allclose(motion_features(marked(renamed), given), wanted)


def test_without_a_marker_on_the_hand_the_wrist_stands_for_it() -> None:
    points = {k: v for k, v in arm_points(np.zeros(T.size)).items() if not k.startswith("hand")}
    points |= {"STYLr": points["wrist"] + np.array([0, 0, 0.03]), "STYLu": points.pop("wrist") - np.array([0, 0, 0.03])}
    found = motion_features(marked(points), MotionOptions(inputs=("pose",), derivatives=0))
    reach = float(np.linalg.norm(found.sel(feature=["hand x", "hand y", "hand z"]).values[0]))
    assert 0.7 < reach < 1.0
    assert np.isfinite(found).all()


def test_two_arms_need_to_be_told_apart() -> None:
    points = arm_points(np.zeros(T.size))
    both = {side + k: v + shift for side, shift in (("L", 0.3), ("R", 0.0)) for k, v in points.items()}
    with pytest.raises(SignalError, match="both sides"):
        motion_features(marked(both), MotionOptions(inputs=("position",)))
    right = MotionOptions(inputs=("position",), derivatives=0, arm=ArmMarkers(side="right"))
    wanted = motion_features(marked(points), MotionOptions(inputs=("position",), derivatives=0))
    assert np.allclose(motion_features(marked(both), right), wanted)


def test_the_swivel_angle_needs_to_know_which_way_is_up() -> None:
    points = arm_points(np.zeros(T.size))
    with pytest.raises(OptionError, match="up"):
        motion_features(marked(points), MotionOptions(inputs=("swivel",)))
    said = motion_features(marked(points, up="z"), MotionOptions(inputs=("swivel",)))
    assert np.array_equal(said, motion_features(marked(points), MotionOptions(inputs=("swivel",), up="z")))


# -- inertial sensors ------------------------------------------------------------------------------------------------


def worn(turns: dict[str, Rotation], signs: np.ndarray | None = None) -> Recording:
    values = np.stack([r.as_quat()[:, [3, 0, 1, 2]] for r in turns.values()], axis=1)
    values = values if signs is None else values * signs[:, None, None]
    labels = {"segment": list(turns), "quaternion": list("wxyz")}
    return Recording(
        {"orientation": make_signal(values, ("time", "segment", "quaternion"), labels, units="1", rate_hz=RATE)}
    )


TURNS = {
    "trunk": Rotation.from_euler("z", 10 * T[:, None], degrees=True),
    "upper arm": Rotation.from_euler("ZYX", np.stack([80 * T, 30 * T, 10 * T], axis=1), degrees=True),
}


def test_the_sign_of_a_quaternion_does_not_matter() -> None:
    signs = np.where(np.random.default_rng(0).random(T.size) < 0.5, -1.0, 1.0)
    options = MotionOptions(inputs=("orientation",))
    assert np.allclose(motion_features(worn(TURNS), options), motion_features(worn(TURNS, signs), options))


def test_relative_to_a_segment_turning_the_room_changes_nothing() -> None:
    options = MotionOptions(inputs=("orientation",), root="trunk", derivatives=1)
    room = Rotation.from_euler("XYZ", [20, 30, 40], degrees=True)
    found = motion_features(worn(TURNS), options)
    assert [n for n in found.feature.values if derivative_of(n) == 0] == [
        f"upper arm r{i}{j}" for j in (1, 2) for i in (1, 2, 3)
    ]
    assert np.allclose(found, motion_features(worn({k: room * v for k, v in TURNS.items()}), options))


def test_signals_of_different_rates_are_put_on_the_clock_of_the_first() -> None:
    recording = worn(TURNS)
    fast = np.arange(0, 2, 1 / 250)
    elbow = make_signal(50 * fast[:, None], ("time", "joint"), {"joint": ["elbow"]}, units="deg", rate_hz=250)
    options = MotionOptions(inputs=("orientation", "angles"), derivatives=0)
    found: xr.DataArray = motion_features(recording.with_signal("angles", elbow), options)
    assert np.array_equal(found.time.values, recording["orientation"].time.values)
    inner = slice(10, -10)
    assert np.allclose(found.sel(feature="elbow").values[inner], 50 * found.time.values[inner], atol=0.5)
