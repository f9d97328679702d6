"""Polynomial muscle paths: what they were fitted to comes back, and slopes belong to lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from myodrive import MusclePaths, MyodriveError, fit_muscle_paths

MUSCLES, COORDINATES = ("straight", "two_joint", "hinge", "nowhere"), ("hip", "knee", "ankle")


def geometry(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A cubic over two joints, the same over one, a rope over a hinge (no polynomial), and a muscle that crosses none."""
    hip, knee, _ = q.T
    rope = np.sqrt(0.05**2 + 0.2**2 - 2 * 0.05 * 0.2 * np.cos(2.0 + knee))
    lengths = np.stack(
        [0.3 - 0.04 * hip + 0.01 * hip**3, 0.4 + 0.03 * hip * knee - 0.02 * knee**2, rope, np.full(len(q), 0.1)], axis=1
    )
    slopes = np.zeros((len(q), 3, 4))
    slopes[:, 0, 0] = -0.04 + 0.03 * hip**2
    slopes[:, 0, 1], slopes[:, 1, 1] = 0.03 * knee, 0.03 * hip - 0.04 * knee
    slopes[:, 1, 2] = 0.05 * 0.2 * np.sin(2.0 + knee) / rope
    return lengths, -slopes


def poses(n: int, seed: int = 1001, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform([-0.8, -0.4, -1.0], [0.9, 0.8, 1.0], (n, 3)) * scale


@pytest.fixture(scope="module")
def paths() -> MusclePaths:
    q = poses(400)
    return fit_muscle_paths(q, *geometry(q), muscles=MUSCLES, coordinates=COORDINATES)


def test_polynomials_come_back_exactly_at_their_own_degree(paths: MusclePaths) -> None:
    q = poses(50, seed=1002, scale=0.95)
    lengths, arms = paths(q)
    true_lengths, true_arms = geometry(q)
    assert paths.degrees[:2] == (3, 2)
    for exact in (0, 1, 3):
        np.testing.assert_allclose(lengths[:, exact], true_lengths[:, exact], atol=1e-12)
        np.testing.assert_allclose(arms[..., exact], true_arms[..., exact], atol=1e-12)


def test_another_path_comes_within_the_error_that_is_reported(paths: MusclePaths) -> None:
    q = poses(2000, seed=1003, scale=0.95)
    lengths, arms = paths(q)
    true_lengths, true_arms = geometry(q)
    off = [1e3 * np.abs(lengths - true_lengths)[:, 2], 1e3 * np.abs(arms - true_arms)[:, 1, 2]]
    found = [off[0].mean(), off[0].max(), off[1].mean(), off[1].max()]
    assert 0 < paths.error_mm[2, 0] < 0.1 and 0 < paths.error_mm[2, 2] < 0.1
    assert (np.array(found) < 2 * paths.error_mm[2]).all()
    assert (paths.error_mm[[0, 1, 3]] < 1e-9).all()


def test_moment_arms_are_minus_the_slopes_of_the_lengths(paths: MusclePaths) -> None:
    q, h = poses(20, seed=1004, scale=0.9), 1e-6
    arms = paths(q)[1]
    for j in range(3):
        step = h * np.eye(3)[j]
        slope = (paths(q + step)[0] - paths(q - step)[0]) / (2 * h)
        np.testing.assert_allclose(arms[:, j], -slope, atol=1e-8)


def test_a_muscle_knows_only_the_coordinates_that_it_crosses(paths: MusclePaths) -> None:
    q = poses(10, scale=0.9)
    q[3, 2] = np.nan  # no muscle crosses the ankle
    q[4, 1] = np.nan
    lengths, arms = paths(q)
    assert np.isfinite(lengths[3]).all() and (arms[:, 2] == 0).all()
    assert np.isnan(lengths[4]).tolist() == [False, True, True, False]


def test_paths_come_back_from_their_file(paths: MusclePaths, tmp_path: Path) -> None:
    again = MusclePaths.load(paths.save(tmp_path / "paths.json"))
    for one, other in zip(paths(poses(9, scale=0.9)), again(poses(9, scale=0.9))):
        assert np.array_equal(one, other)
    assert again.muscles == MUSCLES and again.degrees == paths.degrees
    assert np.array_equal(again.error_mm, paths.error_mm)


def test_what_is_no_file_of_paths_is_refused(paths: MusclePaths, tmp_path: Path) -> None:
    file = tmp_path / "paths.json"
    with pytest.raises(MyodriveError, match="no such file"):
        MusclePaths.load(file)
    whole = paths.save(file).read_text(encoding="utf-8")
    for content in (whole[: len(whole) // 2], "[]", "{}", "\0"):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(MyodriveError, match="does not hold muscle paths"):
            MusclePaths.load(file)


def test_a_pose_far_from_all_samples_is_refused_by_name(paths: MusclePaths) -> None:
    q = poses(5, scale=0.9)
    q[3, 1] = 1.5
    with pytest.raises(
        MyodriveError, match=r"knee is 1\.5 in frame 3, and the muscle paths were fitted from -0\.\d+ to"
    ):
        paths(q)
    with pytest.raises(MyodriveError, match="need \\(time, 3 coordinates\\)"):
        paths(q[:, :2])


def test_samples_that_cannot_be_fitted_are_refused() -> None:
    q = poses(40)
    lengths, arms = geometry(q)
    names = {"muscles": MUSCLES, "coordinates": COORDINATES}
    with pytest.raises(MyodriveError, match="do not go with shapes"):
        fit_muscle_paths(q, lengths[:, :2], arms, **names)
    with pytest.raises(MyodriveError, match="must be finite"):
        fit_muscle_paths(q, lengths * np.nan, arms, **names)
    with pytest.raises(MyodriveError, match="4 samples are too few"):
        fit_muscle_paths(q[:4], lengths[:4], arms[:4], **names)
    with pytest.raises(MyodriveError, match="muscles cross knee, which is the same in every sample"):
        fit_muscle_paths(q * [1, 0, 1], lengths, arms, **names)
    with pytest.raises(MyodriveError, match="tolerance above 0 mm"):
        fit_muscle_paths(q, lengths, arms, tolerance_mm=0.0, **names)


def test_an_arm_that_stays_below_a_millimetre_is_no_crossing(paths: MusclePaths) -> None:
    q = poses(400)
    lengths, arms = geometry(q)
    arms[:, 2, 0] = np.where(q[:, 1] > 0.6, 4e-4, 0.0)  # what wrapping leaves about the ankle, in a few poses
    found = fit_muscle_paths(q, lengths, arms, muscles=MUSCLES, coordinates=COORDINATES)
    q = poses(50, seed=1005, scale=0.9)
    for one, other in zip(found(q), paths(q)):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_moment_arms_are_met_where_lengths_do_not_belong_to_them() -> None:
    q = poses(400)
    lengths, arms = geometry(q)
    lengths[:, 0] += 0.01 * np.maximum(q[:, 0] - 0.6, 0.0)  # and no moment arm says so
    found = fit_muscle_paths(q, lengths, arms, muscles=MUSCLES, coordinates=COORDINATES)
    length_rms, _, arm_rms, _ = found.error_mm[0]
    assert arm_rms < 0.01 < 0.1 < length_rms < 1.0 and found.degrees[0] == 3
