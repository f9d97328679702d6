"""Moments that the joints of an arm have to make against its weight and its inertia, and its posture, from joint angles alone.

Muscles answer moments, and a moment is a product of posture, weight and acceleration that a network learns badly from a few
movements. The arm is three segments with the masses of a body of its size; what the hand holds is not known here, so what a
kilogram in it would ask for is told apart, and a learner may find out how much it usually is. All is told in the axes of the
upper arm, which the muscles of the shoulder end at: in these a moment arm changes smoothly, while the axes of joint angles
fall together where the arm hangs.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict

from myodrive.conditioning.kinematics import differentiate
from myodrive.conditioning.rotations import about
from myodrive.errors import SignalError
from myodrive.recording import Recording, make_signal

GRAVITY = np.array([0.0, -9.81, 0.0])  # m/s²; x forwards, y up, z to the right
HEIGHT_M, MASS_KG = 1.75, 75.0  # of who moves, where the recording does not tell
# Of upper arm, forearm and hand: length over height (Drillis & Contini 1966; of the hand to the knuckles), and after Winter
# (2009, Biomechanics and Motor Control of Human Movement, table 4.1) mass over that of the body, how far along is the
# centre of mass, and the radius of gyration about it, over the segment's length.
LENGTHS = {"upper_arm_m": 0.186, "forearm_m": 0.146, "hand_m": 0.054}
MASSES = np.array([0.028, 0.016, 0.006])
CENTRES = np.array([0.436, 0.430, 0.506])
GYRATION = np.array([0.322, 0.303, 0.297])
NAMED = ("plane", "elevation", "rotation", "elbow")
MOMENT, TURNING, POSTURE = "moment about ", "turning about ", "posture: "  # what the names of features begin with
OF_LOAD = " of 1 kg in the hand"  # and what those of moments end with that are of no weight of the arm's own
AXES = ("upper arm x", "upper arm y", "upper arm z")  # of an arm that hangs: forwards, up, to the right


class ArmJoints(BaseModel):
    """The joint angles of an arm by their labels; those of MoBL-ARMS and of OpenSim's other arms without.

    By ISB (Wu et al. 2005, 10.1016/j.jbiomech.2004.05.042): plane of elevation (0 to the side, 90 forwards), elevation,
    axial rotation (internal positive), flexion of the elbow; of either arm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    plane: str = "elv_angle"
    elevation: str = "shoulder_elv"
    rotation: str = "shoulder_rot"
    elbow: str = "elbow_flexion"
    forearm: str = "pro_sup"  # pronation; may be missing unless another name is given
    # MoBL-ARMS counts axial rotation from the plane of elevation, so that raising an arm in any plane does not turn it. By ISB,
    # with three Euler angles Y-X-Y, it is False.
    from_plane: bool = True


def has_arm(recording: Recording) -> bool:
    """Whether there are the angles that `ArmJoints` names without being told."""
    return {getattr(ArmJoints(), name) for name in NAMED} <= set(map(str, recording["angles"].joint.values))


def arm_moments(
    recording: Recording, angles: Float[np.ndarray, "time joint"], joints: ArmJoints, cutoff_hz: float
) -> xr.DataArray:
    """Moments at shoulder and elbow by inverse dynamics of an arm, the trunk upright and at rest; how it turns; and its posture.

    Parameters
    ----------
    recording : Recording
        ``info["body"]`` may hold ``height_m``, ``mass_kg`` and the lengths ``upper_arm_m``, ``forearm_m``, ``hand_m``; without
        them it is that of a person of 1.75 m and 75 kg, and a length the usual share of the height.
    angles : array (time, joint)
        Rad, in the order of `NAMED`; pronation of the forearm behind them where it is known.
    joints : ArmJoints
    cutoff_hz : float
        Of the accelerations, see `differentiate`.

    Returns
    -------
    DataArray (time, feature)
        On the clock of the angles. Moments (N m): at the shoulder about the upper arm's own axes, and about the elbow's axis,
        positive where muscles have to turn the arm about it as a right-handed screw; NaN where accelerations are. First those
        of an arm with an empty hand, then what a kilogram in the hand would add. Turning (rad/s): about the same axes. Posture:
        the upper arm's axes in those of the trunk, and cosine and sine of elbow and forearm.

    Raises
    ------
    SignalError
        If height, mass or a length of the body is no positive number.
    """
    lengths, mass_kg = _body(recording)
    turned, fore = _frames(angles, joints)
    elbow = -lengths[0] * turned[..., 1]
    hand = elbow + lengths[1:].sum() * fore
    points, masses = [], []
    for start, way, length, share, centre, gyration in zip(
        (0 * elbow, elbow, elbow + lengths[1] * fore), (-turned[..., 1], fore, fore), lengths, MASSES, CENTRES, GYRATION
    ):  # two points of each segment that have its mass, centre and inertia
        points += [start + place * length * way for place in (centre - gyration, centre + gyration)]
        masses += 2 * [0.5 * share * mass_kg]
    time = recording["angles"].time.values

    def slope(values: list[np.ndarray], order: int) -> list[np.ndarray]:
        columns = np.concatenate(values, axis=1)
        names = [str(i) for i in range(columns.shape[1])]
        signal = make_signal(columns, ("time", "feature"), {"feature": names}, units="", time=time)
        return np.split(differentiate(signal, order, cutoff_hz).values, len(values), axis=1)

    forces = [a - GRAVITY for a in slope([*points, hand], 2)]  # on a kilogram
    needed = _about_axes([m * f for m, f in zip(masses, forces)], points, elbow, turned)
    of_load = _about_axes(forces[-1:], [hand], elbow, turned)
    spin = np.swapaxes(turned, 1, 2) @ np.stack(slope([turned[:, i] for i in range(3)], 1), axis=1)
    turning = [spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0], slope([angles[:, 3:4]], 1)[0][:, 0]]
    abouts = (*AXES, joints.elbow)
    columns = {f"{MOMENT}{name}": column for name, column in zip(abouts, needed)}
    columns |= {f"{MOMENT}{name}{OF_LOAD}": column for name, column in zip(abouts, of_load)}
    columns |= {f"{TURNING}{name}": column for name, column in zip(abouts, turning)}
    ways = ("forwards", "up", "right")
    columns |= {f"{POSTURE}{own} {way}": turned[:, i, k] for k, own in enumerate(AXES) for i, way in enumerate(ways)}
    for name, angle in zip((joints.elbow, joints.forearm), angles[:, 3:].T):
        columns |= {f"{POSTURE}cos {name}": np.cos(angle), f"{POSTURE}sin {name}": np.sin(angle)}
    values = np.stack(list(columns.values()), axis=1)
    return make_signal(values, ("time", "feature"), {"feature": list(columns)}, units="", time=time)


def _about_axes(
    forces: list[np.ndarray], points: list[np.ndarray], elbow: np.ndarray, turned: np.ndarray
) -> list[Float[np.ndarray, " time"]]:
    """Moments that move points so: at the shoulder about the axes of the upper arm, and of what is beyond the elbow about its."""
    at_shoulder = sum(np.cross(p, f) for p, f in zip(points, forces))
    beyond = list(zip(points, forces))[-4:]  # of forearm and hand, or the load
    at_elbow = sum(np.cross(p - elbow, f) for p, f in beyond)
    return [*np.einsum("tra,tr->at", turned, at_shoulder), (at_elbow * turned[..., 2]).sum(axis=1)]


def _frames(
    angles: Float[np.ndarray, "time joint"], joints: ArmJoints
) -> tuple[Float[np.ndarray, "time 3 3"], Float[np.ndarray, "time 3"]]:
    """How the upper arm is turned, 1 where it hangs, and where the forearm points: of a right arm."""
    plane, elevation, rotation, elbow = angles.T[:4]
    turned = about("y", plane) @ about("x", -elevation)
    turned = turned @ about("y", rotation - plane if joints.from_plane else rotation)
    return turned, -(turned @ about("z", elbow))[..., 1]


def _body(recording: Recording) -> tuple[Float[np.ndarray, " segment"], float]:
    """The lengths of the segments (m), and the mass of the body (kg)."""
    body = recording.info.get("body", {})
    height = body.get("height_m", HEIGHT_M)
    told = {"height_m": height, "mass_kg": body.get("mass_kg", MASS_KG)}
    told |= {name: body.get(name, share * height) for name, share in LENGTHS.items()}
    wrong = [f"{name} is {value}" for name, value in told.items() if not (np.isfinite(value) and value > 0)]
    if wrong:
        raise SignalError(
            f"of the body {', '.join(wrong)}.", where=recording.label, remedy="Give m and kg, or nothing."
        )
    return np.array([told[name] for name in LENGTHS]), float(told["mass_kg"])
