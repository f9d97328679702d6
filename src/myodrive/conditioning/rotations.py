"""Rotations as six numbers that never wrap: the first two columns of the rotation matrix.

Angles jump by a turn and two of three run away together near gimbal lock; a quaternion and its negative are the same
rotation. The matrix has none of that, and its third column follows from the other two (Zhou et al. 2019,
10.1109/CVPR.2019.00589).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from myodrive.errors import OptionError

SIX_D = tuple(f"r{row}{column}" for column in (1, 2) for row in (1, 2, 3))
"""The six numbers by name, row and column of the matrix, in the order of `six_d`."""


def from_angles(angles_rad: Float[np.ndarray, "*time 3"], sequence: str) -> Float[np.ndarray, "*time 3 3"]:
    """Rotation matrices from three angles about named axes.

    Parameters
    ----------
    angles_rad : array (…, 3)
        In the order of the sequence.
    sequence : str
        Three letters, such as "YXY" (shoulder) or "ZXY" (hip, knee): capitals are axes that turn along with the body, as in
        joint angles, small letters are fixed axes.

    Raises
    ------
    OptionError
        If the sequence is no three axes of one kind, or has the same axis twice in a row.
    """
    axes = sequence.lower()
    same_kind = sequence in (sequence.lower(), sequence.upper())
    if len(axes) != 3 or set(axes) - set("xyz") or not same_kind or axes[0] == axes[1] or axes[1] == axes[2]:
        raise OptionError(f"'{sequence}' is no sequence of three axes.", remedy='Write it like "YXY" or "ZXY".')
    turns = [about(axis, angles_rad[..., i]) for i, axis in enumerate(axes)]
    first, second, third = turns if sequence.isupper() else turns[::-1]
    return first @ second @ third


def from_quaternions(quaternions: Float[np.ndarray, "*time 4"]) -> Float[np.ndarray, "*time 3 3"]:
    """Rotation matrices from quaternions (w, x, y, z) of any length and either sign; NaN from one of length 0."""
    length = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    w, x, y, z = np.moveaxis(quaternions / np.where(length > 0, length, np.nan), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def from_directions(
    along: Float[np.ndarray, "*time 3"], across: Float[np.ndarray, "*time 3"]
) -> Float[np.ndarray, "*time 3 3"]:
    """Matrices whose first column points along the one direction, and the second across, at a right angle to the first.

    NaN where the two are parallel or one of them has no length.
    """
    first = _unit(along)
    second = _unit(across - (across * first).sum(axis=-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def six_d(matrices: Float[np.ndarray, "*time 3 3"]) -> Float[np.ndarray, "*time 6"]:
    """The first two columns, one behind the other."""
    return np.concatenate([matrices[..., 0], matrices[..., 1]], axis=-1)


def about(axis: str, angle_rad: Float[np.ndarray, "*time"]) -> Float[np.ndarray, "*time 3 3"]:
    """Turns about one axis."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    turn = np.zeros((*angle_rad.shape, 3, 3))
    turn[..., i, i] = 1.0
    turn[..., j, j] = turn[..., k, k] = np.cos(angle_rad)
    turn[..., k, j] = np.sin(angle_rad)
    turn[..., j, k] = -turn[..., k, j]
    return turn


def _unit(vectors: Float[np.ndarray, "*time 3"]) -> Float[np.ndarray, "*time 3"]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 1e-9, length, np.nan)
