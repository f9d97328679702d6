"""The rules of a population's search, as pure functions of (seed, generation, member): who copies whom, and what changes.

No draw depends on how the members are spread over processes or machines, so neither does the search.

Population based training: Jaderberg et al. 2017, 10.48550/arXiv.1711.09846; of LFADS: Keshtkaran et al. 2022,
10.1038/s41592-021-01360-5.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

SMOOTHING = 0.3  # weight of the newest epoch in a member's score, as published
LEAST_GAIN = 5e-4  # nat per held-out sample; the published gain is relative, and gamma scores cross zero
PATIENCE = 4  # generations, as published
MOST_SKIPPED = 0.5  # share of a generation's steps; a member that loses more has no finite loss

Values = dict[str, float]  # hyperparameters by name


@dataclasses.dataclass(frozen=True)
class Range:
    """How one hyperparameter is searched, always in its logarithm."""

    low: float  # above 0
    high: float
    first: float  # factor by which a first draw lies above or below its initial value at the most
    step: float  # the same for a perturbation of what a member had


def searched(row: Mapping[str, float]) -> list[str]:
    """The hyperparameters in a row of a search's history: what stands between the parent and the score."""
    names = list(row)
    return names[names.index("parent") + 1 : names.index("score")]


def explore(
    values: Values,
    ranges: Mapping[str, Range],
    which: Literal["first", "step"],
    seed: int,
    generation: int,
    member: int,
) -> Values:
    """Multiply each hyperparameter by exp(U(−s, s)), reflected at its bounds.

    Symmetric in the logarithm, so many perturbations in a row prefer no direction.
    """
    rng = _rng(seed, "explore", generation, member)
    changed = dict(values)
    for name, bounds in ranges.items():
        far = math.log(getattr(bounds, which))
        place = math.log(values[name]) + far * rng.uniform(-1, 1)
        inside = math.exp(_reflected(place, math.log(bounds.low), math.log(bounds.high)))
        changed[name] = min(max(inside, bounds.low), bounds.high)  # exp(log(x)) may round to just outside
    return changed


def _reflected(x: float, low: float, high: float) -> float:
    if high <= low:
        return low
    turn = (x - low) % (2 * (high - low))
    return low + min(turn, 2 * (high - low) - turn)


def tournament(scores: Mapping[int, float], seed: int, generation: int) -> dict[int, int]:
    """Whose weights each member goes on with: its own, or those of a rival drawn for it that has the lower score.

    A member whose score is not finite takes those of a rival drawn among the finite ones; if there is none, its own.
    """
    parents = {}
    finite = [m for m in sorted(scores) if math.isfinite(scores[m])]
    for member, score in scores.items():
        rivals = [m for m in finite if m != member]
        if not rivals:
            parents[member] = member
            continue
        rival = rivals[int(_rng(seed, "tournament", generation, member).integers(len(rivals)))]
        parents[member] = rival if not math.isfinite(score) or scores[rival] < score else member
    return parents


def survivors(scores: Mapping[int, float], n: int) -> list[int]:
    """The `n` members with the lowest scores, in the order of their numbers; those that are not finite go first."""
    ranked = sorted(scores, key=lambda m: (scores[m] if math.isfinite(scores[m]) else math.inf, m))
    return sorted(ranked[:n])


def smoothed(before: float, now: float) -> float:
    """The exponentially smoothed score; a member that has none yet (NaN) starts at its first."""
    return now if math.isnan(before) else SMOOTHING * now + (1 - SMOOTHING) * before


def stalled(bests: Sequence[float]) -> bool:
    """Whether `PATIENCE` generations have passed since the best score last fell by `LEAST_GAIN`."""
    if not bests:
        return False
    mark, waited = bests[0], 0
    for best in bests[1:]:
        gained = best < mark - LEAST_GAIN or not math.isfinite(mark)
        mark, waited = (best, 0) if gained else (mark, waited + 1)
    return waited >= PATIENCE


def _rng(seed: int, purpose: Literal["explore", "tournament"], generation: int, member: int) -> np.random.Generator:
    return np.random.default_rng([seed % 2**32, ["explore", "tournament"].index(purpose), generation, member])
