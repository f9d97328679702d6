"""Force of Hill-type muscles with a rigid tendon, from the length and lengthening speed of the whole muscle.

A fibre of constant thickness lies at an angle to a tendon that does not stretch (Zajac 1989; Millard et al. 2013,
10.1115/1.4023390). That is what OpenSim's static optimisation assumes of every muscle, whatever its model says of the
tendon, because force is then proportional to activation.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

CURVE_SPANS = {"active": (0.0, 2.0), "passive": (0.0, 2.0), "velocity": (-1.5, 1.5)}  # where curves are sampled
CURVE_POINTS = 1001


@dataclasses.dataclass(frozen=True)
class Curve:
    """A curve of each muscle, sampled at even steps; beyond its ends it goes on as a straight line.

    `values` (muscle, point) are taken at points from `start` to `end`; a thousand of them suffice for muscle curves.
    """

    start: float
    end: float
    values: Float[np.ndarray, "muscle point"]

    def __call__(self, x: Float[np.ndarray, "time muscle"]) -> Float[np.ndarray, "time muscle"]:
        """The value of each muscle's own curve, between samples by straight lines."""
        steps = self.values.shape[1] - 1
        place = (x - self.start) * (steps / (self.end - self.start))
        known = np.nan_to_num(place)
        left = np.clip(known.astype(np.int64), 0, steps - 1)
        muscle = np.arange(len(self.values))
        low, high = self.values[muscle, left], self.values[muscle, left + 1]
        return low + (place - left) * (high - low)


@dataclasses.dataclass(frozen=True)
class HillMuscles:
    """Parameters of muscles, each an array (muscle,).

    Parameters
    ----------
    max_isometric_force : N
    optimal_fiber_length, tendon_slack_length : m
    pennation_rad
        Angle of the fibre to the tendon at its optimal length.
    max_speed
        Optimal lengths per second at which a shortening fibre makes no force.
    shortest_fiber : m
        A fibre of this length or less makes no active force.
    active_curve, passive_curve : Curve
        Force as a share of the largest isometric one, against fibre length as a share of the optimal one.
    velocity_curve : Curve
        Factor of the active force against lengthening speed as a share of `max_speed`.
    """

    max_isometric_force: Float[np.ndarray, "muscle"]
    optimal_fiber_length: Float[np.ndarray, "muscle"]
    tendon_slack_length: Float[np.ndarray, "muscle"]
    pennation_rad: Float[np.ndarray, "muscle"]
    max_speed: Float[np.ndarray, "muscle"]
    shortest_fiber: Float[np.ndarray, "muscle"]
    active_curve: Curve
    passive_curve: Curve
    velocity_curve: Curve

    def forces(
        self,
        lengths: Float[np.ndarray, "time muscle"],
        speeds: Float[np.ndarray, "time muscle"],
        *,
        opensim_pennation: bool = False,
    ) -> tuple[Float[np.ndarray, "time muscle"], Float[np.ndarray, "time muscle"]]:
        """Along the tendon, N: active force at full activation, and passive force; neither is ever negative.

        Parameters
        ----------
        lengths : array (time, muscle)
            Of the whole muscle with its tendon, m.
        speeds : array (time, muscle)
            At which it lengthens, m/s.
        opensim_pennation : bool
            Take the active force as OpenSim 4.6 gives it to its static optimisation for a `Millard2012EquilibriumMuscle`.
            There the sine of the pennation is thickness over *normalised* fibre length, a number in m over one without
            unit, so that the cosine is nearly 1 and pennate muscles are stronger by up to a few tenths.
        """
        thickness = self.optimal_fiber_length * np.sin(self.pennation_rad)
        along = np.maximum(lengths - self.tendon_slack_length, 0)
        fiber = np.maximum(np.hypot(along, thickness), self.shortest_fiber)
        cosine = along / fiber
        length = fiber / self.optimal_fiber_length
        speed = speeds * cosine / (self.optimal_fiber_length * self.max_speed)
        active = np.where(fiber > self.shortest_fiber, self.active_curve(length) * self.velocity_curve(speed), 0.0)
        active += 0 * (lengths + speeds)  # what is not known stays NaN
        used = np.sqrt(np.maximum(1 - (thickness / length) ** 2, 0)) if opensim_pennation else cosine
        passive = self.passive_curve(length) * cosine
        return (
            self.max_isometric_force * np.maximum(active * used, 0),
            self.max_isometric_force * np.maximum(passive, 0),
        )
