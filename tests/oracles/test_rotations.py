"""Rotations beside SciPy's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from myodrive.conditioning.rotations import from_angles, from_directions, from_quaternions, six_d

RNG = np.random.default_rng(1000)
AXES = ["".join(s) for s in itertools.product("xyz", repeat=3) if s[0] != s[1] != s[2]]


@pytest.mark.parametrize("sequence", [*AXES, *(s.upper() for s in AXES)])
def test_three_angles_are_the_rotation_that_scipy_makes_of_them(sequence: str) -> None:
    angles = RNG.uniform(-np.pi, np.pi, (20, 3))
    assert np.allclose(from_angles(angles, sequence), Rotation.from_euler(sequence, angles).as_matrix(), atol=1e-12)


def test_quaternions_of_any_length_and_either_sign_are_the_rotation_that_scipy_makes_of_them() -> None:
    quaternions = RNG.normal(size=(50, 4))
    wanted = Rotation.from_quat(quaternions[:, [1, 2, 3, 0]]).as_matrix()
    assert np.allclose(from_quaternions(quaternions), wanted, atol=1e-12)
    assert np.allclose(from_quaternions(-3 * quaternions), wanted, atol=1e-12)


def test_six_numbers_give_the_whole_rotation_back() -> None:
    matrices = Rotation.random(50, random_state=2).as_matrix()
    six = six_d(matrices)
    assert np.allclose(from_directions(six[:, :3], six[:, 3:]), matrices, atol=1e-12)
