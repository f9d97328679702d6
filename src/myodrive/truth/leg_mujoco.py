"""The same movements with muscles of another make: fourteen of the right leg of myo-sim, in MuJoCo."""

from __future__ import annotations

import functools
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from myodrive.from_simulation.mujoco_model import MujocoModel, load_mujoco_model
from myodrive.from_simulation.mujoco_motion import evaluate_motion, with_followers
from myodrive.from_simulation.muscle_problem import MuscleProblem
from myodrive.from_simulation.steps import MUSCLE_RESERVE
from myodrive.truth import leg
from myodrive.truth.leg_movement import Trial

HEIGHT_M = 1.75  # of the person whose segments `leg` has


class MyoSimTrial(Trial):
    """A trial whose joint moments are those of `leg`, and whose muscles have the paths, forces and curves of myo-sim.

    Flexion of its knee is positive. Its hip neither abducts nor rotates, and nothing balances the moments about those axes.
    """

    muscles: ClassVar[tuple[str, ...]] = (
        "glmax2_r",
        "psoas_r",
        "iliacus_r",
        "sart_r",
        "tfl_r",
        "recfem_r",
        "semimem_r",
        "bflh_r",
        "bfsh_r",
        "vaslat_r",
        "vasmed_r",
        "gaslat_r",  # the model does not get its neighbour right
        "soleus_r",
        "tibant_r",
    )
    turns: ClassVar[tuple[float, ...]] = (1.0, -1.0, 1.0)

    def problem(self, time: Float[np.ndarray, " time"]) -> MuscleProblem:
        """What the muscles have to make at these instants.

        Raises
        ------
        MissingExtraError
            If `mujoco` or `myo-sim` is not installed.
        """
        legs, moved = _legs(), self.motion(time)
        known = {"value": moved.angle, "speed": moved.speed, "acceleration": moved.acceleration}
        motion = with_followers(legs, leg.JOINTS, {name: values * self.turns for name, values in known.items()})
        found = evaluate_motion(legs, leg.JOINTS, motion, [], time)
        chosen = [legs.muscles.index(m) for m in self.muscles]
        return MuscleProblem(
            muscles=self.muscles,
            coordinates=leg.JOINTS,
            time=time,
            torques=leg.joint_torques(moved, self.load(moved)) * self.turns,
            moment_arms=found["arms"][..., chosen],
            active_force=found["active_force"][:, chosen],
            reserves=np.full(len(leg.JOINTS), MUSCLE_RESERVE),
        )


@functools.cache
def _legs() -> MujocoModel:
    return load_mujoco_model("legs", height_m=HEIGHT_M)
