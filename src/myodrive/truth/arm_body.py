"""The right arm of myo-sim with 26 muscles over shoulder and elbow, five of them along paths of our own.

Five muscles of the model have moment arms at the shoulder that are off by more than a centimetre, or turn the wrong way
(docs/mujoco.md). Here each of them runs from its own origin round a ball about the centre of the humeral head to its own
insertion, on the side on which the muscle lies: a stated substitute, not a measured path. Their force is their strength,
whatever their length and speed, since the model's lengths belong to the paths that were left.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from myodrive.from_simulation.mujoco_model import FROM_OPENSIM, MujocoModel, load_mujoco_model
from myodrive.from_simulation.mujoco_motion import evaluate_motion, with_followers

JOINTS = ("elv_angle", "shoulder_elv", "shoulder_rot", "elbow_flexion", "pro_sup", "deviation", "flexion")
BALANCED = JOINTS[:5]  # the muscles of the wrist are not simulated
SHOULDER = "DELT1 DELT2 DELT3 SUPSP INFSP SUBSC TMIN TMAJ PECM1 PECM2 PECM3 LAT1 LAT2 LAT3 CORB"
MUSCLES = tuple(f"{SHOULDER} TRIlong TRIlat TRImed ANC SUP BIClong BICshort BRA BRD PT PQ".split())
MARKERS = {  # marker: the body whose origin it is at
    "shoulder": "humerus_r",
    "elbow": "ulna_r",
    "wrist": "lunate_r",
    "hand_radial": "2proxph_r",
    "hand": "3proxph_r",
    "hand_ulnar": "5proxph_r",
}
GRAVITY = np.array([0.0, -9.81, 0.0])
_BALL_M = 0.028  # the humeral head (24 mm, Wolff et al.) with half a tendon on it
_CENTRE_IN_SCAPULA_M = (-0.00955, -0.034, 0.009)  # of the ball, the arm hanging


Point = tuple[
    float, float, float
]  # m from the centre of the hanging arm's ball: forwards, up, right; fixed to the scapula


@dataclasses.dataclass(frozen=True)
class Path:
    """The way of a muscle: sites of the model or points of our own, and the ball as `None`, which it goes round on one side."""

    places: tuple[str | Point | None, ...]
    side: Point
    strength_n: float


# The deltoid from the edge and the angle of the acromion to its tuberosity, the others between the model's own ends.
PATHS = {
    "DELT2": Path(("DELT2-P1", None, (0.0, 0.032, 0.026)), (0.01, 0.03, 0.05), 1100.0),
    "DELT3": Path(("DELT2-P1", None, (-0.036, 0.03, 0.008)), (-0.03, 0.0, 0.04), 420.0),
    "PECM1": Path(("PECM1-P1", None, "PECM1-P3", "PECM1-P4"), (0.05, 0.0, 0.0), 360.0),
    "PECM3": Path(("PECM3-P1", None, "PECM3-P3", "PECM3-P4"), (0.03, -0.05, -0.03), 390.0),
    "TRIlong": Path(("TRIlong-P1", None, *(f"TRIlong-P{i}" for i in (2, 3, 4, 5))), (-0.03, -0.04, 0.0), 770.0),
}


@dataclasses.dataclass(frozen=True)
class Geometry:
    """What a movement of an arm with nothing in the hand asks of its muscles, and how the hand moves."""

    moments: Float[np.ndarray, "time joint"]  # N m, of `BALANCED`
    arms: Float[np.ndarray, "time joint muscle"]  # m
    active_force: Float[np.ndarray, "time muscle"]  # N, of a person as strong as the model
    markers: Float[np.ndarray, "time marker axis"]  # m; x forwards, y up, z to the right
    hand_slopes: Float[np.ndarray, "time axis joint"]  # m/rad, of the marker `hand`


def load_arm(mass_kg: float, height_m: float) -> MujocoModel:
    """The arm of a person, with the muscles of `MUSCLES` alone and stiff fingers."""
    return load_mujoco_model("arm", mass_kg=mass_kg, height_m=height_m, changes=(give_paths, leave_out))


def study_motion(
    arm: MujocoModel,
    value: Float[np.ndarray, "time joint"],
    speed: Float[np.ndarray, "time joint"],
    acceleration: Float[np.ndarray, "time joint"],
) -> Geometry:
    """Moments, muscle geometry and markers of a motion of `JOINTS`, in rad and s."""
    joints, balanced = ([f"{j}_r" for j in names] for names in (JOINTS, BALANCED))
    motion = with_followers(arm, joints, {"value": value, "speed": speed, "acceleration": acceleration})
    found = evaluate_motion(arm, balanced, motion, [], np.arange(float(len(value))))
    order = [arm.muscles.index(m) for m in MUSCLES]
    active = found["active_force"][:, order]
    for muscle, path in PATHS.items():
        active[:, MUSCLES.index(muscle)] = path.strength_n
    markers, slopes = _follow(arm, balanced, motion)
    return Geometry(found["moments"], found["arms"][..., order], active, markers, slopes)


def load_moments(geometry: Geometry, force: Float[np.ndarray, "time axis"]) -> Float[np.ndarray, "time joint"]:
    """The moments that joints have to make so that the hand bears a force on it (N)."""
    return -np.einsum("taj,ta->tj", geometry.hand_slopes, force)


# -- changes of the model --------------------------------------------------------------------------------------------


def give_paths(spec: Any) -> None:
    """Lead the muscles of `PATHS` round a ball at the centre of the humeral head."""
    import mujoco

    humerus = spec.body("humerus_r")
    ball = humerus.add_geom(
        name="ball_of_humerus",
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=(_BALL_M, 0.0, 0.0),
        mass=0.0,
        contype=0,
        conaffinity=0,
    )
    scapula = spec.body("scapula_r")
    for muscle, path in PATHS.items():
        side = scapula.add_site(name=f"{muscle}_side", pos=np.add(_CENTRE_IN_SCAPULA_M, path.side))
        tendon = spec.add_tendon(name=f"{muscle}_round_ball")
        for place in path.places:
            if place is None:
                tendon.wrap_geom(ball.name, side.name)
            elif isinstance(place, str):
                tendon.wrap_site(f"{place.partition('-')[0]}_{place}_r")
            else:
                origin = scapula.add_site(name=f"{muscle}_origin", pos=np.add(_CENTRE_IN_SCAPULA_M, place))
                tendon.wrap_site(origin.name)
        spec.actuator(muscle).target = tendon.name


def leave_out(spec: Any) -> None:
    """Take out what has no part: muscles of wrist and hand, and the joints of the fingers. It is several times faster."""
    for actuator in list(spec.actuators):
        if actuator.name not in MUSCLES:
            spec.delete(actuator)
    used = {a.target for a in spec.actuators}
    for tendon in list(spec.tendons):
        if tendon.name not in used:
            spec.delete(tendon)
    for joint in list(spec.joints):
        if joint.name.startswith(("cmc", "mp_", "ip_", "mcp", "pm", "md")):
            spec.delete(joint)


# -- inside ----------------------------------------------------------------------------------------------------------


def _follow(arm: MujocoModel, joints: list[str], motion: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Where the markers are, and how the hand moves with each joint and what follows it."""
    import mujoco

    model, data = arm.compiled, mujoco.MjData(arm.compiled)
    reach = np.zeros((model.nv, len(joints)))
    reach[[arm.place[j] for j in joints], np.arange(len(joints))] = 1.0
    for c in arm.couplings:  # all of the arm are straight lines, so that one matrix serves every posture
        reach[arm.place[c.joint], joints.index(c.follows)] = c.polynomial[1]
    bodies = [model.body(b).id for b in MARKERS.values()]
    hand = bodies[list(MARKERS).index("hand")]
    places, slopes = np.empty((len(motion["value"]), len(bodies), 3)), np.empty((len(motion["value"]), 3, len(joints)))
    jacobian = np.empty((3, model.nv))
    for k, pose in enumerate(motion["value"]):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        places[k] = data.xpos[bodies]
        mujoco.mj_jac(model, data, jacobian, None, data.xpos[hand], hand)
        slopes[k] = jacobian @ reach
    return places @ FROM_OPENSIM, np.einsum("tbj,ba->taj", slopes, FROM_OPENSIM)
