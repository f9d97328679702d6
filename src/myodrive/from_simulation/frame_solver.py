"""The optimum of every frame by itself, all frames in one compiled call.

A frame asks for activations ``a`` (each between two bounds) and reserve controls ``x`` that

    minimise    Σ a^p + Σ |x|^p + Σ κ (a - known)²      such that      P a + D x = need

where ``P`` (coordinate, muscle) is the torque of each muscle at full activation and ``D`` the strength of the reserves.
Near a point this cost is a parabola in each variable, ``½ h (z - c)²``, for ``p = 2`` everywhere. For given multipliers
``λ`` of the balance the optimum of the parabolas is ``clip(c + Pᵀλ / h)``, so that only the balance itself is left: as
many piecewise linear equations as there are coordinates, the slope of a concave dual. `_balance` solves it by Newton's
method, whose step is cut back where the dual's slope along it changes sign; it ends at the exact optimum once the right
muscles are at their bounds. For ``p = 3`` `_optimise` repeats this with new parabolas (Newton's method again, cut back
where the cost would rise). Each frame starts from the multipliers of the frame before it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
from numba import njit

# Relative to each coordinate's torque. Large reserves mean large multipliers, whose rounding a muscle with a flat cost
# (cubed, near 0) magnifies: then the first is out of reach, and steps that gain nothing end at the second.
BALANCED, NEARLY_BALANCED = 1e-10, 1e-7
MOST_NEWTON_STEPS, MOST_PARABOLAS, MOST_CUTS = 200, 60, 40
LAST_MOVE = 1e-5  # of a control: Newton's next would be its square
LAST_FLOOR = 1e-4
FIRST_FLOOR = 0.03  # of a control in the curvature of the cubed cost, which is zero at 0; a quarter from turn to turn


def jit(function: Callable) -> Callable:
    """Compile a function, and keep the result on disk. Sums may be taken in any order, as vector instructions do."""
    return njit(inspect.unwrap(function), fastmath={"contract", "reassoc"}, error_model="numpy", cache=True)


@jit
def solve_frames(moment_arms, force, need, reserves, rows, counts, weight, known, low, high, exponent):  # type: ignore[no-untyped-def]
    """The optimum of each frame.

    Parameters
    ----------
    moment_arms : (time, coordinate, muscle)
    force : (time, muscle), at full activation
    need : (time, coordinate), what active muscles and reserves have to make; a frame with NaN is passed over
    reserves : (coordinate,)
    rows, counts : (muscle, most), (muscle,): the coordinates that each muscle crosses, and how many
    weight, known : (time, muscle): κ and known activations
    low, high : bounds of the activations
    exponent : 2 or 3

    Returns
    -------
    activation, control, multiplier
        (time, muscle), (time, coordinate), (time, coordinate); where no optimum was reached, the last iterate.
    steps
        (time,): Newton steps taken.
    """
    n_time, n_coordinate, n_muscle = moment_arms.shape
    most = rows.shape[1]
    activation = np.full((n_time, n_muscle), np.nan)
    control = np.full((n_time, n_coordinate), np.nan)
    multiplier = np.full((n_time, n_coordinate), np.nan)
    steps = np.zeros(n_time, np.int64)
    pull = np.zeros((n_muscle, most))
    lam = np.zeros(n_coordinate)
    a, x = np.full(n_muscle, 0.3), np.full(n_coordinate, 0.3)
    for t in range(n_time):
        if not np.isfinite(need[t]).all():
            lam[:], a[:], x[:] = 0.0, 0.3, 0.3
            continue
        for i in range(n_muscle):
            for k in range(counts[i]):
                pull[i, k] = moment_arms[t, rows[i, k], i] * force[t, i]
        steps[t] = _optimise(pull, rows, counts, reserves, need[t], weight[t], known[t], low, high, exponent, lam, a, x)
        _settle(pull, rows, counts, reserves, need[t], a, x)
        activation[t], control[t], multiplier[t] = a, x, lam
        if not np.isfinite(lam).all():
            lam[:], a[:], x[:] = 0.0, 0.3, 0.3
    return activation, control, multiplier, steps


@jit
def _optimise(pull, rows, counts, reserves, need, weight, known, low, high, exponent, lam, a, x):  # type: ignore[no-untyped-def]
    """One frame; `lam`, `a` and `x` are the start and become the optimum. Returns the number of Newton steps."""
    n_muscle, n_coordinate = a.size, x.size
    n = n_muscle + n_coordinate
    bent, centre = np.empty(n), np.empty(n)  # h and c of the parabolas, muscles first
    start, end, move = np.empty(n), np.empty(n), np.empty(n)
    floor, steps = FIRST_FLOOR, 0
    for turn in range(MOST_PARABOLAS):
        start[:n_muscle], start[n_muscle:] = a, x
        for i in range(n):
            z = start[i]
            if exponent == 2:
                bent[i], slope = 2.0, 2.0 * z
            else:
                bent[i], slope = 6.0 * max(abs(z), floor), 3.0 * z * abs(z)
            if i < n_muscle:
                bent[i] += 2.0 * weight[i]
                slope += 2.0 * weight[i] * (z - known[i])
            centre[i] = z - slope / bent[i]
        steps += _balance(pull, rows, counts, reserves, need, bent, centre, low, high, lam, a, x)
        if exponent == 2:
            return steps
        end[:n_muscle], end[n_muscle:] = a, x
        move[:] = end - start
        if turn > 0:  # before, the start belonged to another frame and does not meet this one's balance
            first = _slope(start, move, weight, known)
            for _ in range(MOST_CUTS):
                if first >= 0.0 or _slope(end, move, weight, known) <= -0.5 * first:  # or it is all rounding
                    break
                end[:] = 0.5 * (start + end)
            a[:], x[:] = end[:n_muscle], end[n_muscle:]
        if floor == LAST_FLOOR and (np.abs(move) <= LAST_MOVE * (1.0 + np.abs(end))).all():
            return steps
        floor = max(0.25 * floor, LAST_FLOOR)
    return steps


@jit
def _settle(pull, rows, counts, reserves, need, a, x):  # type: ignore[no-untyped-def]
    """Let the reserves make what is still missing, so that the balance holds to the last digit."""
    gap = need - reserves * x
    for i in range(a.size):
        for k in range(counts[i]):
            gap[rows[i, k]] -= pull[i, k] * a[i]
    x += gap / reserves


@jit
def _slope(z, move, weight, known):  # type: ignore[no-untyped-def]
    """Of the cubed cost at `z` along `move`."""
    total = 0.0
    for i in range(z.size):
        total += 3.0 * z[i] * abs(z[i]) * move[i]
    for i in range(weight.size):
        total += 2.0 * weight[i] * (z[i] - known[i]) * move[i]
    return total


@jit
def _balance(pull, rows, counts, reserves, need, bent, centre, low, high, lam, a, x):  # type: ignore[no-untyped-def]
    """The multipliers at which the parabolas' optimum meets the balance; `lam` is the start."""
    n_muscle, n_coordinate = a.size, x.size
    free = np.empty(n_muscle)  # the optimum without bounds
    along = np.empty(n_muscle)  # how its pull grows along the step
    gap, step = np.empty(n_coordinate), np.empty(n_coordinate)
    curvature = np.empty((n_coordinate, n_coordinate))
    best, idle = np.inf, 0
    for count in range(MOST_NEWTON_STEPS):
        worst = 0.0
        for j in range(n_coordinate):
            x[j] = centre[n_muscle + j] + reserves[j] * lam[j] / bent[n_muscle + j]
            gap[j] = need[j] - reserves[j] * x[j]
        for i in range(n_muscle):
            s = 0.0
            for k in range(counts[i]):
                s += pull[i, k] * lam[rows[i, k]]
            free[i] = centre[i] + s / bent[i]
            a[i] = min(max(free[i], low), high)
            for k in range(counts[i]):
                gap[rows[i, k]] -= pull[i, k] * a[i]
        for j in range(n_coordinate):
            worst = max(worst, abs(gap[j]) / (abs(need[j]) + reserves[j]))
        idle = 0 if worst < 0.5 * best else idle + 1
        best = min(best, worst)
        if worst <= BALANCED or (idle > 10 and worst <= NEARLY_BALANCED):
            return count
        _step(pull, rows, counts, reserves, bent, free, low, high, gap, curvature, step)
        cut = _cut(pull, rows, counts, reserves, need, bent, free, low, high, x, gap, step, along)
        for j in range(n_coordinate):
            lam[j] += cut * step[j]
    return MOST_NEWTON_STEPS


@jit
def _step(pull, rows, counts, reserves, bent, free, low, high, gap, curvature, step):  # type: ignore[no-untyped-def]
    """Newton's step: the curvature comes from the reserves and the muscles between their bounds. By Cholesky."""
    n_muscle, n = free.size, gap.size
    curvature[:] = 0.0
    for j in range(n):
        curvature[j, j] = reserves[j] ** 2 / bent[n_muscle + j]
    for i in range(n_muscle):
        if low < free[i] < high:
            for k in range(counts[i]):
                p = pull[i, k] / bent[i]
                for m in range(k + 1):  # rows rise, so this is the lower triangle
                    curvature[rows[i, k], rows[i, m]] += p * pull[i, m]
    for j in range(n):
        for k in range(j):
            s = curvature[j, k]
            for m in range(k):
                s -= curvature[j, m] * curvature[k, m]
            curvature[j, k] = s / curvature[k, k]
        s = curvature[j, j]
        for m in range(j):
            s -= curvature[j, m] ** 2
        curvature[j, j] = np.sqrt(s)
    for j in range(n):
        s = gap[j]
        for m in range(j):
            s -= curvature[j, m] * step[m]
        step[j] = s / curvature[j, j]
    for j in range(n - 1, -1, -1):
        s = step[j] / curvature[j, j]
        step[j] = s
        for m in range(j):
            step[m] -= curvature[j, m] * s


@jit
def _cut(pull, rows, counts, reserves, need, bent, free, low, high, x, gap, step, along):  # type: ignore[no-untyped-def]
    """How much of the step to take: all of it, unless the dual's slope changes its sign before; then to about there."""
    n_muscle, n = free.size, gap.size
    first, constant, fall = 0.0, 0.0, 0.0
    for j in range(n):
        first += step[j] * gap[j]
        constant += step[j] * (need[j] - reserves[j] * x[j])
        fall += (step[j] * reserves[j]) ** 2 / bent[n_muscle + j]
    for i in range(n_muscle):
        s = 0.0
        for k in range(counts[i]):
            s += pull[i, k] * step[rows[i, k]]
        along[i] = s
    cut, left, right = 1.0, 0.0, 1.0
    for turn in range(MOST_CUTS):
        slope, bend = constant - cut * fall, fall
        for i in range(n_muscle):
            here = free[i] + cut * along[i] / bent[i]
            slope -= along[i] * min(max(here, low), high)
            if low < here < high:
                bend += along[i] ** 2 / bent[i]
        if (turn == 0 and slope >= -1e-9 * first) or abs(slope) <= 0.01 * first:
            break
        if slope > 0.0:
            left = cut
        else:
            right = cut
        cut += slope / bend
        if not left < cut < right:
            cut = 0.5 * (left + right)
    return cut
