"""A leg in the sagittal plane, in plain code: three joints, nine muscles, two of them over two joints.

The pelvis stands still; x points forwards, y up, and every angle turns about z, so that flexion of the hip, extension of
the knee and dorsiflexion of the ankle are positive, and all are zero with the leg hanging straight. Points of the plane
are complex numbers, x + iy in m. `leg_opensim` writes the same leg as an OpenSim model.
"""

from __future__ import annotations

import dataclasses
import itertools
from functools import cache

import numpy as np
from jaxtyping import Complex, Float

from myodrive.from_simulation.hill_muscles import Curve, HillMuscles

GRAVITY = 9.80665  # m/s²
HIP = 0.95j  # m, above the floor
BALL_OF_FOOT = 0.14 - 0.03j  # m, on the foot: where a load acts


@dataclasses.dataclass(frozen=True)
class Segment:
    """A rigid body that hangs from its joint; places are in its own frame, whose origin is that joint."""

    name: str
    joint: str
    mass_kg: float
    inertia: float  # kg m², about the centre of mass
    center: complex  # m, of mass
    end: complex  # m, the next joint


SEGMENTS = (  # of a person of 75 kg and 1.75 m, after Winter, Biomechanics and Motor Control, table 4.1
    Segment("femur_r", "hip_flexion_r", 7.5, 0.14, -0.18j, -0.42j),
    Segment("tibia_r", "knee_angle_r", 3.5, 0.06, -0.186j, -0.43j),
    Segment("calcn_r", "ankle_angle_r", 1.1, 0.005, 0.05 - 0.03j, BALL_OF_FOOT),
)
JOINTS = tuple(s.joint for s in SEGMENTS)
PELVIS = -1  # its number as a body, where segments count from 0


@dataclasses.dataclass(frozen=True)
class Muscle:
    """A muscle along straight lines from point to point, each fixed on a body; its tendon does not stretch."""

    name: str
    max_isometric_force: float  # N
    optimal_fiber_length: float  # m
    points: tuple[tuple[int, complex], ...]  # (body, place in its frame, m)


MUSCLES = (
    Muscle("glmax_r", 2200.0, 0.15, ((PELVIS, -0.10 + 0.03j), (0, -0.03 - 0.12j))),
    Muscle("psoas_r", 3200.0, 0.11, ((PELVIS, 0.03 + 0.08j), (PELVIS, 0.045 + 0j), (0, 0.01 - 0.07j))),
    Muscle("recfem_r", 1500.0, 0.10, ((PELVIS, 0.05 + 0.02j), (0, 0.055 - 0.40j), (1, 0.05 - 0.03j))),
    Muscle("semimem_r", 3000.0, 0.14, ((PELVIS, -0.06 - 0.05j), (1, -0.03 - 0.05j))),
    Muscle("bfsh_r", 800.0, 0.12, ((0, -0.005 - 0.20j), (1, -0.03 - 0.04j))),
    Muscle("vaslat_r", 3000.0, 0.10, ((0, 0.03 - 0.15j), (0, 0.055 - 0.40j), (1, 0.05 - 0.03j))),
    Muscle("gasmed_r", 1000.0, 0.07, ((0, -0.02 - 0.405j), (2, -0.045 - 0.03j))),
    Muscle("soleus_r", 1800.0, 0.06, ((1, -0.01 - 0.15j), (2, -0.045 - 0.03j))),
    Muscle("tibant_r", 800.0, 0.07, ((1, 0.02 - 0.20j), (1, 0.035 - 0.39j), (2, 0.07 - 0.02j))),
)
NAMES = tuple(m.name for m in MUSCLES)
MARKERS = {  # (body, place in its frame and to the right of the plane, m), named as in the shipped map "rajagopal"
    "R.ASIS": (PELVIS, 0.08 + 0.09j, 0.05),
    "R.PSIS": (PELVIS, -0.11 + 0.08j, -0.02),
    "R.TH1": (0, 0.06 - 0.15j, 0.06),
    "R.TH2": (0, -0.04 - 0.28j, 0.07),
    "R.Knee": (0, 0.0 - 0.42j, 0.06),
    "R.SH1": (1, 0.05 - 0.12j, 0.05),
    "R.SH2": (1, 0.0 - 0.27j, 0.06),
    "R.Ankle": (1, 0.0 - 0.43j, 0.04),
    "R.Heel": (2, -0.06 - 0.03j, 0.0),
    "R.MT5": (2, 0.11 - 0.03j, 0.05),
    "R.Toe": (2, 0.18 - 0.02j, 0.0),
}
REST_RAD = (0.3, -0.7, 0.05)  # the pose in which every fibre has its optimal length
MAX_SPEED = 10.0  # optimal lengths per second


@dataclasses.dataclass(frozen=True)
class Motion:
    """Angles of the joints with their first and second derivatives, each (time, joint) in rad and s."""

    angle: Float[np.ndarray, "time joint"]
    speed: Float[np.ndarray, "time joint"]
    acceleration: Float[np.ndarray, "time joint"]

    def follow(
        self, body: int, point: complex
    ) -> tuple[Complex[np.ndarray, " time"], Complex[np.ndarray, " time"], Complex[np.ndarray, " time"]]:
        """Where a point of a body is, its velocity and its acceleration: m, m/s, m/s²."""
        place = np.full(len(self.angle), HIP + (point if body == PELVIS else 0))
        velocity, acceleration = np.zeros((2, len(self.angle)), complex)
        for k, segment in enumerate(SEGMENTS[: body + 1]):
            arm = np.exp(1j * self.angle[:, : k + 1].sum(axis=1)) * (point if k == body else segment.end)
            turning, speeding = self.speed[:, : k + 1].sum(axis=1), self.acceleration[:, : k + 1].sum(axis=1)
            place += arm
            velocity += 1j * turning * arm
            acceleration += (1j * speeding - turning**2) * arm
        return place, velocity, acceleration

    def joints(self) -> Complex[np.ndarray, "time joint"]:
        """Where hip, knee and ankle are."""
        return np.stack([self.follow(k, 0)[0] for k in range(len(SEGMENTS))], axis=1)


def joint_torques(motion: Motion, force: Complex[np.ndarray, " time"]) -> Float[np.ndarray, "time joint"]:
    """What the joints must make (N m) against inertia, weight and a force on the ball of the foot (N), by Newton and Euler."""
    joints = motion.joints()
    torques = -_cross(motion.follow(2, BALL_OF_FOOT)[0][:, None] - joints, force[:, None])
    for k, segment in enumerate(SEGMENTS):
        place, _, acceleration = motion.follow(k, segment.center)
        needed = segment.mass_kg * (acceleration + 1j * GRAVITY)
        spin = segment.inertia * motion.acceleration[:, : k + 1].sum(axis=1)
        torques[:, : k + 1] += _cross(place[:, None] - joints[:, : k + 1], needed[:, None]) + spin[:, None]
    return torques


def muscle_geometry(
    motion: Motion,
) -> tuple[Float[np.ndarray, "time muscle"], Float[np.ndarray, "time joint muscle"]]:
    """Length of every muscle (m), and its moment arms: minus the slope of the length against each joint's angle (m)."""
    joints = motion.joints()
    lengths = np.zeros((len(joints), len(MUSCLES)))
    arms = np.zeros((len(joints), len(JOINTS), len(MUSCLES)))
    for m, muscle in enumerate(MUSCLES):
        places = [motion.follow(body, point)[0] for body, point in muscle.points]
        for k, (start, end) in enumerate(itertools.pairwise(places)):
            distance = np.abs(end - start)
            lengths[:, m] += distance
            for j in range(muscle.points[k][0] + 1, muscle.points[k + 1][0] + 1):  # the joints in between
                arms[:, j, m] -= _cross(end - joints[:, j], (end - start) / distance)
    return lengths, arms


def marker_places(motion: Motion) -> Float[np.ndarray, "time marker axis"]:
    """Where the markers are, m."""
    places = np.stack([motion.follow(body, point)[0] for body, point, _ in MARKERS.values()], axis=1)
    beside = np.broadcast_to([z for *_, z in MARKERS.values()], places.shape)
    return np.stack([places.real, places.imag, beside], axis=2)


@cache
def hill_muscles() -> HillMuscles:
    """The muscles' parameters, with the force-length and force-velocity curves of De Groote et al. (2016).

    10.1007/s10439-016-1591-9; no passive force, and no pennation.
    """
    fiber = np.array([m.optimal_fiber_length for m in MUSCLES])
    rest = np.array([REST_RAD])
    lengths, _ = muscle_geometry(Motion(rest, np.zeros_like(rest), np.zeros_like(rest)))
    length, speed = np.linspace(0, 2, 4001), np.linspace(-1.5, 1.5, 3001)
    return HillMuscles(
        max_isometric_force=np.array([m.max_isometric_force for m in MUSCLES]),
        optimal_fiber_length=fiber,
        tendon_slack_length=lengths[0] - fiber,
        pennation_rad=np.zeros(len(MUSCLES)),
        max_speed=np.full(len(MUSCLES), MAX_SPEED),
        shortest_fiber=0.2 * fiber,
        active_curve=_for_all(0, 2, _active_force(length)),
        passive_curve=_for_all(0, 2, np.zeros(2)),
        velocity_curve=_for_all(-1.5, 1.5, _force_at_speed(speed)),
    )


def _active_force(length: np.ndarray) -> np.ndarray:
    bells = (
        (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
        (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
        (0.1, 1.0, 0.353553390593274, 0.0),
    )
    with np.errstate(divide="ignore"):
        return np.sum([a * np.exp(-0.5 * ((length - b) / (c + d * length)) ** 2) for a, b, c, d in bells], axis=0)


def _force_at_speed(speed: np.ndarray) -> np.ndarray:
    inner = -8.149 * speed - 0.374
    return np.maximum(-0.3211346127989808 * np.log(inner + np.sqrt(inner**2 + 1)) + 0.8825327733249912, 0)


def _for_all(start: float, end: float, values: np.ndarray) -> Curve:
    return Curve(float(start), float(end), np.tile(values, (len(MUSCLES), 1)))


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (np.conj(a) * b).imag
