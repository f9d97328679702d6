"""Cycles stretched to one length, and a curve of that length put back into a cycle of any length."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float

PHASES = 101  # of a curve: one for each per cent of the cycle


def cycle_spans(time: Float[np.ndarray, " time"], starts: Float[np.ndarray, " start"]) -> list[tuple[int, int, str]]:
    """First and last + 1 sample of each cycle, and whether it is whole or a part: what the recording begins or ends in.

    Without starts all is one whole cycle.
    """
    edges = np.searchsorted(time, starts - 1e-9).tolist()
    if not edges:
        return [(0, time.size, "whole")]
    cycles = [(0, edges[0], "last part"), *((a, b, "whole") for a, b in pairwise(edges))]
    cycles.append((edges[-1], time.size, "first part"))
    return [c for c in cycles if c[1] > c[0]]


def stretched(values: Float[np.ndarray, "time column"]) -> Float[np.ndarray, "phase column"]:
    """A cycle at `PHASES` even phases; NaN near a missing sample."""
    place = np.linspace(0, len(values) - 1, PHASES)
    before = np.floor(place).astype(int)
    after = np.minimum(before + 1, len(values) - 1)
    share = (place - before)[:, None]
    return (1 - share) * values[before] + share * values[after]


def place_curve(
    curve: Float[np.ndarray, "phase column"],
    time: Float[np.ndarray, " time"],
    starts: Float[np.ndarray, " start"],
    length: float,
) -> Float[np.ndarray, "time column"]:
    """The curve in every cycle: stretched to it where it is whole, at `length` samples a cycle where it is a part."""
    placed = np.full((time.size, curve.shape[1]), np.nan)
    for a, b, kind in cycle_spans(time, starts):
        n = b - a
        begun = {"whole": np.linspace(0.0, 1.0, n), "first part": np.arange(n) / length}
        phase = begun.get(kind, 1.0 + (np.arange(n) - n) / length)  # the last part ends with the cycle
        for i, column in enumerate(curve.T):
            placed[a:b, i] = np.interp(phase, np.linspace(0.0, 1.0, column.size), column)
    return placed
