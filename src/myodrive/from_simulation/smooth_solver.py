"""The optimum of all frames together, where changes from frame to frame cost something.

With the reserves put in by the balance, ``x = (need - P a) / D``, a convex parabola of the activations between their
bounds is left, whose curvature ties each frame to its neighbours only: a block tridiagonal matrix. Mehrotra's
predictor-corrector (1992, 10.1137/0802028) comes near the optimum in some ten to twenty steps, however strong the tie
is; a few exact solutions between the bounds that it found (a primal-dual active set: Hintermüller, Ito and Kunisch 2002,
10.1137/S1052623401383558) end at it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from myodrive.from_simulation.cost import Cost

MOST_STEPS, MOST_EXACT = 100, 30
NEAR = 1e-8  # mean distance to a bound times the force towards it, where exact solutions take over
TO_THE_BOUND = 0.995  # of the way to the nearest bound that a step may go

Frames = Float[np.ndarray, "time muscle"]
Controls = Float[np.ndarray, "time coordinate"]


@dataclasses.dataclass(frozen=True)
class Parabola:
    """The cost as a function of all activations; every frame must be known, and the exponent is 2.

    `pull` (time, coordinate, muscle) is the torque of each muscle at full activation, `need` (time, coordinate) what
    active muscles and reserves have to make, `reserves` (coordinate,) the torque of each for one unit of control.
    """

    pull: Float[np.ndarray, "time coordinate muscle"]
    need: Controls
    reserves: Float[np.ndarray, "coordinate"]
    cost: Cost

    def balanced(self, a: Frames) -> tuple[Controls, Controls]:
        """Controls of the reserves that keep the balance, and its multipliers."""
        control = (self.need - (self.pull @ a[..., None])[..., 0]) / self.reserves
        return control, 2 * control / self.reserves

    def slope(self, a: Frames) -> Frames:
        return self.cost.slope(a) - (self.balanced(a)[1][:, None] @ self.pull)[:, 0]

    def curvature(self) -> Float[np.ndarray, "time muscle muscle"]:
        """Within each frame; between neighbours it is -2 ω for each muscle and nothing else."""
        scaled = self.pull / self.reserves[:, None]
        blocks = 2 * scaled.swapaxes(1, 2) @ scaled
        ties = np.r_[0.0, self.cost.coupling] + np.r_[self.cost.coupling, 0.0]
        places = range(blocks.shape[1])
        blocks[:, places, places] += 2 + 2 * self.cost.weight + 2 * ties[:, None]
        return blocks


def solve_smoothly(parabola: Parabola) -> tuple[Frames, Controls, Controls]:
    """Activations, controls of the reserves and multipliers of the balance at the optimum."""
    low, high = parabola.cost.low, parabola.cost.high
    curvature = parabola.curvature()
    tie = np.repeat(2 * parabola.cost.coupling[:, None], curvature.shape[1], axis=1)
    a = np.full(curvature.shape[:2], 0.5 * (low + high))
    down, up = np.ones_like(a), np.ones_like(a)  # the forces of the lower and the upper bound
    for _ in range(MOST_STEPS):
        state = (parabola.slope(a), a - low, high - a, down, up)
        gap = _gap(state)
        if gap < NEAR:
            break
        solve = factorised(curvature, down / (a - low) + up / (high - a), tie)
        moves = _moves(solve, state, 0.0, 0.0, 0.0)
        size = _length(state, moves)
        left = _gap(tuple(v + size * m for v, m in zip(state[1:], (moves[0], -moves[0], *moves[1:]))))
        moves = _moves(solve, state, gap * (left / gap) ** 3, moves[0] * moves[1], -moves[0] * moves[2])
        size = min(1.0, TO_THE_BOUND * _length(state, moves))
        a, down, up = (value + size * m for value, m in zip((a, down, up), moves))
    a = _between_bounds(parabola, curvature, tie, a, down > a - low, up > high - a)
    return a, *parabola.balanced(a)


def _gap(state: tuple[Frames, ...]) -> float:
    """Mean of distance times force over all bounds."""
    below, above, down, up = state[-4:]
    return float((below * down + above * up).mean() / 2)


def _moves(
    solve: Callable[[Frames], Frames],
    state: tuple[Frames, ...],
    target: float,
    low_error: Frames | float,
    high_error: Frames | float,
) -> tuple[Frames, Frames, Frames]:
    """Newton's step of the activations and of both forces towards `target`, distance times force at every bound."""
    slope, below, above, down, up = state
    to_low, to_high = (target - low_error) / below, (target - high_error) / above
    move = solve(to_low - to_high - slope)
    return move, to_low - down - down / below * move, to_high - up + up / above * move


def _length(state: tuple[Frames, ...], moves: tuple[Frames, ...]) -> float:
    """How far a step can go, 1 at most, before something that is positive is zero."""
    _, below, above, down, up = state
    move, to_down, to_up = moves
    falls = [(-move / below).max(), (move / above).max(), (-to_down / down).max(), (-to_up / up).max()]
    return 1 / max(1.0, *falls)


def _between_bounds(
    parabola: Parabola,
    curvature: Float[np.ndarray, "time muscle muscle"],
    tie: Float[np.ndarray, "gap muscle"],
    a: Frames,
    at_low: Bool[np.ndarray, "time muscle"],
    at_high: Bool[np.ndarray, "time muscle"],
) -> Frames:
    """The optimum with those at their bounds held there, until none wants to leave its bound or to go beyond."""
    low, high = parabola.cost.low, parabola.cost.high
    for _ in range(MOST_EXACT):
        a = np.where(at_low, low, np.where(at_high, high, a))
        free = (~(at_low | at_high)).astype(np.float64)
        blocks = curvature * free[:, :, None] * free[:, None, :]
        a = a + factorised(blocks, 1 - free, tie * free[1:] * free[:-1])(-parabola.slope(a) * free)
        slope = parabola.slope(a)
        to_low = np.where(at_low, slope >= 0, (free > 0) & (a < low))
        to_high = np.where(at_high, slope <= 0, (free > 0) & (a > high))
        if (to_low == at_low).all() and (to_high == at_high).all():
            break
        at_low, at_high = to_low, to_high
    return np.clip(a, low, high)


def factorised(
    blocks: Float[np.ndarray, "time muscle muscle"], diagonal: Frames, tie: Float[np.ndarray, "gap muscle"]
) -> Callable[[Frames], Frames]:
    """The inverse of the block tridiagonal matrix of `blocks` plus `diagonal`, with minus `tie` beside them."""
    inverses = np.empty_like(blocks)
    places = range(blocks.shape[1])
    for t, block in enumerate(blocks):
        here = block.copy()
        here[places, places] += diagonal[t]
        if t:
            here -= tie[t - 1][:, None] * inverses[t - 1] * tie[t - 1]
        inverses[t] = np.linalg.inv(here)

    def solve(right: Frames) -> Frames:
        out = right.copy()
        for t in range(1, len(out)):
            out[t] += tie[t - 1] * (inverses[t - 1] @ out[t - 1])
        out[-1] = inverses[-1] @ out[-1]
        for t in range(len(out) - 2, -1, -1):
            out[t] = inverses[t] @ (out[t] + tie[t] * out[t + 1])
        return out

    return solve
