"""The muscles of an OpenSim model without OpenSim: paths as polynomials, forces as curves, fitted once for a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from myodrive.errors import SignalError
from myodrive.from_simulation.hill_muscles import CURVE_POINTS, CURVE_SPANS, Curve, HillMuscles
from myodrive.from_simulation.muscle_paths import MusclePaths
from myodrive.from_simulation.muscle_problem import LEAST_ARM_M, MuscleProblem
from myodrive.from_simulation.opensim import STARTING_S, Model, read_model, run_opensim
from myodrive.from_simulation.path_fitting import fit_muscle_paths
from myodrive.from_simulation.steps import DYNAMICS_S, MUSCLE_RESERVE


@dataclasses.dataclass(frozen=True)
class ModelMuscles:
    """Path and force of every muscle of a model, for all frames together.

    Attributes
    ----------
    paths : MusclePaths
        Over the coordinates that muscles act on.
    hill : HillMuscles
        In the same order.
    """

    paths: MusclePaths
    hill: HillMuscles

    def problem(
        self,
        time: Float[np.ndarray, " time"],
        values: Float[np.ndarray, "time coordinate"],
        speeds: Float[np.ndarray, "time coordinate"],
        torques: Float[np.ndarray, "time coordinate"],
    ) -> MuscleProblem:
        """The problem of static optimisation as `muscle_problem` has it, over ``paths.coordinates``, tendons rigid.

        Parameters
        ----------
        time : array (time,)
        values, speeds : array (time, coordinate)
            In rad and rad/s (translations m and m/s).
        torques : array (time, coordinate)
            In N m (N).

        Raises
        ------
        SignalError
            If a coordinate leaves the fitted range.
        """
        lengths, moment_arms = self.paths(values)
        lengthening = -(speeds[:, None] @ moment_arms)[:, 0]
        active, _ = self.hill.forces(lengths, lengthening, opensim_pennation=True)
        return MuscleProblem(
            muscles=self.paths.muscles,
            coordinates=self.paths.coordinates,
            time=time,
            torques=torques,
            moment_arms=moment_arms,
            active_force=active,
            reserves=np.full(len(self.paths.coordinates), MUSCLE_RESERVE),
        )


def fit_model_muscles(
    model: str | Path | Model,
    ranges: Mapping[str, tuple[float, float]],
    *,
    poses: int = 2000,
    most_degree: int = 6,
    seed: int = 0,
) -> ModelMuscles:
    """Sample a model's muscles in random poses, and fit them.

    Parameters
    ----------
    model : path or Model
        Its muscles must all be `Millard2012EquilibriumMuscle`, whose curves are read.
    ranges : dict of str to (float, float)
        Free coordinates and their least and largest value, rad or m. All others stay at the model's default.
    poses : int
        How many are drawn, evenly over the ranges.
    most_degree : int
        Of the polynomials; see `fit_muscle_paths`.
    seed : int
        Of the poses.

    Raises
    ------
    SignalError
        If a coordinate is not free in the model, or a muscle is of another kind.
    """
    model = model if isinstance(model, Model) else read_model(model)
    unknown = sorted(set(ranges) - {c.name for c in model.free})
    if unknown or not ranges:
        found = ", ".join(c.name for c in model.free)
        raise SignalError(
            f"{', '.join(unknown) or 'nothing'} cannot be moved in this model. It moves in {found}.", where=model.path
        )
    low, high = np.array([*ranges.values()], dtype=np.float64).T
    values = np.random.default_rng(seed).uniform(low, high, (poses, len(ranges)))
    still = np.zeros_like(values)
    sampled = run_opensim(
        "dynamics",
        model.path,
        {"coordinates": [*ranges], "loads": ""},
        {"time": np.arange(poses) / 100, "value": values, "speed": still, "acceleration": still},
        time_limit_s=STARTING_S + DYNAMICS_S * poses,
    )
    names, muscles = sampled.answer["coordinates"], sampled.answer["muscles"]
    arms = sampled.arrays["moment_arms"]
    crossed = [j for j in range(len(names)) if np.abs(arms[:, j]).max(initial=0.0) > LEAST_ARM_M]
    paths = fit_muscle_paths(
        values[:, [[*ranges].index(names[j]) for j in crossed]],
        sampled.arrays["muscle_lengths"],
        arms[:, crossed],
        muscles=muscles,
        coordinates=[names[j] for j in crossed],
        most_degree=most_degree,
    )
    return ModelMuscles(paths, _read_hill_muscles(model))


def _read_hill_muscles(model: Model) -> HillMuscles:
    ends = {name: [*span, CURVE_POINTS] for name, span in CURVE_SPANS.items()}
    read = run_opensim("millard_muscles", model.path, {"curves": ends}).arrays
    curves = [Curve(*span, read[name]) for name, span in CURVE_SPANS.items()]
    return HillMuscles(*read["parameters"].T, *curves)
