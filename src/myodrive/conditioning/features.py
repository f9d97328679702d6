"""What the networks are told of a movement: angles, pose of the hand, swivel angle, orientations, with derivatives; moments.

Every feature has a name, and the names and their order follow from the options and the labels of the signals alone, so that
a model can refuse what it was not trained on. No feature wraps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from myodrive.conditioning.arm_moments import MOMENT, NAMED, OF_LOAD, POSTURE, TURNING, ArmJoints, arm_moments
from myodrive.conditioning.kinematics import differentiate, resample_to
from myodrive.conditioning.pose import METRES, ArmMarkers, Axis, hand_orientation, hand_position, swivel
from myodrive.conditioning.rotations import SIX_D, from_angles, from_quaternions, six_d
from myodrive.errors import OptionError, SignalError
from myodrive.recording import Recording, make_signal

SUFFIXES = ("", " velocity", " acceleration")
DEGREES = {"deg": 1.0, "rad": 180.0 / np.pi}
JUMP_DEG = 180.0  # between two samples: no joint turns as fast, the angle has wrapped
Input = Literal["angles", "pose", "position", "swivel", "orientation", "moments"]


class JointRotation(BaseModel):
    """Three angles that are one rotation: their labels and the axes that they turn about, one after the other.

    Capital letters are axes that turn along ("YXY": the shoulder by ISB), small letters fixed ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    joints: tuple[str, str, str]
    sequence: str


class MotionOptions(BaseModel):
    """Which features of a movement are taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # "angles"; "pose": position of the hand from the shoulder and its orientation; "position": without orientation;
    # "swivel"; "orientation": of the segments that inertial sensors are on; "moments": beside others, what the joints of an
    # arm have to do against its weight and inertia, how it turns, and its posture in other words, without derivatives.
    inputs: tuple[Input, ...] = Field(default=("angles",), min_length=1)
    derivatives: int = Field(default=2, ge=0, le=2)  # 0: position alone; 1: and velocity; 2: and acceleration
    cutoff_hz: float = Field(default=6.0, gt=0)  # see `differentiate`; usual for gait and unhurried arm movements
    joints: tuple[str, ...] = ()  # the angles that are taken; all without
    circular: tuple[str, ...] = ()  # angles that turn full circle or jump near gimbal lock: given as sine and cosine
    rotations: tuple[JointRotation, ...] = ()  # angles that are given as a rotation of six numbers
    arm: ArmMarkers = ArmMarkers()  # the markers of pose and swivel
    up: Axis | None = None  # the axis that points up, for the swivel angle; see `swivel`
    arm_joints: ArmJoints = ArmJoints()  # the angles that moments are made from
    root: str = ""  # the segment that the orientations of others are relative to; without one they are in the room


def motion_features(recording: Recording, options: MotionOptions) -> xr.DataArray:
    """The features of a movement, on the clock of the first input.

    Parameters
    ----------
    recording : Recording
        With the signals that the inputs need: ``angles`` (time, joint; deg or rad), ``markers`` (time, marker, axis) or
        ``pose`` (time, component), ``orientation`` (time, segment, quaternion w x y z).
    options : MotionOptions

    Returns
    -------
    DataArray (time, feature)
        First all positions, then velocities, then accelerations, each in the order of the inputs. Angles are in degrees,
        positions in lengths of the arm, all else without unit; derivatives per s and per s². Then moments in N m, and with
        them how the arm turns in rad/s, and its posture. NaN where something is missing.

    Raises
    ------
    SignalError
        If a signal, a joint or a marker is missing, an angle has wrapped, or a unit is unknown.
    OptionError
        If the options name a joint twice or contradict each other.

    Examples
    --------
    >>> t = np.arange(0, 1, 0.01)
    >>> elbow = make_signal(90 * t[:, None], ("time", "joint"), {"joint": ["elbow"]}, units="deg", rate_hz=100)
    >>> motion_features(Recording({"angles": elbow}), MotionOptions(derivatives=1)).feature.values.tolist()
    ['elbow', 'elbow velocity']
    """
    still = position_features(recording, options)
    names = with_derivatives(list(map(str, still.feature.values)), options.derivatives)
    columns = [differentiate(still, order, options.cutoff_hz).values for order in range(options.derivatives + 1)]
    if "moments" in options.inputs:
        moments = _on_clock(_moments(recording, options), still.time.values)
        names += [str(n) for n in moments.feature.values]
        columns.append(moments.values)
    values = np.concatenate(columns, axis=1)
    found = make_signal(values, ("time", "feature"), {"feature": names}, units="", time=still.time.values)
    return found.assign_attrs(cutoff_hz=options.cutoff_hz)


def position_features(recording: Recording, options: MotionOptions) -> xr.DataArray:
    """What `motion_features` smooths and takes the derivatives of, as it was measured."""
    moving = [name for name in options.inputs if name != "moments"]
    if not moving:
        raise OptionError(
            "moments stand beside other inputs.", where="motion.inputs", remedy='For example ["angles", "moments"].'
        )
    parts = [_READERS[name](recording, options) for name in moving]
    clock = parts[0].time.values
    same = [_on_clock(p, clock) for p in parts]
    if len(same) == 1:
        return same[0]
    return xr.concat([p.assign_coords(time=parts[0].time) for p in same], dim="feature")


def with_derivatives(positions: Sequence[str], derivatives: int) -> list[str]:
    """The names of positions, then of their velocities, then of their accelerations, as far as they are taken."""
    return [f"{name}{suffix}" for suffix in SUFFIXES[: derivatives + 1] for name in positions]


def is_slow(feature: str) -> bool:
    """Whether a feature is a position or a velocity, by its name."""
    return derivative_of(feature) < 2 and not feature.startswith((MOMENT, TURNING, POSTURE))


def is_moment(feature: str) -> bool:
    """Whether a feature is a moment of the arm, or of a load in its hand, by its name."""
    return feature.startswith(MOMENT)


def is_of_load(feature: str) -> bool:
    """Whether a feature is the moment that a kilogram in the hand asks for, by its name."""
    return feature.startswith(MOMENT) and feature.endswith(OF_LOAD)


def is_turning(feature: str) -> bool:
    """Whether a feature is how fast the arm turns about an axis that moments are about, by its name."""
    return feature.startswith(TURNING)


def is_posture(feature: str) -> bool:
    """Whether a feature is one that stands beside the moments of the arm, by its name."""
    return feature.startswith(POSTURE)


def derivative_of(feature: str) -> int:
    """Which derivative a feature is, by its name: 0, 1 or 2."""
    return next((order for order in (2, 1) if feature.endswith(SUFFIXES[order])), 0)


# -- inside ----------------------------------------------------------------------------------------------------------


def _angles(recording: Recording, options: MotionOptions) -> xr.DataArray:
    """Plain angles in degrees (translations in m), then sines and cosines, then rotations."""
    turned = [joint for rotation in options.rotations for joint in rotation.joints]
    special = [*options.circular, *turned]
    if len(set(special)) < len(special):
        raise OptionError("a joint is named twice among circular and rotations.", where="motion")
    taken = list(options.joints) or [str(j) for j in recording["angles"].joint.values]
    values = _joint_values(recording, [*taken, *special])
    plain = [j for j in taken if j not in special]
    columns = {j: _checked(values[j], j, recording) for j in plain}
    for joint in (j for j in options.circular if j in taken):
        angle = np.deg2rad(values[joint])
        columns |= {f"sin {joint}": np.sin(angle), f"cos {joint}": np.cos(angle)}
    for rotation in options.rotations:
        three = np.deg2rad(np.stack([values[j] for j in rotation.joints], axis=1))
        six = six_d(from_angles(three, rotation.sequence))
        columns |= {f"{rotation.name} {name}": column for name, column in zip(SIX_D, six.T)}
    stacked = np.stack(list(columns.values()), axis=1)
    time = recording["angles"].time.values
    return make_signal(stacked, ("time", "feature"), {"feature": list(columns)}, units="", time=time)


def _joint_values(recording: Recording, joints: Sequence[str]) -> dict[str, np.ndarray]:
    """Of each joint that is named, in degrees or m."""
    angles = recording["angles"].transpose("time", "joint")
    labels = [str(j) for j in angles.joint.values]
    units = dict(zip(labels, map(str, angles["unit"].values))) if "unit" in angles.coords else {}
    asked = list(dict.fromkeys(joints))
    missing = [j for j in asked if j not in labels]
    if missing:
        raise SignalError(
            f"the joints {', '.join(missing)} are missing. Found: {', '.join(labels)}.", where=recording.label
        )
    own = {j: units.get(j, str(angles.attrs.get("units", ""))) for j in asked}
    unknown = {j: unit for j, unit in own.items() if unit not in DEGREES | METRES}
    if unknown:
        joint, unit = next(iter(unknown.items()))
        raise SignalError(
            f"the angle '{joint}' is in '{unit}'; it may be in deg or rad.",
            where=recording.label,
            remedy='Give units="deg".',
        )
    columns_of = dict(zip(labels, angles.values.T.astype(np.float64)))
    return {joint: columns_of[joint] * (DEGREES | METRES)[unit] for joint, unit in own.items()}


def _moments(recording: Recording, options: MotionOptions) -> xr.DataArray:
    names = [getattr(options.arm_joints, name) for name in NAMED]
    forearm = options.arm_joints.forearm
    named = forearm != ArmJoints().forearm  # so it has to be there
    if named or forearm in recording["angles"].joint.values:
        names.append(forearm)
    values = _joint_values(recording, names)
    angles = np.deg2rad(np.stack([values[j] for j in names], axis=1))
    return arm_moments(recording, angles, options.arm_joints, options.cutoff_hz)


def _checked(angle: np.ndarray, joint: str, recording: Recording) -> np.ndarray:
    steps = np.abs(np.diff(angle))
    if steps.size and np.nanmax(steps, initial=0.0) > JUMP_DEG:
        raise SignalError(
            f"the angle '{joint}' jumps by {np.nanmax(steps):.0f}° from one sample to the next: it has wrapped.",
            where=recording.label,
            remedy=f"Take its sine and cosine: circular=('{joint}',), or a rotation of its three angles: rotations=….",
        )
    return angle


def _pose(recording: Recording, options: MotionOptions) -> xr.DataArray:
    parts = [hand_position(recording, options.arm), hand_orientation(recording, options.arm)]
    return xr.concat(parts, dim="feature")


def _orientation(recording: Recording, options: MotionOptions) -> xr.DataArray:
    """Six numbers for each segment but the root."""
    quaternions = recording["orientation"].transpose("time", "segment", "quaternion")
    segments = [str(s) for s in quaternions.segment.values]
    if options.root and options.root not in segments:
        raise SignalError(
            f"the segment '{options.root}', which the others are relative to, is missing. Found: {', '.join(segments)}.",
            where=recording.label,
        )
    if [str(q) for q in quaternions["quaternion"].values] != list("wxyz"):
        raise SignalError("quaternions are labelled w, x, y, z, in this order.", where=recording.label)
    matrices = from_quaternions(quaternions.values.astype(np.float64))
    if options.root:
        root = matrices[:, [segments.index(options.root)]]
        matrices = np.swapaxes(root, -1, -2) @ matrices
    moving = [i for i, s in enumerate(segments) if s != options.root]
    names = [f"{segments[i]} {name}" for i in moving for name in SIX_D]
    values = six_d(matrices[:, moving]).reshape(quaternions.sizes["time"], -1)
    return make_signal(values, ("time", "feature"), {"feature": names}, units="1", time=quaternions.time.values)


def _on_clock(part: xr.DataArray, clock: np.ndarray) -> xr.DataArray:
    return part if np.array_equal(part.time.values, clock) else resample_to(part, clock)


_READERS: dict[str, Callable[[Recording, MotionOptions], xr.DataArray]] = {
    "angles": _angles,
    "pose": _pose,
    "position": lambda recording, options: hand_position(recording, options.arm),
    "swivel": lambda recording, options: swivel(recording, options.arm, options.up),
    "orientation": _orientation,
}
