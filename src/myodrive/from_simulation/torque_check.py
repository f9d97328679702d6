"""Refined activity back through the muscle model: how far are the joint torques off, and how to keep that under a bound.

Refined activity has no absolute size, since EMG has none: each muscle is given the mean that the simulation has for it.
What is checked is therefore its course. Muscles without EMG stay as they are simulated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from myodrive.activation import Activation
from myodrive.errors import OptionError, SignalError
from myodrive.from_simulation.muscle_problem import MuscleProblem
from myodrive.from_simulation.static_optimization import StaticOptimizationResult, solve_static_optimization
from myodrive.trials import to_clock

WEIGHTS = (1e-3, 1e4)  # of tracking, between which the heaviest that keeps the bound is looked for
HALVINGS = 12  # of that range, on a logarithmic scale


@dataclasses.dataclass(frozen=True, eq=False)
class TorqueCheck:
    """What refined activity does to the joint torques.

    Attributes
    ----------
    activations : DataArray (time, muscle)
        Of all muscles of the model, on the clock of the problem: the refined ones in the model's unit, from 0 to 1, the
        others as simulated.
    error : DataArray (time, coordinate)
        Torque of these activations less that of the problem, N m.
    tracking_weight : float
        How strongly the refined activity was held to; infinite where it was taken as it is.
    """

    activations: xr.DataArray
    error: xr.DataArray
    torques: xr.DataArray
    tracking_weight: float = np.inf

    @property
    def relative(self) -> pd.Series:
        """Root-mean-square error of each coordinate over the root-mean-square torque."""
        size = np.sqrt(np.nanmean(self.torques.values**2, axis=0))
        share = np.sqrt(np.nanmean(self.error.values**2, axis=0)) / np.maximum(size, 1e-12)
        return pd.Series(share, index=[str(c) for c in self.torques.coordinate.values], name="torque error")

    def to_activation(self) -> Activation:
        """Of all muscles of the model. An activation of 1 is the model's own maximum."""
        worst = str(self.relative.idxmax())
        note = f"The largest torque error is {self.relative[worst]:.1%}, of {worst}."
        return Activation(self.activations, method="within_torques", relative_to="unit", notes=[note])


def check_torques(
    problem: MuscleProblem,
    refined: Activation,
    simulated: StaticOptimizationResult | None = None,
    pairs: Mapping[str, Sequence[str]] | None = None,
) -> TorqueCheck:
    """The joint torques that refined activity would make, beside those that were needed.

    Parameters
    ----------
    problem : MuscleProblem
    refined : Activation (time, muscle)
        On any clock; times of the problem that it does not cover are not known.
    simulated : StaticOptimizationResult, optional
        Of the same problem; solved here without one. The muscles without EMG come from it.
    pairs : mapping of str to sequence of str, optional
        Measured muscle to muscles of the model, as in the corrections. The muscles of one electrode share its course,
        each with its own mean. One that is not named has the muscle of its own name.

    Raises
    ------
    SignalError
        If no refined muscle is one of the model's, or none of it falls into the problem's time.
    """
    solved = simulated or solve_static_optimization(problem)
    wanted = _in_units_of_the_model(problem, refined, solved, pairs or {})
    return _checked(problem, solved, wanted, np.inf)


def refine_within_torques(
    problem: MuscleProblem,
    refined: Activation,
    bound: float = 0.1,
    pairs: Mapping[str, Sequence[str]] | None = None,
) -> TorqueCheck:
    """The activity nearest to the refined one whose torque errors stay under a bound.

    Static optimisation tracks the refined activity (``κ (a − refined)²`` for each muscle beside the cost of all): heavily,
    and the reserves make up for what the torques lack; lightly, and the muscles without EMG, and at last all, give way. The
    heaviest κ is taken for which the reserves stay under the bound.

    Parameters
    ----------
    bound : float
        Largest root-mean-square torque error of any coordinate that a muscle crosses, over its root-mean-square torque.
    problem, refined, pairs
        As of `check_torques`.

    Raises
    ------
    OptionError
        If static optimisation by itself exceeds the bound already, so that no refinement can keep it.
    """
    if not 0 < bound < np.inf:
        raise OptionError(f"the bound of torque errors is a share above 0, and is {bound:g}.", where="--torque-bound")
    plain = solve_static_optimization(problem)
    crossed = (np.abs(problem.moment_arms) > 0).any(axis=(0, 2))
    wanted = _in_units_of_the_model(problem, refined, plain, pairs or {})
    least = _checked(problem, plain, plain.activations, 0.0)
    worst = float(least.relative[crossed].max())
    if not worst <= bound:
        raise OptionError(
            f"static optimisation without any refinement is {worst:.1%} off already, above the bound of {bound:.1%}.",
            remedy="Raise the bound, or see which muscles fall short: StaticOptimizationResult.messages.",
        )
    low, high = np.log(WEIGHTS)
    found = least
    for weight in (high, *([np.nan] * HALVINGS)):
        weight = 0.5 * (low + high) if np.isnan(weight) else weight
        solved = solve_static_optimization(problem, tracking=wanted, tracking_weight=float(np.exp(weight)))
        tried = _checked(problem, solved, solved.activations, float(np.exp(weight)))
        if tried.relative[crossed].max() <= bound:
            found, low = tried, weight
        else:
            high = weight
        if low == high:
            break
    return found


def _in_units_of_the_model(
    problem: MuscleProblem, refined: Activation, solved: StaticOptimizationResult, pairs: Mapping[str, Sequence[str]]
) -> xr.DataArray:
    """The refined course of each muscle of the model that has one, with the mean of its simulated activity."""
    values = to_clock(refined.activation.values, refined.activation.time.values, problem.time)
    names, columns = [], []
    for muscle, course in zip(refined.muscles, values.T):
        for name in pairs.get(muscle, (muscle,)):
            if name not in problem.muscles:
                continue
            simulated = solved.activations.sel(muscle=name).values
            known = np.isfinite(course) & np.isfinite(simulated)
            if known.any() and course[known].mean() > 0:
                names.append(name)
                columns.append(np.clip(course * simulated[known].mean() / course[known].mean(), *solved.bounds))
    if not names:
        raise SignalError(
            f"none of the refined muscles {', '.join(refined.muscles)} is known in the model at the problem's times.",
            remedy=f"Say which are the same with pairs. The model has {', '.join(problem.muscles)}.",
        )
    coords = {"time": problem.time, "muscle": names}
    return xr.DataArray(np.stack(columns, axis=1), dims=("time", "muscle"), coords=coords)


def _checked(
    problem: MuscleProblem, solved: StaticOptimizationResult, wanted: xr.DataArray, weight: float
) -> TorqueCheck:
    activations = solved.activations.copy(deep=True)
    activations.loc[{"muscle": wanted.muscle}] = wanted
    torques = solved.reserves.copy(data=problem.torques)
    error = problem.torques_of(activations.values) - problem.torques
    return TorqueCheck(activations, torques.copy(data=error), torques, weight)
