"""Static optimisation: which activations make the torques of each frame at the least cost, and what is short.

The criterion of Crowninshield and Brand (1981, 10.1016/0021-9290(81)90035-X) and of OpenSim's tool of the same name:
the sum of all controls to a power, reserve actuators included, subject to the torque balance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from myodrive.activation import Activation
from myodrive.errors import OptionError, SignalError
from myodrive.from_simulation.cost import Cost
from myodrive.from_simulation.muscle_problem import MuscleProblem, distrust
from myodrive.from_simulation.smooth_solver import Parabola, solve_smoothly

OPTIMAL = 1e-5  # the largest residual of the conditions of optimality, in units of control, of a frame that is kept
SATURATED = 1e-6  # so near to the upper bound a muscle can do no more


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class StaticOptimizationResult:
    """Activations, what the reserves had to add, and whether each frame is an optimum.

    Attributes
    ----------
    problem : MuscleProblem
    activations : DataArray (time, muscle)
        From 0 to 1; NaN throughout a frame that was not known or reached no optimum.
    reserves : DataArray (time, coordinate)
        Generalised force of the reserves, N m (N for a translation): the torque that the muscles fall short of.
    optimality : array (time,)
        Largest residual of the conditions of optimality (Karush-Kuhn-Tucker), in units of control: by how much an
        activation or a reserve's control differs from the one that its multipliers ask for, and the imbalance of each
        coordinate as a share of its torque. NaN for a frame that was not known.
    acceptable_share : float
        The share of a coordinate's peak torque up to which a reserve is not mentioned in `messages`.
    """

    problem: MuscleProblem
    activations: xr.DataArray
    reserves: xr.DataArray
    optimality: Float[np.ndarray, "time"]
    bounds: tuple[float, float]
    exponent: int
    acceptable_share: float

    @property
    def converged(self) -> Bool[np.ndarray, "time"]:
        """Frames whose optimum was reached."""
        return np.isfinite(self.activations.values).all(axis=1)

    @property
    def forces(self) -> xr.DataArray:
        """Force of each muscle along its tendon, N, (time, muscle)."""
        values = self.activations * self.problem.active_force + self.problem.passive_force
        return values.assign_attrs(units="N")

    @property
    def residual_torque(self) -> xr.DataArray:
        """What is left of the balance: torques less those of muscles and reserves, (time, coordinate)."""
        made = self.problem.torques_of(self.activations.values)
        return self.reserves.copy(data=self.problem.torques - made - self.reserves.values)

    @property
    def reserve_share(self) -> xr.DataArray:
        """Reserves as a share of the largest torque that their coordinate had in all known frames."""
        peak = np.nanmax(np.abs(self.problem.torques[self.problem.known]), axis=0, initial=1e-12)
        return (np.abs(self.reserves) / peak).assign_attrs(units="1")

    @property
    def saturated(self) -> xr.DataArray:
        """Where a muscle is at its upper bound, (time, muscle)."""
        return self.activations >= self.bounds[1] - SATURATED

    @property
    def messages(self) -> list[str]:
        """What a reader must know, in sentences: frames left out, untrusted muscles, reserves, muscles at their bound."""
        untrusted = distrust(self.problem.untrusted)
        return [*self._frames_left_out(), *untrusted, *self._shortfalls(), *self._saturations()]

    def to_activation(self) -> Activation:
        """As the result that every route ends in. An activation of 1 is the model's own maximum."""
        return Activation(
            self.activations,
            method="static_optimization",
            relative_to="unit",
            configuration={"exponent": self.exponent, "bounds": list(self.bounds)},
            notes=self.messages,
        )

    def _frames_left_out(self) -> list[str]:
        sentences = []
        unknown = ~self.problem.known
        for which, what in ((unknown, "not known (NaN)"), (~self.converged & ~unknown, "without an optimum")):
            if which.any():
                times = ", ".join(f"{t:g}" for t in self.problem.time[which][:5]) + (", …" if which.sum() > 5 else "")
                sentences.append(f"{which.sum()} of {which.size} frames are {what} and NaN in the result: {times} s.")
        return sentences

    def _shortfalls(self) -> list[str]:
        crossed = (np.abs(self.problem.moment_arms) > 0).any(axis=(0, 2))  # NaN is not
        alone = [name for name, is_crossed in zip(self.problem.coordinates, crossed) if not is_crossed]
        sentences = [f"No muscle crosses {', '.join(alone)}: their torque is the reserves' alone."] if alone else []
        share = self.reserve_share.values
        for j, name in enumerate(self.problem.coordinates):
            above = share[:, j] > self.acceptable_share
            if crossed[j] and above.any():
                worst = int(np.nanargmax(share[:, j]))
                sentences.append(
                    f"{name}: the muscles fall short. The reserve makes more than {self.acceptable_share:.0%} of the peak "
                    f"torque in {above.sum()} of {above.size} frames, most at {self.problem.time[worst]:g} s: "
                    f"{abs(self.reserves.values[worst, j]):.3g} of {abs(self.problem.torques[worst, j]):.3g}."
                )
        return sentences

    def _saturations(self) -> list[str]:
        saturated = self.saturated.values
        return [
            f"{name} is at full activation in {count} of {len(saturated)} frames."
            for name, count in zip(self.problem.muscles, saturated.sum(axis=0))
            if count
        ]


def solve_static_optimization(
    problem: MuscleProblem,
    *,
    exponent: int = 2,
    bounds: tuple[float, float] = (0.0, 1.0),
    smoothness_s: float = 0.0,
    tracking: xr.DataArray | None = None,
    tracking_weight: float | Mapping[str, float] = 1.0,
    acceptable_share: float = 0.05,
) -> StaticOptimizationResult:
    """The activations that make the torques of all frames at the least cost.

    Minimises ``Σ a^p + Σ |x|^p`` over activations ``a`` and reserve controls ``x``, each with the weight 1, as OpenSim's
    StaticOptimization does, subject to the balance of `MuscleProblem`. The optimum is unique. Without `smoothness_s`
    every frame is solved by itself.

    Parameters
    ----------
    problem : MuscleProblem
    exponent : 2 or 3
        p; 3 spreads the load over more muscles.
    bounds : (float, float)
        Of every activation. OpenSim takes the controls' own bounds, .01 and 1 for most muscles.
    smoothness_s : float
        Time constant s of the cost ``Σ (s · da/dt)²`` (differences from frame to frame) that is added for each muscle
        and frame, seconds; with an exponent of 2 only. Frames that are not known separate what is before from what is
        after them.
    tracking : DataArray (time, muscle), optional
        Known activations of some muscles, for instance from EMG, on the problem's own times, NaN where not known:
        ``κ (a - known)²`` is added for each.
    tracking_weight : float or mapping of str to float
        κ of all tracked muscles, or of each by name.
    acceptable_share : float
        See `StaticOptimizationResult.messages`.

    Raises
    ------
    OptionError, SignalError
        If an option makes no sense, or `tracking` does not fit the problem.

    Examples
    --------
    Two equal muscles share 30 N m; the reserve, of 1 N m for a unit of control, adds a little.

    >>> import numpy as np
    >>> from myodrive.from_simulation.muscle_problem import MuscleProblem, distrust
    >>> elbow = MuscleProblem(
    ...     muscles=("biceps", "brachialis"), coordinates=("elbow_flexion",), time=np.array([0.0]),
    ...     torques=np.array([[30.0]]), moment_arms=np.full((1, 1, 2), 0.04), active_force=np.full((1, 2), 1000.0),
    ...     reserves=np.array([1.0]),
    ... )
    >>> solution = solve_static_optimization(elbow)
    >>> solution.activations.values.round(4)
    array([[0.3749, 0.3749]])
    >>> float(solution.reserves[0, 0].round(4))
    0.0094
    """
    _check_options(exponent, bounds, smoothness_s, acceptable_share)
    weight, known = _tracking(problem, tracking, tracking_weight)
    coupling = np.where(problem.known[1:] & problem.known[:-1], (smoothness_s / np.diff(problem.time)) ** 2, 0.0)
    cost = Cost(exponent, float(bounds[0]), float(bounds[1]), weight, known, coupling)
    passive = problem.torques_of(np.zeros_like(problem.active_force))
    need = np.where(problem.known[:, None], problem.torques - passive, np.nan)
    activation, control, multiplier = _solve(problem, need, cost)
    optimality = _optimality(problem, need, cost, activation, control, multiplier)
    kept = (optimality <= OPTIMAL)[:, None]
    coords = {"time": problem.time}
    return StaticOptimizationResult(
        problem,
        xr.DataArray(
            np.where(kept, activation, np.nan),
            dims=("time", "muscle"),
            coords={**coords, "muscle": list(problem.muscles)},
            attrs={"units": "1"},
        ),
        xr.DataArray(
            np.where(kept, control * problem.reserves, np.nan),
            dims=("time", "coordinate"),
            coords={**coords, "coordinate": list(problem.coordinates)},
            attrs={"units": "N m"},
        ),
        optimality,
        (cost.low, cost.high),
        exponent,
        acceptable_share,
    )


def _solve(problem: MuscleProblem, need: np.ndarray, cost: Cost) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Activations, controls of the reserves and multipliers of the balance, (time, …); NaN where not known."""
    if cost.coupling.any():
        return _solve_smoothly(problem, need, cost)
    from myodrive.from_simulation.frame_solver import solve_frames  # Numba takes its time to import

    rows, counts = crossings(problem.moment_arms)
    return solve_frames(
        problem.moment_arms,
        problem.active_force,
        need,
        problem.reserves,
        rows,
        counts,
        cost.weight,
        cost.known,
        cost.low,
        cost.high,
        cost.exponent,
    )[:3]


def _solve_smoothly(problem: MuscleProblem, need: np.ndarray, cost: Cost) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    known = problem.known
    pull = problem.moment_arms[known] * problem.active_force[known][:, None]
    # Between two known frames with others between them the coupling is 0, as on either side of those.
    coupling = np.r_[cost.coupling, 0.0][known][:-1]
    part = dataclasses.replace(cost, weight=cost.weight[known], known=cost.known[known], coupling=coupling)
    solution = []
    for values in solve_smoothly(Parabola(pull, need[known], problem.reserves, part)):
        solution.append(np.full((known.size, values.shape[1]), np.nan))
        solution[-1][known] = values
    return solution[0], solution[1], solution[2]


def crossings(
    moment_arms: Float[np.ndarray, "time coordinate muscle"],
) -> tuple[Int[np.ndarray, "muscle most"], Int[np.ndarray, "muscle"]]:
    """The coordinates that each muscle crosses in any frame, and how many: what is zero is never multiplied."""
    crossed = (np.abs(moment_arms) > 0).any(axis=0)  # NaN is not
    counts = crossed.sum(axis=0)
    rows = np.argsort(~crossed, axis=0, kind="stable").T[:, : max(counts.max(), 1)]
    return np.ascontiguousarray(rows), counts


def _optimality(
    problem: MuscleProblem, need: np.ndarray, cost: Cost, a: np.ndarray, x: np.ndarray, multiplier: np.ndarray
) -> Float[np.ndarray, "time"]:
    """See `StaticOptimizationResult.optimality`: computed from the definition, whatever the solver did."""
    p = cost.exponent
    gain = (multiplier[:, None, :] @ problem.moment_arms)[:, 0] * problem.active_force
    bend = np.maximum(p * (p - 1) * a ** (p - 2), 2)
    of_muscles = np.abs(a - np.clip(a - (cost.slope(a) - gain) / bend, cost.low, cost.high))
    size = np.abs(x)
    slope = p * size ** (p - 1) * np.sign(x) - problem.reserves * multiplier
    of_reserves = np.abs(slope) / np.maximum(p * (p - 1) * size ** (p - 2), 2) / (1 + size)
    left = problem.torques - problem.torques_of(a) - problem.reserves * x
    of_balance = np.abs(left) / (np.abs(need) + problem.reserves)
    return np.concatenate([of_muscles, of_reserves, of_balance], axis=1).max(axis=1)


def _check_options(exponent: int, bounds: tuple[float, float], smoothness_s: float, acceptable_share: float) -> None:
    if exponent not in (2, 3):
        raise OptionError(f"the exponent of static optimisation is 2 or 3, not {exponent}.")
    if not 0 <= bounds[0] < bounds[1] < np.inf:
        raise OptionError(f"the bounds of activation must rise from 0 or more, and are {bounds}.")
    if not 0 <= smoothness_s < np.inf:
        raise OptionError(f"smoothness_s must be 0 s or more, and is {smoothness_s}.")
    if smoothness_s and exponent != 2:
        raise OptionError("smoothness over time is there for an exponent of 2 only.")
    if not acceptable_share >= 0:
        raise OptionError(f"the acceptable share of the reserves must be 0 or more, and is {acceptable_share}.")


def _tracking(
    problem: MuscleProblem, tracking: xr.DataArray | None, weights: float | Mapping[str, float]
) -> tuple[Float[np.ndarray, "time muscle"], Float[np.ndarray, "time muscle"]]:
    """κ and known activations of every muscle and frame; κ is 0 where nothing is known."""
    weight, known = np.zeros((2, problem.time.size, len(problem.muscles)))
    if tracking is None:
        return weight, known
    if set(tracking.dims) != {"time", "muscle"} or "muscle" not in tracking.coords:
        raise SignalError(f"activations to track are (time, muscle) with named muscles, not {tuple(tracking.dims)}.")
    times = tracking["time"].values
    if times.shape != problem.time.shape or not np.allclose(times, problem.time, rtol=0, atol=1e-6):
        raise SignalError(
            "activations to track must have the problem's own times.", remedy="Interpolate them to it: tracking.interp."
        )
    names = [str(m) for m in tracking["muscle"].values]
    each = dict(weights) if isinstance(weights, Mapping) else dict.fromkeys(names, weights)
    unknown = sorted({*names, *each} - set(problem.muscles))
    if unknown or set(each) - set(names):
        raise SignalError(
            f"activations to track and their weights name muscles that are not there: "
            f"{', '.join(unknown or sorted(set(each) - set(names)))}. Found: {', '.join(problem.muscles)}."
        )
    for name in names:
        value = each.get(name, 0.0)
        if not 0 <= value < np.inf:
            raise OptionError(f"the tracking weight of {name} must be 0 or more, and is {value}.")
        values = tracking.sel(muscle=name).values
        i = problem.muscles.index(name)
        weight[:, i] = np.where(np.isfinite(values), value, 0.0)
        known[:, i] = np.nan_to_num(values, nan=0.0)
    return weight, known
