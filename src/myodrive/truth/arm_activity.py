"""The activity of the arm's muscles in a trial: what the moments need, and what static optimisation never gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from myodrive.from_simulation.mujoco_model import MujocoModel
from myodrive.from_simulation.muscle_problem import MuscleProblem
from myodrive.from_simulation.static_optimization import solve_static_optimization
from myodrive.from_simulation.steps import MUSCLE_RESERVE
from myodrive.truth import arm_body
from myodrive.truth.arm_body import BALANCED, MARKERS, MUSCLES, Geometry
from myodrive.truth.arm_emg import RATE_HZ
from myodrive.truth.arm_people import ArmSetting, Person, Trial

TRACKING = 20.0  # so much dearer than effort is it to leave the co-contraction that was meant
FAST_RAD_S = 2.5  # root mean square over four joints at which co-contraction has grown by `with_speed`


def true_activation(
    trials: Sequence[Trial], person: Person, arm: MujocoModel, setting: ArmSetting
) -> tuple[list[Float[np.ndarray, "_time muscle"]], list[Float[np.ndarray, "_time marker axis"]]]:
    """The activity of all muscles of the model in each trial, and where its markers are (m).

    All frames of all trials are solved in one call: static optimisation, and again with each muscle drawn towards a share
    of its antagonists' activity, at the same moments.
    """
    moved = [[trial.motion(trial.time, order) for trial in trials] for order in range(3)]
    geometry = arm_body.study_motion(arm, *map(np.concatenate, moved))
    ends = np.cumsum([len(v) for v in moved[0]])[:-1]
    moments = np.concatenate([_moments(t, person, part) for t, part in zip(trials, _split(geometry, ends))])
    problem = MuscleProblem(
        muscles=MUSCLES,
        coordinates=BALANCED,
        time=np.arange(len(moments)) / RATE_HZ,
        torques=moments,
        moment_arms=geometry.arms,
        active_force=geometry.active_force * person.strength,
        reserves=np.full(len(BALANCED), MUSCLE_RESERVE),
    )
    plain = solve_static_optimization(problem).activations
    quick = np.sqrt(np.mean(np.concatenate(moved[1])[:, :4] ** 2, axis=1)) / FAST_RAD_S
    level = np.concatenate(
        [np.full(len(v), t.cocontraction * person.of_movement[t.movement.name]) for t, v in zip(trials, moved[0])]
    )
    meant = meant_activity(plain.values, geometry.arms, person, level * (1 + setting.with_speed * quick))
    solved = solve_static_optimization(problem, tracking=plain.copy(data=meant), tracking_weight=TRACKING).activations
    activity = [_delayed(a, person.delay_s, setting.rise_s) for a in np.split(solved.values, ends)]
    return activity, np.split(geometry.markers, ends)


def meant_activity(
    plain: Float[np.ndarray, "time muscle"],
    arms: Float[np.ndarray, "time joint muscle"],
    person: Person,
    level: Float[np.ndarray, " time"],
) -> Float[np.ndarray, "time muscle"]:
    """With a share of what the antagonists do, and a tone; an antagonist is who has the opposite moment arms here and now."""
    directions = arms / np.linalg.norm(arms, axis=1, keepdims=True)
    against = np.maximum(-np.einsum("tji,tjk->tik", directions, directions), 0)
    added = person.cocontraction * np.einsum("tik,tk->ti", against, plain) + person.tone
    return np.clip(plain + level[:, None] * added, 0, 1)


def _split(geometry: Geometry, ends: np.ndarray) -> list[Geometry]:
    fields = [np.split(getattr(geometry, f.name), ends) for f in dataclasses.fields(geometry)]
    return [Geometry(*parts) for parts in zip(*fields)]


def _moments(trial: Trial, person: Person, geometry: Geometry) -> Float[np.ndarray, "time joint"]:
    """With what the hand carries and what it moves against."""
    hand = geometry.markers[:, list(MARKERS).index("hand")]
    force = trial.load_kg * (arm_body.GRAVITY - CubicSpline(trial.time, hand)(trial.time, 2))
    force[:, 0] += (
        trial.movement.resistance_n * person.resistance * trial.resistance * trial.motion.pressing(trial.time)
    )
    return geometry.moments + arm_body.load_moments(geometry, force)


def _delayed(activity: np.ndarray, delay_s: float, rise_s: float) -> np.ndarray:
    """Smoothed, and `delay_s` earlier; at the end the arm is at rest, and stays so."""
    smooth = gaussian_filter1d(activity, rise_s * RATE_HZ, axis=0, mode="nearest")
    frames = np.arange(len(smooth))
    later = np.minimum(frames + delay_s * RATE_HZ, frames[-1])
    return np.clip(CubicSpline(frames, smooth)(later), 0, 1)
