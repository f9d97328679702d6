"""The swivel angle: how far the elbow is turned about the line from shoulder to wrist.

With shoulder and wrist held still the elbow can still move on a circle: the one freedom of the arm that the hand does not
show. The angle is zero where the elbow hangs lowest. With n the direction from shoulder S to wrist W, u the direction
"down" and v that from S to the elbow E, both without their part along n,

    φ = atan2(n · (u × v), u · v).

It is undefined where the arm is straight (v = 0) and where the hand is straight below or above the shoulder (u = 0); near
there it says little. What is given is therefore sin φ and cos φ with a weight: the smaller of |v| over `STRAIGHT` lengths of
the arm and |u| over `BELOW`, at most 1.

References
----------
Korein JU, Badler NI (1982) IEEE Comput Graph Appl 2(9):71–81, 10.1109/MCG.1982.1674498.
Tolani D, Goswami A, Badler NI (2000) Graph Models 62:353–388, 10.1006/gmod.2000.0528.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from myodrive.recording import gap_free_runs

STRAIGHT = 0.05  # of the arm's length, 25 mm: an elbow flexed by 20°
BELOW = 0.2  # the sine of 12°
LEAST_WEIGHT = (
    0.5  # below (an elbow flexed by 10°, a hand 6° from the line), the angle is taken from its neighbours in time
)


class Swivel(NamedTuple):
    """(time,) each; NaN where a point is missing. `weight` 0: the angle is undefined; 1: it is well defined."""

    sin: Float[np.ndarray, " time"]
    cos: Float[np.ndarray, " time"]
    weight: Float[np.ndarray, " time"]

    @property
    def angle_rad(self) -> Float[np.ndarray, " time"]:
        """Between −π and π: it wraps, so it is for the eye and not for a network."""
        return np.arctan2(self.sin, self.cos)


def swivel_angle(
    shoulder: Float[np.ndarray, "time 3"],
    elbow: Float[np.ndarray, "time 3"],
    wrist: Float[np.ndarray, "time 3"],
    *,
    down: tuple[float, float, float],
) -> Swivel:
    """Sine and cosine of the swivel angle, with how well it is defined.

    Where the weight is below `LEAST_WEIGHT` the angle is interpolated between its neighbours in time, the shorter way
    round, and held at the ends of what was seen in one piece; an angle that is defined nowhere in it is 0.

    Parameters
    ----------
    shoulder, elbow, wrist : array (time, axis)
        In any unit.
    down : (x, y, z)
        Where gravity points, such as (0, 0, -1).

    Examples
    --------
    >>> s, w = np.zeros((1, 3)), np.array([[0.5, 0.0, 0.0]])
    >>> hanging, out = np.array([[0.25, 0.0, -0.2]]), np.array([[0.25, 0.2, 0.0]])
    >>> [round(float(np.degrees(swivel_angle(s, e, w, down=(0, 0, -1)).angle_rad[0]))) for e in (hanging, out)]
    [0, 90]
    """
    arm = np.linalg.norm(elbow - shoulder, axis=1) + np.linalg.norm(wrist - elbow, axis=1)
    line = wrist - shoulder
    n = line / np.maximum(np.linalg.norm(line, axis=1, keepdims=True), 1e-12)
    u = np.asarray(down, dtype=np.float64) / np.linalg.norm(down)
    u, v = (x - (x * n).sum(axis=1, keepdims=True) * n for x in (np.broadcast_to(u, n.shape), elbow - shoulder))
    size_u, size_v = np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1) / np.maximum(arm, 1e-12)
    weight = np.minimum(np.minimum(size_u / BELOW, size_v / STRAIGHT), 1.0)
    angle = np.arctan2((n * np.cross(u, v)).sum(axis=1), (u * v).sum(axis=1))
    known = np.isfinite(angle)
    for run in gap_free_runs(np.arange(float(len(angle))), known):
        angle[run] = _fill(angle[run], weight[run] >= LEAST_WEIGHT)
    return Swivel(*(np.where(known, x, np.nan) for x in (np.sin(angle), np.cos(angle), weight)))


def _fill(angle: Float[np.ndarray, " time"], sure: Bool[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """Interpolated where it is not sure, the shorter way round, and held at the ends; 0 where nothing is sure."""
    place = np.flatnonzero(sure)
    if not place.size:
        return np.zeros(angle.size)
    return np.interp(np.arange(angle.size), place, np.unwrap(angle[place]))
