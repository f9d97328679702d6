"""How the leg moves in a trial, against which load, and what its muscles then have to make."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from myodrive.from_simulation.muscle_problem import MuscleProblem
from myodrive.from_simulation.steps import MUSCLE_RESERVE
from myodrive.truth import leg

MOVEMENTS = {"cyclic": (1.0, 2.0, 0.37), "irregular": (1.0, 1.62, 0.37)}  # frequencies of the parts over the cadence
PART_SIZES = (1.0, 0.15, 0.3)
JOINT_SIZES_RAD = np.array([0.25, 0.35, 0.20])
MAIN_PHASES_RAD = np.array([0.0, -1.0, 1.5])  # of the first part
BRAKE_M_S = 0.2  # speed at which the brake has most of its force

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Trial:
    """What is drawn for one trial."""

    muscles: ClassVar[tuple[str, ...]] = leg.NAMES
    turns: ClassVar[tuple[float, ...]] = (
        1.0,
        1.0,
        1.0,
    )  # -1: the muscles' body counts this joint's angle the other way

    cadence_hz: float
    load_n: float
    frequencies_hz: Float[np.ndarray, " part"]
    sizes: Float[np.ndarray, "part joint"]  # rad
    phases: Float[np.ndarray, "part joint"]

    def motion(self, time: Float[np.ndarray, " time"]) -> leg.Motion:
        """A few sines, so that the motion is known at any instant, derivatives included."""
        turn = 2 * np.pi * self.frequencies_hz[:, None]
        angle = turn * time[:, None, None] + self.phases  # (time, part, joint)
        return leg.Motion(
            np.array(leg.REST_RAD) + (self.sizes * np.sin(angle)).sum(axis=1),
            (self.sizes * turn * np.cos(angle)).sum(axis=1),
            -(self.sizes * turn**2 * np.sin(angle)).sum(axis=1),
        )

    def cycle_starts(self, end_s: float) -> Float[np.ndarray, " start"]:
        """Where the main sine of the hip rises through its mean."""
        first = -self.phases[0, 0] / (2 * np.pi) % 1.0
        return np.arange(first, end_s * self.cadence_hz) / self.cadence_hz

    def load(self, motion: leg.Motion) -> np.ndarray:
        """The force on the ball of the foot (N): a pedal that pushes up, with a brake that fades out at rest."""
        velocity = motion.follow(2, leg.BALL_OF_FOOT)[1]
        return self.load_n * (0.5j - velocity / np.sqrt(np.abs(velocity) ** 2 + BRAKE_M_S**2))

    def problem(self, time: Float[np.ndarray, " time"]) -> MuscleProblem:
        """What the muscles have to make at these instants."""
        motion = self.motion(time)
        lengths, arms = leg.muscle_geometry(motion)
        speeds = -(motion.speed[:, None, :] @ arms)[:, 0]
        return MuscleProblem(
            muscles=leg.NAMES,
            coordinates=leg.JOINTS,
            time=time,
            torques=leg.joint_torques(motion, self.load(motion)),
            moment_arms=arms,
            active_force=leg.hill_muscles().forces(lengths, speeds)[0],
            reserves=np.full(len(leg.JOINTS), MUSCLE_RESERVE),
        )


def draw_trial(
    movement: str, cadence_hz: Range, load_n: Range, rng: np.random.Generator, kind: type[Trial] = Trial
) -> Trial:
    """Speed and load between these limits, and the movement that goes with them."""
    cadence = rng.uniform(*cadence_hz)
    sizes = np.outer(PART_SIZES, JOINT_SIZES_RAD) * rng.uniform(0.7, 1.2, (len(PART_SIZES), len(JOINT_SIZES_RAD)))
    phases = rng.uniform(0, 2 * np.pi, sizes.shape)
    phases[0] = MAIN_PHASES_RAD + rng.normal(0, 0.3, len(MAIN_PHASES_RAD))
    return kind(cadence, rng.uniform(*load_n), cadence * np.array(MOVEMENTS[movement]), sizes, phases)
